"""What a comparison could have shown, and what it would take to show the difference that matters.

Power is that of the verdict that is given: after the correction for all comparisons of the task, with as few degrees
of freedom as there are. The variance in training is known from few deviations only, so power is the mean over what it
may be: given s^2 with df degrees of freedom it is s^2 df / chi^2_df (its fiducial distribution), and what another
sweep would find is that times chi^2_df / df.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri, ndtr, ndtri, stdtrit

from swath.analysis.effects.intervals import Estimate
from swath.analysis.effects.noise import Noise
from swath.analysis.effects.significance import ALPHA

Floats = NDArray[np.float64]
POWER = 0.8
_MOST_SEEDS = 200
_NODES = (np.arange(40) + 0.5) / 40
_STEPS = 40  # halvings of the range in which the smallest difference is sought


@dataclass(frozen=True)
class Power:
    """What a comparison could have shown, and what it would take to show a difference. Differences are of scores.

    Attributes:
        smallest: Difference that this sweep would have shown four times in five; infinite where none below 1.
        floor: Difference below which no number of seeds helps; NaN where folds are compared.
        given: The difference that the next two are about.
        seeds: Seeds of every cell that would show it four times in five; None where no number settles it, and with
            folds.
        images: Validation images that would be needed where no number of seeds settles it, else None.
    """

    smallest: float
    floor: float
    given: float
    seeds: int | None
    images: int | None


def power(
    estimate: Estimate, blocks: int, images: int, given: float, family: float = 1, after: float = 1
) -> Power | None:
    """Power of a comparison; None where it has no interval.

    Args:
        estimate: The comparison.
        blocks: Cells times folds in it.
        images: Validation images, all folds together.
        given: Difference of scores that should be shown.
        family: What the p-value is multiplied by: comparisons that the verdict is corrected for, and looks.
        after: What it will be multiplied by at the next look, which further seeds are.
    """
    noise = estimate.noise
    if not noise.is_known:
        return None
    tail, later = (ALPHA / (2 * max(times, 1)) for times in (family, max(family, after)))
    smallest = _smallest(noise, tail)
    if noise.source == "folds":
        return Power(smallest, math.nan, given, None, None)
    floor = float(ndtri(POWER) - stdtrit(noise.image_df, later)) * math.sqrt(noise.image_variance)
    seeds = seeds_needed(estimate, blocks, given, later)
    # The image variance falls with 1 / images, so the floor falls with its root.
    images_needed = None if given > floor else math.ceil(images * (floor / given) ** 2)
    return Power(smallest, floor, given, seeds, images_needed)


def seeds_needed(estimate: Estimate, blocks: int, given: float, tail: float) -> int | None:
    """Seeds of every cell with which a difference is shown four times in five; None beyond 200."""
    now = estimate.units / blocks
    of_one = estimate.seed_variance * now
    # With two seeds or more degrees of freedom grow as those of each cell do; one seed has the residual's.
    per_seed = estimate.df / (now - 1) if now > 1 else blocks

    def enough(seeds: int) -> bool:
        planned = Noise(estimate.image_variance, of_one / seeds, per_seed * (seeds - 1), "seeds", estimate.image_df)
        return chance(planned, given, tail, estimate.df) >= POWER

    if not enough(_MOST_SEEDS):
        return None
    low, high = 1, _MOST_SEEDS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def chance(noise: Noise, difference: float, tail: float, known: float) -> float:
    """Probability that a true difference is shown.

    Args:
        noise: What the comparison will have.
        difference: The true difference.
        tail: P-value, one-sided, that the verdict needs.
        known: Degrees of freedom from which its variance in training is known today.
    """
    variance = noise.seed_variance * known / _chi2(known)
    told = variance[:, None] * _chi2(noise.df) / noise.df
    by_images = stdtrit(noise.image_df, tail) ** 2 * noise.image_variance
    by_seeds = stdtrit(noise.df, tail) ** 2 * told
    half = np.sqrt(np.maximum(by_images, by_seeds) if noise.source == "folds" else by_images + by_seeds)
    total = np.maximum(noise.image_variance, variance) if noise.source == "folds" else noise.image_variance + variance
    spread = np.sqrt(np.maximum(total, 1e-300))[:, None]
    return float((ndtr((difference - half) / spread) + ndtr((-difference - half) / spread)).mean())


def _smallest(noise: Noise, tail: float) -> float:
    """Difference shown with the power asked for."""
    if chance(noise, 1.0, tail, noise.df) < POWER:
        return math.inf
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if chance(noise, middle, tail, noise.df) >= POWER else (middle, high)
    return high


def _chi2(df: float) -> Floats:
    """Quantiles of the chi-squared distribution, each of the same probability."""
    return chdtri(df, 1 - _NODES)
