"""What scores depend on: importance over numbers and categories together, by optuna's fANOVA.

Hutter et al. (2014): shares of the variance of a forest of regression trees over the whole space that each field
explains alone.
"""

from collections.abc import Mapping, Sequence


def fanova(rows: Sequence[Mapping[str, float | str]], values: Sequence[float]) -> dict[str, float]:
    """Share of each field, largest first; they add up to 1.

    Args:
        rows: Value of each field, a point each: text for a category; a number as its place from 0 to 1 on its own
            scale, for optuna's fANOVA spreads numbers evenly, those of a log scale as well.
        values: Score of each point.
    """
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

    distributions: dict[str, BaseDistribution] = {
        name: CategoricalDistribution(list(dict.fromkeys(row[name] for row in rows)))
        if isinstance(first, str)
        else FloatDistribution(0, 1)
        for name, first in rows[0].items()
    }
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study()
        study.add_trials(
            [
                optuna.trial.create_trial(params=dict(row), distributions=distributions, value=float(value))
                for row, value in zip(rows, values, strict=True)
            ]
        )
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
        return {name: float(share) for name, share in shares.items()}
    finally:
        optuna.logging.set_verbosity(before)
