"""A mean of paired differences between trials with its interval and p-value.

The interval covers the choice of validation images, the chance in training and, with folds, the training split.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from swath.analysis import score_intervals
from swath.analysis.effects.differences import PairedDifferences, contrast
from swath.analysis.effects.noise import LEVEL, MANY, Noise, Source
from swath.analysis.effects.training_noise import Variances, noise_of
from swath.analysis.image_variance import FoldEvidence

Floats = NDArray[np.float64]
Freedom = Callable[[Floats], float]


@dataclass(frozen=True)
class Estimate:
    """A mean difference with what is known of its error. Differences are of scores, 0 to 1; not points.

    Attributes:
        difference: The mean, over cells and folds of the mean over seeds.
        units: Differences in it.
        won: Share of them above 0.
        image_variance: Of the mean, by the choice of validation images, were every cell trained with endless seeds;
            with source `folds`, of these trials.
        seed_variance: Of the mean, by chance in training as seen on these images, and with source `folds` by training
            splits and images as well; NaN where it cannot be estimated.
        df: Degrees of freedom of `seed_variance`; 0 where it is NaN.
        source: What it was estimated from: `seeds` of one cell, `folds`, `residual` after main effects, or `none`.
        low: Lower end of the 95 % interval; NaN with source `none`.
        high: Its upper end.
        p: Two-sided p-value of no difference, the interval inverted; NaN with source `none`.
        image_df: Degrees of freedom of `image_variance`: few where few images or groups make most of it.
    """

    difference: float
    units: int
    won: float
    image_variance: float
    seed_variance: float
    df: float
    source: Source
    low: float
    high: float
    p: float
    image_df: float = MANY

    @property
    def noise(self) -> Noise:
        """What is known of its error."""
        return Noise(self.image_variance, self.seed_variance, self.df, self.source, self.image_df)


def image_variances(contrasts: Floats, evidence: Sequence[FoldEvidence]) -> Floats:
    """[K] image variance of contrasts [K, T]; folds have different images, so their parts add up."""
    return np.sum([fold.variance(contrasts[:, fold.trials]) for fold in evidence], axis=0)


def image_freedom(contrast: Floats, evidence: Sequence[FoldEvidence]) -> float:
    """Degrees of freedom of the image variance of a contrast [T]: see `score_intervals.freedom`."""
    moves = np.concatenate([fold.moves(contrast[fold.trials]) for fold in evidence])
    return min(score_intervals.freedom(moves), max(1.0, len(moves) - len(evidence)))


def estimate(
    units: PairedDifferences,
    values: Floats,
    variances: Variances,
    freedom: Freedom = lambda _: MANY,
    level: float = LEVEL,
) -> Estimate:
    """The mean of differences with its interval.

    Args:
        units: The differences.
        values: [T] scores of the trials.
        variances: Image variance [K] of contrasts [K, T] of these scores.
        freedom: Degrees of freedom of the image variance of a contrast [T].
        level: Of the interval.
    """
    observed = units.weights @ values
    difference = float(units.shares @ observed)
    noise = replace(noise_of(units, values, variances), image_df=freedom(contrast(units)))
    half = noise.half_width(level)
    return Estimate(
        difference=difference,
        units=len(units),
        won=float((observed > 0).mean()),
        image_variance=noise.image_variance,
        seed_variance=noise.seed_variance,
        df=noise.df,
        source=noise.source,
        image_df=noise.image_df,
        low=difference - half,
        high=difference + half,
        p=noise.p_value(difference),
    )
