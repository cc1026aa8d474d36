"""Average precision and F1: numpy and scipy only, used by training and report alike.

Targets are uint8 [N, C], one-hot for single-label tasks. A label that cannot be scored (no positives for average
precision; neither positives nor predictions for F1) is NaN in the per-label parts and left out of the macro mean,
as scikit-learn does with `zero_division=np.nan`.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
METRICS = ("map", "macro_f1")
METRIC_TITLES = {"map": "macro mAP", "macro_f1": "macro F1"}
_HALVES = 2**16  # values of a float16


def probabilities(logits: NDArray[np.floating], link: str) -> Floats:
    """Logits [N, C] to probabilities [N, C] by the link of the loss.

    Args:
        logits: Any float type.
        link: `sigmoid`, `normalised_sigmoid` (sigmoids divided by their sum) or `softmax`.
    """
    if link == "softmax":
        x = np.asarray(logits, dtype=np.float64)
        e = np.exp(x - x.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)
    if link == "sigmoid":
        return _sigmoid(np.asarray(logits))
    if link == "normalised_sigmoid":
        p = _sigmoid(np.asarray(logits))
        return p / np.maximum(p.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    raise ValueError(f"link {link!r} is none of sigmoid, normalised_sigmoid, softmax")


def _sigmoid(logits: NDArray[np.floating]) -> Floats:
    if logits.dtype == np.float16 and logits.size > _HALVES:
        return _sigmoids_of_halves()[logits.view(np.uint16)]
    x = logits.astype(np.float64)
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


@cache
def _sigmoids_of_halves() -> Floats:
    """[65536] the sigmoid of every float16, by its bits: looking up is ten times as quick as computing."""
    with np.errstate(invalid="ignore"):  # some of them are signalling NaNs
        return _sigmoid(np.arange(_HALVES, dtype=np.uint16).view(np.float16))


def decisions(p: Floats, kind: str) -> NDArray[np.uint8]:
    """Hard predictions [N, C]: over one half for each label (multilabel), or the one largest (multiclass)."""
    if kind == "multilabel":
        return (p > 0.5).astype(np.uint8)
    hard = np.zeros(p.shape, np.uint8)
    hard[np.arange(len(p)), p.argmax(axis=1)] = 1
    return hard


def average_precision(targets: NDArray[np.uint8], scores: Floats, weights: Floats | None = None) -> Floats:
    """Average precision of each label: the sum over distinct scores of precision times gain in recall.

    Equal scores form one threshold, as in `sklearn.metrics.average_precision_score`.

    Args:
        targets: [N, C], 0 or 1.
        scores: [N, C], larger means more likely.
        weights: [B, N] image weights, for B weightings at once; None weighs every image 1.

    Returns:
        [B, C] with weights, [C] without; NaN where a label has no positive weight.
    """
    if weights is None:
        return precision_recall_areas(targets, scores)[0]
    # Image-major, so that the sums over images run along contiguous rows of replicates.
    w = np.ascontiguousarray(weights.T)
    return np.stack([_label_average_precision(y, s, w) for y, s in zip(targets.T, scores.T, strict=True)], axis=1)


def precision_recall_areas(targets: NDArray[np.uint8], scores: Floats) -> tuple[Floats, Floats]:
    """Two areas under the precision-recall curve of each label, from one sort: by steps and by trapezoids.

    Steps are average precision. Trapezoids start from precision 1 at recall 0, as the area (`auc`) of scikit-learn's
    `precision_recall_curve` does; straight lines between points are too high (Davis and Goadrich 2006).

    Args:
        targets: [N, C], 0 or 1.
        scores: [N, C], larger means more likely.

    Returns:
        Both [C]; NaN where a label has no positives.
    """
    areas = [_areas(y, s) for y, s in zip(np.ascontiguousarray(targets.T), np.ascontiguousarray(scores.T), strict=True)]
    steps, trapezoids = np.array(areas).reshape(-1, 2).T
    return steps, trapezoids


def _areas(y: NDArray[np.uint8], s: Floats) -> tuple[float, float]:
    order = np.argsort(-s)
    ranked = s[order]
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(s) - 1)
    found = np.cumsum(y[order], dtype=np.int64)[ends]
    if not found[-1]:
        return float("nan"), float("nan")
    precision, gains = found / (ends + 1), np.diff(found, prepend=0)
    before = np.append(1.0, precision[:-1])
    return float((precision * gains).sum() / found[-1]), float(((precision + before) * gains).sum() / 2 / found[-1])


def _label_average_precision(y: NDArray[np.uint8], s: Floats, w: Floats) -> Floats:
    """[B] for weights [N, B]. Only thresholds that retrieve a positive gain recall, so only they are summed up to."""
    from scipy.sparse import csr_matrix  # only reports need it, and it slows `import swath` down

    order = np.argsort(-s, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(s[order])), len(s) - 1)
    positive = np.flatnonzero(y[order])
    if not len(positive):
        return np.full(w.shape[1], np.nan)
    hit, first = np.unique(np.searchsorted(ends, positive), return_index=True)
    stops = ends[hit] + 1

    def sums(rows: NDArray[np.int64], bounds: NDArray[np.int64]) -> Floats:
        return csr_matrix((np.ones(len(rows)), rows, bounds), shape=(len(stops), len(s))) @ w

    retrieved = np.cumsum(sums(order[: stops[-1]], np.append(0, stops)), axis=0)
    gains = sums(order[positive], np.append(first, len(positive)))
    true_positives = np.cumsum(gains, axis=0)
    precision = true_positives / np.where(retrieved > 0, retrieved, 1)
    positives = true_positives[-1]
    return np.where(positives > 0, (precision * gains).sum(axis=0) / np.where(positives > 0, positives, 1), np.nan)


def f1(targets: NDArray[np.uint8], hard: NDArray[np.uint8], weights: Floats | None = None) -> Floats:
    """F1 of each label, 2 TP / (2 TP + FP + FN).

    Args:
        targets: [N, C], 0 or 1.
        hard: [N, C], 0 or 1, from `decisions`.
        weights: [B, N] image weights or None.

    Returns:
        [B, C] with weights, [C] without; NaN where a label has neither positives nor predictions.
    """
    if weights is None:
        true_positives, total = _counts(targets & hard), _counts(targets) + _counts(hard)
    else:
        true_positives = weights @ (targets & hard).astype(np.float64)
        total = weights @ targets.astype(np.float64) + weights @ hard.astype(np.float64)
    return np.where(total > 0, 2 * true_positives / np.where(total > 0, total, 1), np.nan)


def _counts(marked: NDArray[np.uint8]) -> NDArray[np.int64]:
    """[C] how many of [N, C] are 1."""
    return np.count_nonzero(marked, axis=0)


def per_label(metric: str, kind: str, targets: NDArray[np.uint8], p: Floats, weights: Floats | None = None) -> Floats:
    """The metric of each label, [C] or [B, C] with weights [B, N]; `p` are probabilities [N, C]."""
    if metric == "map":
        return average_precision(targets, p, weights)
    if metric == "macro_f1":
        return f1(targets, decisions(p, kind), weights)
    raise ValueError(f"metric {metric!r} is none of {', '.join(METRICS)}")


def macro(parts: Floats) -> Floats:
    """Mean over the labels that could be scored, along the last axis; NaN where none could."""
    scored = ~np.isnan(parts)
    count = scored.sum(axis=-1)
    return np.where(count > 0, np.where(scored, parts, 0).sum(axis=-1) / np.maximum(count, 1), np.nan)


def score(metric: str, kind: str, targets: NDArray[np.uint8], p: Floats) -> float:
    """The task's metric, macro mAP or macro F1, of probabilities [N, C]."""
    return float(macro(per_label(metric, kind, targets, p)))
