"""Corrections for many comparisons (Holm, Benjamini-Hochberg), verdicts and power."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from swath.analysis.effects.intervals import LEVEL, Estimate, half_width

Floats = NDArray[np.float64]
Verdict = Literal["better", "worse", "not shown", "no interval", "refused"]
POWER = 0.8
GIVEN = 0.005
"""The difference for which the seeds and images needed are reported: half a point."""
_MOST_SEEDS = 200
_Z = float(stats.norm.ppf(0.5 + LEVEL / 2))
SETTLED = _Z + float(stats.norm.ppf(POWER))
"""2.80: a difference of so many standard deviations is shown four times in five."""


def holm(p: Sequence[float]) -> Floats:
    """Holm's (1979) adjusted p-values: at any level, the chance of one false verdict in the family stays below it.

    Args:
        p: Of one family; NaN for a comparison without one, which then is no member of the family.
    """
    given = np.asarray(p, np.float64)
    adjusted = np.full(given.shape, np.nan)
    order = np.argsort(given)[: np.isfinite(given).sum()]
    # Step down: the k-th smallest of m is multiplied by m - k + 1, and none may fall below the one before it.
    factors = len(order) - np.arange(len(order))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(factors * given[order]))
    return adjusted


def benjamini_hochberg(p: Sequence[float]) -> Floats:
    """Benjamini and Hochberg's (1995) q-values; NaN stays NaN and does not count."""
    given = np.asarray(p, np.float64)
    adjusted = np.full(given.shape, np.nan)
    finite = np.isfinite(given)
    if finite.any():
        adjusted[finite] = stats.false_discovery_control(given[finite])
    return adjusted


def verdict(estimate: Estimate | None, adjusted_p: float) -> Verdict:
    """What may be said of a comparison, given its p-value corrected within its family."""
    if estimate is None:
        return "refused"
    if not math.isfinite(adjusted_p):
        return "no interval"
    if adjusted_p >= 1 - LEVEL:
        return "not shown"
    return "better" if estimate.difference > 0 else "worse"


def wording(said: Verdict, estimate: Estimate | None) -> str:
    """`no difference shown (-0.4 to +0.2 points)`, `better (+0.3 to +1.1 points)`."""
    words = verdict_words(said, estimate)
    return words if estimate is None or said == "no interval" else f"{words} ({interval_words(estimate)})"


def verdict_words(said: Verdict, estimate: Estimate | None) -> str:
    """A verdict without its interval: `no difference shown`, `better`."""
    if estimate is None:
        return "not compared"
    if said == "no interval":
        return "no interval can be stated"
    if said == "not shown":
        return f"no difference shown{' after correction' if estimate.low > 0 or estimate.high < 0 else ''}"
    return said


def interval_words(estimate: Estimate) -> str:
    """An interval in points: `-0.4 to +0.2 points`."""
    return f"{100 * estimate.low:+.1f} to {100 * estimate.high:+.1f} points"


@dataclass(frozen=True)
class Power:
    """What a comparison could have shown, and what it would take to show half a point. Differences are of scores.

    Attributes:
        smallest: Difference that this sweep would have shown four times in five.
        floor: Difference below which no number of seeds helps: 2.8 standard deviations by images alone.
        given: The difference that the next two are about.
        seeds: Seeds of every cell that would show it four times in five; None where no number settles it.
        images: Validation images that would be needed where no number of seeds settles it, else None.
    """

    smallest: float
    floor: float
    given: float
    seeds: int | None
    images: int | None


def power(estimate: Estimate, blocks: int, images: int, given: float = GIVEN) -> Power | None:
    """Power of a comparison; None where it has no interval.

    Args:
        estimate: The comparison.
        blocks: Cells times folds in it.
        images: Validation images, all folds together.
        given: Difference of scores that should be shown.
    """
    if estimate.source == "none" or not math.isfinite(estimate.image_variance):
        return None
    floor = SETTLED * math.sqrt(estimate.image_variance)
    seeds = seeds_needed(estimate, blocks, given)
    # The image variance falls with 1 / images, so the floor falls with its root.
    images_needed = None if given > floor else math.ceil(images * (floor / given) ** 2)
    return Power(
        _shown(estimate.image_variance, estimate.seed_variance, estimate.df), floor, given, seeds, images_needed
    )


def seeds_needed(estimate: Estimate, blocks: int, given: float) -> int | None:
    """Seeds of every cell with which a difference is shown four times in five; None beyond 200."""
    of_one = estimate.seed_variance * estimate.units / blocks
    for seeds in range(2, _MOST_SEEDS + 1):
        if _shown(estimate.image_variance, of_one / seeds, blocks * (seeds - 1)) <= given:
            return seeds
    return None


def _shown(image_variance: float, seed_variance: float, df: int) -> float:
    """Difference shown with the power asked for: half the interval and .84 standard deviations."""
    beyond = (SETTLED - _Z) * math.sqrt(image_variance + seed_variance)
    return half_width(image_variance, seed_variance, df) + beyond
