"""How chance in training is read off differences that should be equal but for it.

Four ways, by what there is: folds, seeds with random numbers of each trial's own, seeds whose random numbers all cells
share, and one seed. Each gives the variance of the mean of all differences as sum_k lambda_k (row_k values)^2, rows of
weights of the trials that would be 0 without chance, so that the image noise in it can be told as well.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from swath.analysis.effects.differences import PairedDifferences, contrast
from swath.analysis.effects.noise import Noise, Source

Floats = NDArray[np.float64]
Variances = Callable[[Floats], Floats]
"""Image variance [K] of contrasts [K, T] of the trials' scores."""


@dataclass(frozen=True, eq=False)
class _Deviations:
    """An estimate of the variance of the mean: sum of `weights` times squares of `rows @ values`.

    Attributes:
        rows: [K, T] weights of the trials.
        weights: [K]; some may be below 0.
        df: Degrees of freedom.
        source: See `Noise`.
    """

    rows: Floats
    weights: Floats
    df: float
    source: Source

    def variance(self, values: Floats) -> float:
        """As told from the scores [T]; never below 0."""
        return max(0.0, float(self.weights @ (self.rows @ values) ** 2))

    def by_images(self, variances: Variances) -> float:
        """What of it the images make, in expectation."""
        return float(self.weights @ variances(self.rows)) if len(self.rows) else 0.0


def noise_of(units: PairedDifferences, values: Floats, variances: Variances) -> Noise:
    """The error of the mean of differences.

    Seeds of one cell differ on these images for two reasons: in truth, and because each errs on other images. The
    second is part of the variance between seeds and of the variance over images alike; it is counted once, with the
    seeds, and taken off the image variance.

    Args:
        units: The differences.
        values: [T] scores of the trials.
        variances: Image variances of contrasts of these scores.
    """
    image_variance = float(variances(contrast(units)[None])[0])
    folded = len(np.unique(units.folds)) > 1
    if folded and units.independent:
        return _between_folds(units, values, variances, image_variance)
    seeds = _between_seeds(units, values)
    given_folds = None
    if seeds is not None:
        left = max(0.0, image_variance - seeds.by_images(variances))
        given_folds = Noise(left, seeds.variance(values), seeds.df, seeds.source)
    if not folded:
        return given_folds or Noise(image_variance, float("nan"), 0, "none")
    folds = _between_folds(units, values, None, image_variance)
    # What a seed does to every fold alike does not show between folds.
    return max((folds, given_folds), key=lambda n: n.half_width()) if given_folds else folds


def _between_seeds(units: PairedDifferences, values: Floats) -> _Deviations | None:
    """Seeds within cells where there are several, main effects of the other factors where there are not."""
    sizes = np.bincount(units.blocks)
    if sizes.max() == 1:
        return _residual(units, values) if units.independent else None
    return _independent(units, values) if units.independent else _shared(units, values)


def _independent(units: PairedDifferences, values: Floats) -> _Deviations | None:
    """Every difference with chance of its own: each cell's own variance, added up (Welch 1947)."""
    blocks = units.blocks
    sizes = np.bincount(blocks)
    rows = _centred(units)
    squares = _sums(blocks, (rows @ values) ** 2)
    lender = _lenders(units, squares)
    if lender is None:
        return None
    # The mean weighs all B cells alike: mean = 1/B sum_b mean_b, and Var(mean_b) = s_b^2 / n_b, where s_b^2 is the sum
    # of squares over n_b - 1. A cell of one seed takes s^2 from its lender.
    free = sizes[lender] - 1
    share = 1 / (free * sizes * len(sizes) ** 2)
    parts = squares[lender] * share
    weights = _sums(lender, share, len(sizes))
    # Welch and Satterthwaite: V^2 / sum(V_b^2 / df_b). Lent variances are one with their lender's.
    together = _sums(lender, parts, len(sizes))
    fourth = float((together[sizes > 1] ** 2 / (sizes[sizes > 1] - 1)).sum())
    df = float(parts.sum() ** 2 / fourth) if fourth else float((sizes - 1).sum())
    return _Deviations(rows, weights[blocks], df, "seeds")


def _lenders(units: PairedDifferences, squares: Floats) -> NDArray[np.int64] | None:
    """[B] the cell whose variance each cell takes: its own, or of one seed the largest behind the same backbone.

    None where a backbone has no cell of two seeds: where one backbone is noisier no other may stand in.
    """
    blocks = units.blocks
    sizes = np.bincount(blocks)
    stratum = np.zeros(len(sizes), np.int64)
    stratum[blocks] = units.strata
    lender = np.arange(len(sizes))
    spread = np.where(sizes > 1, squares / np.maximum(sizes - 1, 1), -1.0)
    for single in np.flatnonzero(sizes == 1):
        largest = int(np.where(stratum == stratum[single], spread, -2.0).argmax())
        if sizes[largest] == 1:
            return None
        lender[single] = largest
    return lender


def _shared(units: PairedDifferences, values: Floats) -> _Deviations | None:
    """Cells share the random numbers of a seed: deviations of one seed add up over the cells before they are squared.

    With all seeds in all cells that is the variance between the seeds' means, with seeds - 1 degrees of freedom. In
    general the covariance of two cells' means is estimated from the seeds that both have, without bias:
    C = sum_s e_bs e_b's / (c f), f = 1 - 1/n_b - 1/n_b' + c / (n_b n_b'), with c common seeds; it counts
    c / (n_b n_b' B^2) in the variance of the mean.
    """
    blocks = units.blocks
    sizes = np.bincount(blocks)
    rows = _centred(units)
    squares = _sums(blocks, (rows @ values) ** 2)
    lender = _lenders(units, squares)
    if lender is None:
        return None
    rows, weights, df = _shared_form(units)
    if df <= 0:
        return None
    deviations = _Deviations(rows, weights, df, "seeds")
    singles = np.flatnonzero(sizes == 1)
    return _with_singles(deviations, values, squares, sizes, lender, singles) if len(singles) else deviations


@lru_cache(maxsize=16)
def _shared_form(units: PairedDifferences) -> tuple[Floats, Floats, float]:
    """Rows [K, T], weights [K] and degrees of freedom of `_shared`; none of them depends on scores."""
    blocks, streams = units.blocks, units.streams
    sizes = np.bincount(blocks)
    several = sizes[blocks] > 1
    has = np.zeros((len(sizes), int(streams.max()) + 1))
    has[blocks, streams] = 1
    common, product = has @ has.T, np.outer(sizes, sizes)
    f = 1 - 1 / sizes[:, None] - 1 / sizes[None] + common / product
    with np.errstate(divide="ignore", invalid="ignore"):
        counted = np.where(f > 1e-9, 1 / (product * f * len(sizes) ** 2), 0.0)
    same = (streams[:, None] == streams) & several[:, None] & several
    centring = np.eye(len(units)) - _means(blocks)
    weights, vectors = np.linalg.eigh(centring @ (counted[np.ix_(blocks, blocks)] * same) @ centring)
    kept = np.abs(weights) > 1e-9 * np.abs(weights).max(initial=0)
    weights, vectors = weights[kept], vectors[:, kept]
    # Of sum_k lambda_k x_k^2 with x of unit variance: 2 mean^2 / variance.
    df = float(weights.sum() ** 2 / (weights**2).sum()) if len(weights) else 0.0
    return vectors.T @ units.weights, weights, min(df, has.shape[1] - 1.0)


def _with_singles(
    deviations: _Deviations,
    values: Floats,
    squares: Floats,
    sizes: NDArray[np.int64],
    lender: NDArray[np.int64],
    singles: NDArray[np.int64],
) -> _Deviations:
    """Cells of one seed, of which nothing says how they go with the others: at worst standard deviations add up."""
    free = sizes[lender[singles]] - 1
    lent = float(np.sqrt(squares[lender[singles]] / free).sum()) / len(sizes)
    rest = deviations.variance(values) ** 0.5
    grown = ((rest + lent) / rest) ** 2 if rest else 1.0
    return replace(deviations, weights=deviations.weights * grown, df=min(deviations.df, float(free.min())))


def _residual(units: PairedDifferences, values: Floats) -> _Deviations | None:
    """One seed: what the main effects of at least two other factors leave unexplained stands in."""
    varying = [c for c in (*units.levels.T, units.folds) if len(np.unique(c)) > 1]
    if len(varying) < 2:
        return None
    design = np.hstack([np.ones((len(units), 1)), *(_dummies(c) for c in varying)])
    # The projection on the main effects; (I - H) d are the residuals, with U - rank degrees of freedom.
    left = np.eye(len(units)) - design @ np.linalg.pinv(design)
    df = len(units) - int(np.linalg.matrix_rank(design))
    if df < 1:
        return None
    rows = left @ units.weights
    return _Deviations(rows, np.full(len(units), 1 / (len(units) * df)), float(df), "residual")


def _between_folds(
    units: PairedDifferences,
    values: Floats,
    variances: Variances | None,
    image_variance: float,
) -> Noise:
    """Folds: the mean over other training splits, images and seeds included.

    The K folds' training sets overlap, so what a training set does varies less between them than between fresh ones:
    Nadeau and Bengio (2003) take s^2 (1 / K + n_test / n_train) for the variance of the mean, n_test / n_train being
    1 / (K - 1). Folds share no images, so the second term is of what these leave of s^2. (To take off the seeds as well
    covered 92 %: what is known of their variance is too little.) Without `variances`, where seeds are shared, it is of
    all of s^2, as in the paper.
    """
    folds = np.unique(units.folds)
    centred = units.weights - _means(units.cells) @ units.weights
    rows = np.array([_normed(units.shares * (units.folds == fold)) @ centred for fold in folds])
    rows -= rows.mean(axis=0)
    k = len(folds)
    between = float(((rows @ values) ** 2).sum()) / (k - 1)
    by_splits = between
    if variances is not None:
        by_splits = max(0.0, between - float(variances(rows).sum()) / (k - 1))
    return Noise(image_variance, between / k + by_splits / (k - 1), k - 1.0, "folds")


def _centred(units: PairedDifferences) -> Floats:
    """[U, T] the differences less their cell's mean."""
    return units.weights - _means(units.blocks) @ units.weights


def _sums(groups: NDArray[np.int64], values: Floats, least: int = 0) -> Floats:
    """Sum of the values of each group, of as many groups at least."""
    return np.bincount(groups, values, least).astype(np.float64)


def _means(groups: NDArray[np.int64]) -> Floats:
    """[U, U] takes values to the means of their groups."""
    return (groups[:, None] == groups) / np.bincount(groups)[groups]


def _normed(weights: Floats) -> Floats:
    return weights / weights.sum()


def _dummies(codes: NDArray[np.int64]) -> Floats:
    """[U, levels - 1] indicators of all levels but the first."""
    return (codes[:, None] == np.unique(codes)[1:]).astype(np.float64)
