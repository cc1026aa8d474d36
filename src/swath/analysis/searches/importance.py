"""What the scores of a search depend on: importance over numbers and categories together, by optuna's fANOVA.

The same for the levels of a grid that is not full. Hutter et al. (2014): shares of the variance of a forest of
regression trees over the whole space that each field explains alone.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # optuna is imported where it is asked
    from optuna.distributions import BaseDistribution

    from swath.analysis.searches.space import Parameter


def fanova(
    rows: Sequence[Mapping[str, Any]], distributions: Mapping[str, "BaseDistribution"], values: Sequence[float]
) -> dict[str, float]:
    """Share of each field, largest first; they add up to 1.

    Args:
        rows: Value of each field, a point each.
        distributions: Of each field.
        values: Score of each point.
    """
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study()
        study.add_trials(
            [
                optuna.trial.create_trial(params=dict(row), distributions=dict(distributions), value=float(value))
                for row, value in zip(rows, values, strict=True)
            ]
        )
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))
    finally:
        optuna.logging.set_verbosity(before)


def categories(values: Sequence[str]) -> "BaseDistribution":
    """The distribution of a field with these values."""
    from optuna.distributions import CategoricalDistribution

    return CategoricalDistribution(list(dict.fromkeys(values)))


def distribution(one: "Parameter") -> "BaseDistribution":
    """The distribution that a range was searched by, its scale included."""
    from optuna.distributions import FloatDistribution, IntDistribution

    if not one.numeric:
        return categories(one.options)
    if one.kind == "integers":
        return IntDistribution(int(one.low), int(one.high))
    return FloatDistribution(one.low, one.high, log=one.kind == "loguniform")
