"""What the validation images say about differences between trials: the variance of any contrast of scores.

A contrast is a weighted sum of trial scores, such as the mean of paired differences. Its image variance is that of
the same sum when the images are drawn again, jointly for all trials.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swath.analysis import influence
from swath.analysis import rare_labels as rare
from swath.core import metrics

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class FoldEvidence:
    """Scores of the trials of one fold, and how they move with its validation images.

    Attributes:
        trials: [t] numbers of the trials.
        labels: [t, C] metric of each label; NaN where it cannot be scored.
        derivative: float32 [t, G] of the macro score in the weights of the image groups; of the part that the common
            labels have in it where `drawn` is there.
        plain: float32 [t, G] the same over all labels alike, without the correction for few positives.
        drawn: [B, t] macro score on drawn images, or None without rare labels.
        drawn_rare: [B, t] mean over the rare labels that a draw has positives of, or None.
        rare: Numbers of the labels with few positives.
        dropped: Share of draws without a positive, for each rare label.
        label_variance: [K, C] image variance of label-wise contrasts asked for; NaN for rare labels.
    """

    trials: NDArray[np.int64]
    labels: Floats
    derivative: Float32s
    plain: Float32s
    drawn: Floats | None
    drawn_rare: Floats | None
    rare: NDArray[np.int64]
    dropped: Floats
    label_variance: Floats

    @property
    def rare_scores(self) -> Floats:
        """[t] mean over the rare labels."""
        return metrics.macro(self.labels[:, self.rare])

    def variance(self, contrasts: Floats) -> Floats:
        """[K] image variance of contrasts [K, t] of the macro score."""
        if self.drawn is None:
            return influence.variance((contrasts.astype(np.float32) @ self.derivative).astype(np.float32))
        return _variance(self.drawn @ contrasts.T)

    def moves(self, contrast: Floats) -> Floats:
        """[G] how a contrast [t] of the macro score moves with each group of images, all labels alike."""
        return contrast @ self.plain

    def covariance(self, contrasts: Floats) -> Floats:
        """[K, K] of contrasts [K, t] of the macro score by the choice of images."""
        if self.drawn is None:
            return influence.covariance(contrasts @ self.derivative)
        drawn = self.drawn @ contrasts.T
        return np.atleast_2d(np.cov(drawn[np.isfinite(drawn).all(axis=1)].T))

    def rare_variance(self, contrasts: Floats) -> Floats:
        """[K] image variance of contrasts [K, t] of the mean over rare labels; NaN without any."""
        if self.drawn_rare is None:
            return np.full(len(contrasts), np.nan)
        return _variance(self.drawn_rare @ contrasts.T)


def _variance(drawn: Floats) -> Floats:
    """[K] over the replicates [B, K] that could be scored; those that could not are few, and the same for all."""
    return np.nanvar(drawn[np.isfinite(drawn).all(axis=1)], axis=0, ddof=1)


def gather(
    metric: str,
    kind: str,
    targets: NDArray[np.uint8],
    groups: NDArray[np.int64],
    trials: Sequence[int],
    predictions: Iterable[Floats],
    label_contrasts: Floats | None = None,
    few: NDArray[np.int64] | None = None,
    seed: int = 0,
    replicates: int = 0,
) -> FoldEvidence:
    """Read the predictions of one fold's trials, one at a time.

    Args:
        metric: `map` or `macro_f1`.
        kind: `multilabel` or `multiclass`.
        targets: [N, C] of the fold's validation images.
        groups: [N] group index from 0.
        trials: Numbers of the fold's trials.
        predictions: Their probabilities [N, C], in that order.
        label_contrasts: [K, t] contrasts whose variance is wanted label by label; None for none.
        few: Numbers of the labels to treat as rare, where another fold decides too; None finds them here.
        seed: Of the draws for rare labels.
        replicates: Number of draws; 0 takes the default for the size.
    """
    few = rare.rare_labels(targets) if few is None else few
    larger = rare.correction(targets, groups)
    common = np.setdiff1d(np.arange(targets.shape[1]), few)
    draws = rare.draw(groups, seed, replicates) if len(few) else None
    weights = np.zeros((0, len(trials))) if label_contrasts is None else label_contrasts
    units = int(groups.max()) + 1 if len(groups) else 0
    by_label = np.zeros((len(weights), len(common), units), np.float32)
    labels = np.full((len(trials), targets.shape[1]), np.nan)
    derivative, plain = np.zeros((2, len(trials), units), np.float32)
    drawn_few = np.empty((len(draws.counts) if draws else 0, len(trials), len(few)))
    for at, p in enumerate(predictions):
        labels[at], moves = influence.per_label(metric, kind, targets, p)
        moves = influence.group_sums(moves, groups)
        plain[at] = moves.sum(axis=0) / max(1, np.isfinite(labels[at]).sum())
        # P positives drawn again spread their mean by (P - 1) / P of what fresh ones would: sqrt(P / (P - 1)) a label.
        moves = moves[common] * larger[common, None]
        derivative[at] = moves.sum(axis=0)
        for k in np.flatnonzero(weights[:, at]):
            by_label[k] += np.float32(weights[k, at]) * moves
        if draws is not None:
            drawn_few[:, [at]] = rare.replicated(metric, kind, targets, [p], draws, few)
    label_variance = np.full((len(weights), targets.shape[1]), np.nan)
    label_variance[:, common] = influence.variance(by_label)
    drawn, drawn_rare, dropped = None, None, np.empty(0)
    if draws is None:
        derivative /= np.maximum(np.isfinite(labels).sum(axis=1, keepdims=True), 1)
    else:
        dropped = np.isnan(drawn_few[:, 0]).mean(axis=0)
        drawn_few = labels[:, few] + larger[few] * (drawn_few - labels[:, few])
        drawn, drawn_rare = _drawn(labels[:, common], derivative, drawn_few, draws)
    return FoldEvidence(
        trials=np.asarray(trials),
        labels=labels,
        derivative=derivative,
        plain=plain,
        drawn=drawn,
        drawn_rare=drawn_rare,
        rare=few,
        dropped=dropped,
        label_variance=label_variance,
    )


def _drawn(common: Floats, derivative: Float32s, few: Floats, draws: rare.Draws) -> tuple[Floats, Floats]:
    """Macro score on the drawn images, and the rare labels' part of it, both [B, t].

    Common labels follow their derivatives, rare ones were scored again; a rare label without positives in a draw
    leaves the mean of every trial.
    """
    # Score(w) = [sum over common c of (s_c + sum_g (w_g - 1) d_cg) + sum over rare c of s_c(w)] / labels with a score:
    # the first sum to first order in the groups' weights w, the second computed anew.
    moved = np.nansum(common, axis=1) + (draws.counts - 1) @ derivative.T
    present = np.isfinite(few)
    total = np.where(present, few, 0).sum(axis=2)
    count = np.isfinite(common).sum(axis=1) + present.sum(axis=2)
    with np.errstate(invalid="ignore"):
        return np.where(count > 0, (moved + total) / np.maximum(count, 1), np.nan), metrics.macro(few)
