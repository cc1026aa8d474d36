"""Labels with few positives: their share of the image noise by drawing images again, jointly for all trials.

The derivatives of `influence` describe small changes of the weights. With a handful of positives one image more or
less is no small change, and intervals from derivatives come out about 12 % short.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from swath.core import metrics
from swath.core.average_precision import average_precision

Floats = NDArray[np.float64]
FEW = 20
"""Positives on the validation images below which a label is rare."""
REPLICATES = 1000
REPLICATES_LARGE = 400
_LARGE = 4000  # groups of images above which fewer replicates keep the report quick


@dataclass(frozen=True)
class Draws:
    """Images drawn with replacement: how often each group came.

    Attributes:
        counts: float32 [B, G].
        groups: [N] group of each image.
    """

    counts: NDArray[np.float32]
    groups: NDArray[np.int64]

    @cached_property
    def weights(self) -> Floats:
        """[B, N] of the images; image after image in memory, as sums over images want them."""
        return np.ascontiguousarray(self.counts.T)[self.groups].astype(np.float64).T


def draw(groups: NDArray[np.int64], seed: int, replicates: int = 0) -> Draws:
    """Draw whole groups, as many as there are; 0 replicates takes the number for this size."""
    units = int(groups.max()) + 1
    size = replicates or (REPLICATES_LARGE if units > _LARGE else REPLICATES)
    counts = np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), size=size)
    return Draws(counts.astype(np.float32), groups)


def rare_labels(targets: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Numbers of the labels with 1 to 19 positives among [N, C]."""
    positives = targets.sum(axis=0, dtype=np.int64)
    return np.flatnonzero((positives > 0) & (positives < FEW))


def correction(targets: NDArray[np.uint8], groups: NDArray[np.int64]) -> NDArray[np.float32]:
    """[C] by how much a score's spread over resampled images must grow: sqrt(P / (P - 1)) for P positives.

    Resampling P things once each spreads their mean by (P - 1) / P of the variance that P fresh ones would have. P
    counts the groups that carry the label.
    """
    carried = np.zeros((int(groups.max(initial=0)) + 1, targets.shape[1]), np.uint8)
    np.maximum.at(carried, groups, targets)
    positives = np.maximum(carried.sum(axis=0, dtype=np.int64), 2)
    return np.sqrt(positives / (positives - 1)).astype(np.float32)


def replicated(
    metric: str, kind: str, targets: NDArray[np.uint8], members: Sequence[Floats], draws: Draws, rare: NDArray[np.int64]
) -> Floats:
    """The metric of the rare labels of each trial on the drawn images.

    Args:
        metric: `map` or `macro_f1`.
        kind: `multilabel` or `multiclass`.
        targets: [N, C].
        members: Probabilities [N, C] of each trial.
        draws: The drawn images.
        rare: [R] label numbers.

    Returns:
        [B, T, R]; NaN, for all trials alike, where a draw has no positive of the label.
    """
    weights = draws.weights
    y = np.ascontiguousarray(targets[:, rare])
    absent = weights @ y.astype(np.float64) <= 0
    scores = np.empty((len(weights), len(members), len(rare)))
    for at, p in enumerate(members):
        if metric == "macro_f1":
            values = metrics.f1(y, metrics.decisions(p, kind)[:, rare], weights)
        else:
            values = average_precision(y, p[:, rare], weights)
        scores[:, at] = np.where(absent, np.nan, values)
    return scores
