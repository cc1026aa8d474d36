"""Per-label thresholds of the largest F1 for a multi-label task, chosen and scored on different images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swath.analysis.ensembles.pool import Floats
from swath.core import metrics

FEW_POSITIVES = 10
"""Labels with fewer positives share one threshold, chosen for all of them together."""


@dataclass(frozen=True)
class F1Scores:
    """F1 of hard predictions, three ways.

    Attributes:
        macro: Mean over labels that have positives or predictions.
        micro: Over all decisions together.
        samples: Mean over images; an image without labels and without predictions counts 1.
    """

    macro: float
    micro: float
    samples: float


@dataclass(frozen=True)
class Thresholds:
    """Thresholds and what they are worth.

    Attributes:
        values: [C] chosen on all images for the ensemble that was chosen on all of them; a label is predicted where its
            probability is above.
        pooled: Labels that share a threshold, having too few positives for one of their own.
        before: F1 at one half, of cross-fitted probabilities.
        after: F1 of cross-fitted decisions: each image is decided by thresholds chosen without it.
        naive: F1 at `values`, on the images that chose them; too good.
        moved: [C] F1 of each label, cross-fitted, minus that at one half; NaN where a label cannot be scored.
    """

    values: Floats
    pooled: tuple[str, ...]
    before: F1Scores
    after: F1Scores
    naive: F1Scores
    moved: Floats


def thresholds(
    targets: NDArray[np.uint8], p: Floats, fitted: Sequence[Floats], parts: NDArray[np.int64], labels: tuple[str, ...]
) -> Thresholds:
    """Choose thresholds, and score the choice.

    Args:
        targets: [N, C].
        p: [N, C] probabilities of the ensemble that was chosen on all images.
        fitted: Of each part [N, C] those of the ensemble that was chosen without it. Others have other scales,
            so the thresholds of a part are those of its own ensemble on the other parts.
        parts: [N] part of each image, from `cross_fit.cross_fit_parts`.
        labels: Names of the labels.
    """
    hard, half = np.zeros(targets.shape, np.uint8), np.zeros(targets.shape, np.uint8)
    for part, chosen in enumerate(fitted):
        here = parts == part
        hard[here] = chosen[here] > best_thresholds(targets[~here], chosen[~here])
        half[here] = chosen[here] > 0.5
    values = best_thresholds(targets, p)
    few = targets.sum(axis=0) < FEW_POSITIVES
    return Thresholds(
        values=values,
        pooled=tuple(label for label, is_few in zip(labels, few, strict=True) if is_few),
        before=f1_scores(targets, half),
        after=f1_scores(targets, hard),
        naive=f1_scores(targets, (p > values).astype(np.uint8)),
        moved=metrics.f1(targets, hard) - metrics.f1(targets, half),
    )


def best_thresholds(targets: NDArray[np.uint8], p: Floats) -> Floats:
    """[C] the threshold of the largest F1 of each label, exactly, as every distinct score is tried.

    A threshold lies halfway between two neighbouring scores, so that it holds for scores not seen. Labels with
    fewer than `FEW_POSITIVES` positives get the threshold that is best for all of them taken as one.
    """
    values = np.full(targets.shape[1], 0.5)
    few = targets.sum(axis=0) < FEW_POSITIVES
    for label in np.flatnonzero(~few):
        values[label] = _best_threshold(targets[:, label], p[:, label])
    if targets[:, few].any():
        values[few] = _best_threshold(targets[:, few].ravel(), p[:, few].ravel())
    return values


def _best_threshold(y: NDArray[np.uint8], s: Floats) -> float:
    order = np.argsort(-s, kind="stable")
    ranked = s[order]
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    true_positives = np.cumsum(y[order], dtype=np.float64)[ends]
    # 2 TP / (2 TP + FP + FN): predicted plus actual positives are the denominator.
    f1 = 2 * true_positives / (ends + 1 + y.sum())
    best = ends[int(np.argmax(f1))]
    below = ranked[best + 1] if best + 1 < len(ranked) else 0.0
    return float((ranked[best] + below) / 2)


def f1_scores(targets: NDArray[np.uint8], hard: NDArray[np.uint8]) -> F1Scores:
    """Macro, micro and per-image F1 of hard predictions [N, C]."""
    both, either = (targets & hard).sum(axis=1), targets.sum(axis=1, dtype=np.int64) + hard.sum(axis=1)
    samples = np.where(either > 0, 2 * both / np.maximum(either, 1), 1.0)
    return F1Scores(
        macro=float(metrics.macro(metrics.f1(targets, hard))),
        micro=float(2 * both.sum() / max(int(either.sum()), 1)),
        samples=float(samples.mean()),
    )
