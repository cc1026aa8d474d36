"""Intervals of scores over the choice of validation images, on few images and on many.

How a score moves with the images is an array over blocks of images whose squares sum up to the score's variance: from
leaving each block out in turn (jackknife, Tukey 1958), or, on many images, from the score's derivatives (`influence`),
which need one sort. The moves of a difference of two scores are the difference of theirs.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, stdtrit

from swath.analysis import influence
from swath.core import metrics

Floats = NDArray[np.float64]
BLOCKS = 1000
"""Blocks left out in turn at most; where there are more groups, chance puts several into a block."""
_LARGE = 200_000  # images times labels above which leaving out would dominate the report's time
_CHUNK_VALUES = 4_000_000  # image weights held at a time: 32 MB in float64


def blocks_of(images: int, labels: int, groups: int) -> int:
    """How many blocks are left out in turn for a task's size; 0 where derivatives serve."""
    return 0 if images * labels > _LARGE else min(groups, BLOCKS)


def left_out(
    metric: str, kind: str, targets: NDArray[np.uint8], members: list[Floats], groups: NDArray[np.int64]
) -> Floats:
    """Moves of the mean score of some predictions, from leaving out whole groups of images.

    Args:
        metric: `map` or `macro_f1`.
        kind: `multilabel` or `multiclass`.
        targets: [N, C].
        members: Probabilities [N, C] of each.
        groups: [N] group index from 0.

    Returns:
        [blocks] moves; all NaN with a single group.
    """
    units = int(groups.max(initial=-1)) + 1
    blocks = min(units, BLOCKS)
    block = groups if blocks == units else (np.random.default_rng(0).permutation(units) % blocks)[groups]
    step = max(1, _CHUNK_VALUES // max(len(targets), 1))
    chunk_scores = []
    for start in range(0, blocks, step):
        weights = (block != np.arange(start, min(start + step, blocks))[:, None]).astype(np.float64)
        chunk_scores.append([metrics.macro(metrics.per_label(metric, kind, targets, p, weights)) for p in members])
    scores = np.concatenate(chunk_scores, axis=1).mean(axis=0)
    # Jackknife variance: (B - 1) / B sum_b (s_(b) - mean)^2, with s_(b) the score without block b.
    return (scores.mean() - scores) * np.sqrt((blocks - 1) / blocks)


def from_derivatives(derivative: NDArray[np.float32]) -> Floats:
    """Moves of a score with derivatives [G] in the weights of the image groups."""
    units = len(derivative)
    return derivative.astype(np.float64) * np.sqrt(units / (units - 1) if units > 1 else np.nan)


def moves_of(
    metric: str, kind: str, targets: NDArray[np.uint8], p: Floats, groups: NDArray[np.int64]
) -> tuple[float, Floats]:
    """The score of predictions [N, C] and its moves by derivatives; arguments as of `left_out`."""
    values, derivative = influence.per_label(metric, kind, targets, p)
    summed = influence.group_sums(derivative.sum(axis=0) / max(1, int(np.isfinite(values).sum())), groups)
    return float(metrics.macro(values)), from_derivatives(summed)


def over_folds(moves: list[Floats]) -> Floats:
    """Moves of the mean over folds, which have images of their own."""
    return np.concatenate(moves) / len(moves)


def half_width(moves: Floats) -> float:
    """Half the 95 % interval."""
    return float(stdtrit(freedom(moves), 0.975)) * float((moves**2).sum()) ** 0.5


def freedom(moves: Floats) -> float:
    """Degrees of freedom of the variance V that moves have as the sum of their squares.

    Few images may make most of it, and it is then less well known than their number says: 2 V^2 / var(V), var(V)
    estimated from the moves' fourth powers (Satterthwaite).
    """
    squares = moves**2
    variance = float(squares.sum())
    spread = float((squares**2).sum()) - variance**2 / max(len(moves), 1)
    return float(np.clip(2 * variance**2 / spread if spread > 0 else np.inf, 1.0, 1e9))


def of_score(score: float, moves: Floats) -> tuple[float, float]:
    """95 % interval of a score between 0 and 1, on the scale of its logit: a score near 1 varies less upwards.

    On simulated tasks of 300 images (mean mAP .94 and .77, and .85 with rare labels) it held the true mAP in 94, 92 and
    95 % of the cases, the basic bootstrap in 87, 89 and 82 %.
    """
    half = half_width(moves)
    if not 0 < score < 1:
        return max(score - half, 0.0), min(score + half, 1.0)
    # The logit's derivative is 1 / (s (1 - s)): the half-width on its scale to first order.
    step = half / (score * (1 - score))
    return float(expit(logit(score) - step)), float(expit(logit(score) + step))


def of_difference(difference: float, moves: Floats) -> tuple[float, float]:
    """95 % interval of a difference of two scores."""
    half = half_width(moves)
    return difference - half, difference + half
