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

from swath import metrics

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
        return average_precision(targets, p)
    if metric == "macro_f1":
        return f1(targets, metrics.decisions(p, kind))
    raise ValueError(f"metric {metric!r} is none of {', '.join(metrics.METRICS)}")


def average_precision(targets: NDArray[np.uint8], scores: Floats) -> tuple[Floats, Float32s]:
    """Average precision of each label, [C], and its derivatives, [C, N].

    With image weights w the precision at a positive i is A_i / B_i, the weight of the positives and of all images that
    score at least as high, and AP = sum_i w_i A_i / B_i / P over the P positives. Hence, at w = 1, image j has
    [y_j (A_j / B_j - AP) + sum over positives i scored no higher than j of (y_j - A_i / B_i) / B_i] / P.
    """
    keys = np.ascontiguousarray(-scores.T)
    order = np.argsort(keys, axis=1)
    y = np.take_along_axis(np.ascontiguousarray(targets.T), order, axis=1).astype(np.float64)
    first, last = _ties(np.take_along_axis(keys, order, axis=1))
    positives = y.sum(axis=1, keepdims=True)
    scored = positives[:, 0] > 0
    total = np.where(positives > 0, positives, 1)
    retrieved = last + 1.0
    precision = np.take_along_axis(np.cumsum(y, axis=1), last, axis=1) / retrieved
    value = (y * precision).sum(axis=1, keepdims=True) / total
    gain, loss = (
        np.take_along_axis(np.cumsum(part[:, ::-1], axis=1)[:, ::-1], first, axis=1)
        for part in (y / retrieved, y * precision / retrieved)
    )
    derivative = np.empty(y.shape, np.float32)
    np.put_along_axis(derivative, order, ((y * (precision - value + gain) - loss) / total).astype(np.float32), axis=1)
    return np.where(scored, value[:, 0], np.nan), derivative


def _ties(ordered: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each place of sorted rows [C, N] the first and the last place with an equal value."""
    at = np.broadcast_to(np.arange(ordered.shape[1]), ordered.shape)
    new = np.diff(ordered, axis=1) != 0
    edge = np.ones((len(ordered), 1), bool)
    first = np.maximum.accumulate(np.where(np.hstack([edge, new]), at, 0), axis=1)
    ends = np.where(np.hstack([new, edge]), at, ordered.shape[1])
    return first, np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]


def f1(targets: NDArray[np.uint8], hard: NDArray[np.uint8]) -> tuple[Floats, Float32s]:
    """F1 of each label, [C], and its derivatives, [C, N]: (2 y h - F1 (y + h)) / sum(y + h)."""
    y, h = targets.T.astype(np.float64), hard.T.astype(np.float64)
    total = (y + h).sum(axis=1, keepdims=True)
    scored = total > 0
    value = 2 * (y * h).sum(axis=1, keepdims=True) / np.where(scored, total, 1)
    derivative = (2 * y * h - value * (y + h)) / np.where(scored, total, 1)
    return np.where(scored, value, np.nan)[:, 0], derivative.astype(np.float32)


def mean(values: Floats) -> tuple[float, Float32s]:
    """A mean over images, such as accuracy, and its derivatives [N]."""
    value = float(values.mean())
    return value, ((values - value) / len(values)).astype(np.float32)


def group_sums(derivative: Float32s, groups: NDArray[np.int64]) -> Float32s:
    """Derivatives [..., N] summed over the images of each group, [..., G]; groups are numbered from 0."""
    count = int(groups.max()) + 1 if len(groups) else 0
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
