"""A second interval of an effect, for a wider question: over other backbones and losses than those of the grid."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from swath.analysis.effects.differences import PairedDifferences

Floats = NDArray[np.float64]
_LEAST_FREEDOM = 2  # with fewer degrees of freedom the quantile is above 4.3 and the interval says nothing


@dataclass(frozen=True)
class Interval:
    """A 95 % interval of a difference of scores.

    Attributes:
        low: Lower end.
        high: Upper end.
        over: The factors that it takes as drawn at random.
    """

    low: float
    high: float
    over: tuple[str, ...]


def over_factors(
    units: PairedDifferences, observed: Floats, names: list[str], image_variance: float
) -> Interval | None:
    """The effect over levels that the grid does not have, taking the other factors' levels as drawn at random.

    Random effects of each other factor by mean squares: with MS_f = mean square of the main effect of factor f in the
    differences and MS_r the residual one, the mean has variance (sum of MS_f - (F - 1) MS_r) / n, and Satterthwaite's
    degrees of freedom. Few levels give a wide interval, as they must.

    Args:
        units: The differences.
        observed: [U] their values.
        names: [F] the factors behind `units.levels`.
        image_variance: Of the mean, by images alone.

    Returns:
        None unless another factor varies and every combination of the others' levels is there, or where they are too
        few to say more than nothing.
    """
    blocks = units.cells
    sizes = np.bincount(blocks)
    cells = np.bincount(blocks, observed) / sizes
    levels = np.zeros((len(sizes), units.levels.shape[1]), np.int64)
    levels[blocks] = units.levels
    varying = [f for f in range(levels.shape[1]) if len(np.unique(levels[:, f])) > 1]
    if not varying or np.prod([len(np.unique(levels[:, f])) for f in varying]) != len(cells):
        return None
    n, mean = len(cells), float(cells.mean())
    squares, df, fitted = [], [], np.full(n, mean)
    for f in varying:
        size = np.bincount(levels[:, f])
        means = np.bincount(levels[:, f], cells) / np.maximum(size, 1)
        fitted += means[levels[:, f]] - mean
        df.append(int((size > 0).sum()) - 1)
        squares.append(float(((means[levels[:, f]] - mean) ** 2).sum()) / df[-1])
    left = n - 1 - sum(df)
    residual = float(((cells - fitted) ** 2).sum()) / left if left else 0.0
    parts = [*squares, -(len(varying) - 1) * residual]
    # The mean squares cannot say less than one factor alone, or than the residual, does.
    total = max(sum(parts), *squares, residual)
    freedom = float(n - 1)
    if total:
        freedom = total**2 / sum(part**2 / k for part, k in zip(parts, [*df, max(left, 1)], strict=True) if part)
        freedom = float(np.clip(freedom, min(df), max(n - 1, 1)))
    if freedom < _LEAST_FREEDOM:
        return None
    half = float(np.sqrt(3.8415 * image_variance + stats.t.ppf(0.975, freedom) ** 2 * total / n))
    return Interval(mean - half, mean + half, tuple(names[f] for f in varying))
