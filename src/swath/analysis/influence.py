"""How much each validation image moves a score: derivatives of the metrics in the images' weights.

The derivative of a score in the weight of an image, at equal weights, is its influence value divided by the number of
images (Hampel 1974). The score on a resampled set differs from the score on this one by nearly the sum of derivative
times change in weight, so a variance over resampled images is a sum of squares, without resampling: the infinitesimal
jackknife (Jaeckel 1972; Efron 1982, chapter 6). Derivatives of different trials on the same images are paired image by
image, so those of a difference between trials are the difference of theirs.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from swath.core import metrics
from swath.core.average_precision import average_precision_with_derivatives

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]


def per_label(metric: str, kind: str, targets: NDArray[np.uint8], p: Floats) -> tuple[Floats, Float32s]:
    """The metric of each label and its derivatives.

    Args:
        metric: `map` or `macro_f1`.
        kind: `multilabel` or `multiclass`.
        targets: [N, C], 0 or 1.
        p: Probabilities [N, C].

    Returns:
        Values [C], NaN for a label that cannot be scored, and derivatives [C, N] in the images' weights, 0 for such a
        label. The derivatives of a label sum to 0: twice as many of every image change nothing.
    """
    if metric == "map":
        return average_precision_with_derivatives(targets, p)
    if metric == "macro_f1":
        return f1(targets, metrics.decisions(p, kind))
    raise ValueError(f"metric {metric!r} is none of {', '.join(metrics.METRICS)}")


def f1(targets: NDArray[np.uint8], hard: NDArray[np.uint8]) -> tuple[Floats, Float32s]:
    """F1 of each label, [C], and its derivatives, [C, N]: (2 y h - F1 (y + h)) / sum(y + h)."""
    y, h = targets.T.astype(np.float64), hard.T.astype(np.float64)
    total = (y + h).sum(axis=1, keepdims=True)
    scored = total > 0
    value = 2 * (y * h).sum(axis=1, keepdims=True) / np.where(scored, total, 1)
    # F1(w) = 2 sum w y h / sum w (y + h); the quotient rule at w = 1.
    derivative = (2 * y * h - value * (y + h)) / np.where(scored, total, 1)
    return np.where(scored, value, np.nan)[:, 0], derivative.astype(np.float32)


def mean(values: Floats) -> tuple[float, Float32s]:
    """A mean over images, such as accuracy, and its derivatives [N]."""
    value = float(values.mean())
    return value, ((values - value) / len(values)).astype(np.float32)


def group_sums(derivative: Float32s, groups: NDArray[np.int64]) -> Float32s:
    """Derivatives [..., N] summed over the images of each group, [..., G]; groups are numbered from 0."""
    count = int(groups.max()) + 1 if len(groups) else 0
    if np.array_equal(groups, np.arange(count)):
        return derivative
    if count == len(groups):
        summed = np.empty_like(derivative)
        summed[..., groups] = derivative
        return summed
    by_group = csr_matrix((np.ones(len(groups), np.float32), (groups, np.arange(len(groups)))), (count, len(groups)))
    flat = derivative.reshape(-1, len(groups))
    return np.ascontiguousarray((by_group @ flat.T).T).reshape(*derivative.shape[:-1], count)


def variance(derivative: Float32s) -> Floats:
    """Variance over resampled groups of a score with derivatives [..., G]: G / (G - 1) times the sum of squares."""
    units = derivative.shape[-1]
    if units < 2:
        return np.full(derivative.shape[:-1], np.nan)
    return np.einsum("...g,...g->...", derivative, derivative, dtype=np.float64) * units / (units - 1)


def covariance(derivatives: Floats) -> Floats:
    """[K, K] over resampled groups of scores with derivatives [K, G]; see `variance`."""
    units = derivatives.shape[-1]
    if units < 2:
        return np.full((len(derivatives), len(derivatives)), np.nan)
    return derivatives @ derivatives.T * units / (units - 1)
