"""A mean of paired differences between trials, its two variances, and the interval and p-value they give.

The interval covers the choice of validation images and the chance in training. The half-width is
sqrt(1.96^2 V_img + t_df^2 V_seed): the image variance is known well, the training variance from few seeds, so each
has its own quantile. Measured alternatives that fail are in docs/decisions/0012.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from scipy.special import ndtri, stdtrit

from swath.analysis.image_variance import FoldEvidence

Floats = NDArray[np.float64]
Source = Literal["seeds", "residual", "none"]
LEVEL = 0.95
_LEAST = -300.0  # logarithm of the smallest p that is distinguished from 0


@dataclass(frozen=True, eq=False)
class PairedDifferences:
    """Paired differences between trials, each a replicate of some cell of the grid.

    Attributes:
        weights: [U, T] what each trial counts in each difference: +1 and -1 of a pair.
        cells: [U] number of the combination of the other factors' levels.
        levels: [U, F] their level numbers, for the factors that vary among these differences.
        folds: [U] fold.
        strata: [U] number of the backbone, or of the pair of backbones, behind a difference.
    """

    weights: Floats
    cells: NDArray[np.int64]
    levels: NDArray[np.int64]
    folds: NDArray[np.int64]
    strata: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def blocks(self) -> NDArray[np.int64]:
        """[U] number of the cell and fold of each difference; those of one block differ by the seed alone."""
        return np.unique(np.stack([self.cells, self.folds], axis=1), axis=0, return_inverse=True)[1].reshape(-1)

    @property
    def shares(self) -> Floats:
        """[U] what each difference counts in the mean: blocks alike, and within a block its seeds alike."""
        blocks = self.blocks
        sizes = np.bincount(blocks)
        return 1 / (len(sizes) * sizes[blocks])


@dataclass(frozen=True)
class Estimate:
    """A mean difference with what is known of its error. Differences are of scores, 0 to 1; not points.

    Attributes:
        difference: The mean, over cells and folds of the mean over seeds.
        units: Differences in it.
        won: Share of them above 0.
        image_variance: Of the mean, by the choice of validation images, were every cell trained with endless seeds.
        seed_variance: Of the mean, by chance in training as seen on these images; NaN where it cannot be estimated.
        df: Degrees of freedom of `seed_variance`; 0 where it is NaN.
        source: What it was estimated from: `seeds` of one cell, `residual` after main effects, or `none`.
        low: Lower end of the 95 % interval; NaN with source `none`.
        high: Its upper end.
        p: Two-sided p-value of no difference, the interval inverted; NaN with source `none`.
    """

    difference: float
    units: int
    won: float
    image_variance: float
    seed_variance: float
    df: int
    source: Source
    low: float
    high: float
    p: float


@dataclass(frozen=True, eq=False)
class _Replication:
    """How the noise in training is read off differences that should be equal but for it.

    Attributes:
        source: See `Estimate`.
        residuals: [U, U] for each backbone: takes differences to what cells (or main effects) leave of them.
        df: Degrees of freedom of each.
        parts: What the variance of one difference of each backbone counts in the variance of the mean.
    """

    source: Source
    residuals: tuple[Floats, ...] = ()
    df: tuple[int, ...] = ()
    parts: tuple[float, ...] = ()

    def total(self, squares: Sequence[float]) -> float:
        """Variance of the mean from the sum of squared residuals of each backbone; NaN where there are none."""
        terms = [part * square / df for part, square, df in zip(self.parts, squares, self.df, strict=True)]
        return float(sum(terms)) if terms else float("nan")


def contrast(units: PairedDifferences) -> Floats:
    """[T] the mean of the differences as weights of the trials."""
    return units.shares @ units.weights


def image_variances(contrasts: Floats, evidence: Sequence[FoldEvidence]) -> Floats:
    """[K] image variance of contrasts [K, T]; folds have different images, so their parts add up."""
    return np.sum([fold.variance(contrasts[:, fold.trials]) for fold in evidence], axis=0)


def estimate(units: PairedDifferences, values: Floats, variances: Callable[[Floats], Floats]) -> Estimate:
    """The mean of differences with its interval.

    Seeds of one cell differ on these images for two reasons: in truth, and because each errs on other images. The
    second is part of the variance between seeds and of the variance over images alike; it is counted once, with the
    seeds, and taken off the image variance.

    Args:
        units: The differences.
        values: [T] scores of the trials.
        variances: Image variance [K] of contrasts [K, T] of these scores.
    """
    observed = units.weights @ values
    difference = float(units.shares @ observed)
    how = _replication(units)
    seed_variance = how.total([float(((r @ observed) ** 2).sum()) for r in how.residuals])
    by_image = variances(np.vstack([contrast(units), *(r @ units.weights for r in how.residuals)]))
    # A residual r d of the differences d has image noise in it as well, of variance Var_img(r d). What that adds to the
    # seed variance, total(sum Var_img(r d)), is in the image variance of the mean too: it comes off there.
    twice = how.total([float(part.sum()) for part in by_image[1:].reshape(len(how.residuals), len(units))])
    image_variance = float(by_image[0]) if how.source == "none" else max(0.0, float(by_image[0]) - twice)
    df = sum(how.df)
    half = half_width(image_variance, seed_variance, df)
    return Estimate(
        difference=difference,
        units=len(units),
        won=float((observed > 0).mean()),
        image_variance=image_variance,
        seed_variance=seed_variance,
        df=df,
        source=how.source,
        low=difference - half,
        high=difference + half,
        p=p_value(difference, image_variance, seed_variance, df),
    )


def _replication(units: PairedDifferences) -> _Replication:
    """Seeds within cells where there are several, main effects of the other factors where there are not."""
    blocks = units.blocks
    sizes = np.bincount(blocks)
    if sizes.max() == 1:
        return _one_seed(units)
    centred = np.eye(len(units)) - (blocks[:, None] == blocks) / sizes[blocks]
    stratum = np.zeros(len(sizes), np.int64)
    stratum[blocks] = units.strata
    residuals, df, parts = [], [], []
    # Pooled over the cells of one backbone, never across: where one backbone is noisier the pooled variance is wrong
    # for both.
    for one in np.unique(stratum):
        in_stratum = stratum == one
        residuals.append(centred[in_stratum[blocks]])
        df.append(int((sizes[in_stratum] - 1).sum()))
        # The mean weighs all B cells alike: mean = 1/B sum_b mean_b, and Var(mean_b) = s^2 / n_b with n_b seeds. So s^2
        # of this backbone counts sum_b (1 / n_b) / B^2 in the variance of the mean; s^2 has sum_b (n_b - 1) degrees.
        parts.append(float((1 / sizes[in_stratum]).sum() / len(sizes) ** 2))
    if 0 in df:
        return _Replication("none")
    full = [np.vstack([r, np.zeros((len(units) - len(r), len(units)))]) for r in residuals]
    return _Replication("seeds", tuple(full), tuple(df), tuple(parts))


def _one_seed(units: PairedDifferences) -> _Replication:
    """One seed: what the main effects of at least two other factors leave unexplained stands in."""
    varying = [c for c in (*units.levels.T, units.folds) if len(np.unique(c)) > 1]
    if len(varying) < 2:
        return _Replication("none")
    design = np.hstack([np.ones((len(units), 1)), *(_dummies(c) for c in varying)])
    # The projection on the main effects; (I - H) d are the residuals, with U - rank degrees of freedom.
    hat = design @ np.linalg.pinv(design)
    df = len(units) - int(np.linalg.matrix_rank(design))
    if df < 1:
        return _Replication("none")
    return _Replication("residual", (np.eye(len(units)) - hat,), (df,), (1 / len(units),))


def _dummies(codes: NDArray[np.int64]) -> Floats:
    """[U, levels - 1] indicators of all levels but the first."""
    return (codes[:, None] == np.unique(codes)[1:]).astype(np.float64)


def half_width(image_variance: float, seed_variance: float, df: int, level: float = LEVEL) -> float:
    """Half the interval's width; NaN without degrees of freedom."""
    if df < 1:
        return float("nan")
    # Each variance with the quantile of its own kind of knowledge: V_img as known (normal), V_seed estimated from df
    # deviations (Student's t). Never below its level (Banerjee 1960).
    z, t = ndtri(0.5 + level / 2), stdtrit(df, 0.5 + level / 2)
    return float(np.sqrt(z**2 * image_variance + t**2 * seed_variance))


def p_value(difference: float, image_variance: float, seed_variance: float, df: int) -> float:
    """The p at which the interval of level 1 - p just reaches 0; NaN without degrees of freedom."""
    if df < 1 or not np.isfinite(image_variance + seed_variance):
        return float("nan")
    size = abs(difference)
    if size == 0 or image_variance + seed_variance == 0:
        return 1.0 if size == 0 else 0.0

    def excess(log_p: float) -> float:
        tail = np.exp(log_p) / 2
        z, t = -ndtri(tail), -stdtrit(df, tail)
        return float(np.hypot(z * np.sqrt(image_variance), t * np.sqrt(seed_variance)) - size)

    if excess(_LEAST) < 0:
        return 0.0
    return float(np.exp(optimize.brentq(excess, _LEAST, 0.0)))  # type: ignore[arg-type]
