"""Does a choice help here and hurt there? Differences between effects, and each factor's share of the variance."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from swath.analysis.effects.intervals import Estimate, estimate
from swath.analysis.effects.matching import Member, matched
from swath.analysis.effects.significance import benjamini_hochberg
from swath.analysis.results import TaskResults

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interaction:
    """How the effect of one factor's level changes with the level of another factor. Differences are of scores.

    Attributes:
        factor: The factor whose effect it is.
        level: Its level.
        baseline: Its baseline level.
        by: The other factor.
        by_level: Its level.
        by_baseline: Its baseline level.
        within: Effect of `level` where the other factor is at `by_level`.
        within_baseline: The same at `by_baseline`.
        estimate: `within` less `within_baseline`, with its errors.
        q: Benjamini and Hochberg's, over all interactions of the task; NaN without an interval.
    """

    factor: str
    level: str
    baseline: str
    by: str
    by_level: str
    by_baseline: str
    within: float
    within_baseline: float
    estimate: Estimate
    q: float


def interactions(
    task: TaskResults,
    members: Sequence[Member | None],
    values: Floats,
    variances: Callable[[Floats], Floats],
    freedom: Callable[[Floats], float],
) -> list[Interaction]:
    """All two-way interactions that matched fours of trials show.

    Args:
        task: The task.
        members: Its trials that may be compared.
        values: [T] their scores.
        variances: Image variance [K] of contrasts [K, T].
        freedom: Degrees of freedom of that of a contrast [T].
    """
    uncorrected = []
    for factor, by in itertools.combinations(task.factors, 2):
        base, by_base = task.baseline_level(factor), task.baseline_level(by)
        for level, by_level in itertools.product(task.factors[factor], task.factors[by]):
            if level == base or by_level == by_base:
                continue
            corners = {
                (level, by_level): 1.0,
                (base, by_level): -1.0,
                (level, by_base): -1.0,
                (base, by_base): 1.0,
            }
            units = matched(members, [factor, by], corners)
            if units is None:
                continue
            at_by_level = np.array([m is not None and m.factors.get(by) == by_level for m in members])
            within = float(units.shares @ ((units.weights * at_by_level) @ values))
            one = estimate(units, values, variances, freedom)
            uncorrected.append(
                Interaction(
                    factor=factor,
                    level=level,
                    baseline=base,
                    by=by,
                    by_level=by_level,
                    by_baseline=by_base,
                    within=within,
                    within_baseline=within - one.difference,
                    estimate=one,
                    q=float("nan"),
                )
            )
    q = benjamini_hochberg([i.estimate.p for i in uncorrected])
    return [replace(i, q=float(x)) for i, x in zip(uncorrected, q, strict=True)]
