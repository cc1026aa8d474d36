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
    values, derivative = np.full(targets.shape[1], np.nan), np.zeros(targets.T.shape, np.float32)
    # Label by label: the arrays of one label stay in the processor's cache.
    for c, (y, s) in enumerate(zip(np.ascontiguousarray(targets.T), np.ascontiguousarray(scores.T), strict=True)):
        if y.any():
            values[c] = _average_precision(y, s, derivative[c])
    return values, derivative


def _average_precision(y: NDArray[np.uint8], s: Floats, derivative: Float32s) -> float:
    """Average precision of one label with positives; its derivatives are written into an array [N]."""
    order = np.argsort(-s)
    ranked, hits = s[order], y[order]
    # Images of equal score form a block; all sums are over blocks.
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(s) - 1)
    found = np.cumsum(hits, dtype=np.int64)[ends]
    gains = np.diff(found, prepend=0) / (ends + 1)
    precision = found / (ends + 1)
    total = float(found[-1])
    value = float((gains * found).sum()) / total
    # With F_k positives and n_k images down to block k, precision_k = F_k / n_k and AP = sum_k g_k F_k / P, where
    # g_k = (positives in block k) / n_k. The positives scored no higher than an image of block b are those of the
    # blocks k >= b, so the sum of the docstring is y_j sum_{k>=b} g_k - sum_{k>=b} g_k precision_k: two running sums
    # from the end, and one sort in all.
    gain = np.cumsum(gains[::-1])[::-1]
    loss = np.cumsum((gains * precision)[::-1])[::-1]
    block = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=-1))
    derivative[order] = ((hits * (precision - value + gain)[block] - loss[block]) / total).astype(np.float32)
    return value


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
