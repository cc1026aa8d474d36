"""The metrics of tasks, macro mAP and macro F1, and what they are of: probabilities and decisions. Numpy only.

Training and report use the same ones; the formulas of average precision are in `swath.core.average_precision`.

Targets are uint8 [N, C], one-hot for single-label tasks. A label that cannot be scored (no positives for average
precision; neither positives nor predictions for F1) is NaN in the per-label parts and left out of the macro mean,
as scikit-learn does with `zero_division=np.nan`.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from swath.core.average_precision import average_precision

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
