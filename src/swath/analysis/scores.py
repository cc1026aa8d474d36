"""What a trial's predictions are worth by every metric that people watch, beside the task's own.

Decisions are those at one half for a multi-label task, the most probable label for a single-label one. Losses are
those of the predictions, the same for every trial whatever loss it was trained with, and without class weights.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from swath.core import metrics
from swath.core.average_precision import precision_recall_areas

Floats = NDArray[np.float64]
TITLES = {
    "map": "mAP",
    "pr_auc": "PR-AUC",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "accuracy": "accuracy",
    "exact_match": "exact match",
    "bce": "BCE",
    "cross_entropy": "cross-entropy",
}
"""Every score that a trial may have; all but the losses are 0 to 1, and more is better."""
MEANING = {
    "pr_auc": "PR-AUC is the area under the precision-recall curve by trapezoids, mean over labels; average "
    "precision takes steps instead, so the two differ a little.",
    "bce": "F1 and accuracy are of labels with a probability above one half: accuracy over all decisions on a label of "
    "an image, exact match over images with every label right. BCE is the unweighted binary cross-entropy of the "
    "predictions, whatever loss a cell was trained with; less is better.",
    "cross_entropy": "Accuracy is the share of images whose most probable label is right; micro F1 and exact match "
    "would be the same number. Cross-entropy is that of the true label, unweighted, whatever loss a cell was trained "
    "with; less is better.",
}
"""What readers should know of a score, by its name."""


def trial_scores(kind: str, link: str, targets: NDArray[np.uint8], logits: NDArray[np.float16]) -> dict[str, float]:
    """The scores of stored predictions.

    Args:
        kind: `multilabel` or `multiclass`.
        link: From logits to probabilities; see `metrics.probabilities`.
        targets: [N, C], 0 or 1.
        logits: [N, C].

    Returns:
        Name (of `TITLES`) to score: `map`, `pr_auc`, `macro_f1` and `accuracy` always, `micro_f1`, `exact_match` and
        `bce` of a multi-label task, `cross_entropy` of a single-label one, where they mean something of their own.
    """
    p = metrics.probabilities(logits, link)
    hard = metrics.decisions(p, kind)
    precision, area = precision_recall_areas(targets, p)
    scores = {
        "map": float(metrics.macro(precision)),
        "pr_auc": float(metrics.macro(area)),
        "macro_f1": float(metrics.macro(metrics.f1(targets, hard))),
    }
    right = hard == targets
    if kind == "multiclass":
        return {
            **scores,
            "accuracy": float(right.all(axis=1).mean()),
            "cross_entropy": cross_entropy(link, targets, logits),
        }
    positives = np.count_nonzero(targets) + np.count_nonzero(hard)
    return {
        **scores,
        "micro_f1": 2 * np.count_nonzero(targets & hard) / positives if positives else float("nan"),
        "accuracy": float(right.mean()),
        "exact_match": float(right.all(axis=1).mean()),
        "bce": bce(targets, logits),
    }


def bce(targets: NDArray[np.uint8], logits: NDArray[np.floating]) -> float:
    """Mean binary cross-entropy over images and labels: log(1 + exp(-x)) of a positive, log(1 + exp(x)) otherwise."""
    x = logits.astype(np.float32)
    # Of float32, as its error of 1e-7 is far below that of the stored float16 logits.
    with np.errstate(invalid="ignore"):  # predictions that are no numbers have no loss
        return float(np.logaddexp(np.float32(0), np.where(targets > 0, -x, x)).mean(dtype=np.float64))


def cross_entropy(link: str, targets: NDArray[np.uint8], logits: NDArray[np.floating]) -> float:
    """Mean -log p of each image's true label, for targets that have one."""
    x = logits.astype(np.float64)
    if link == "normalised_sigmoid":  # p is proportional to the sigmoid
        x = -np.logaddexp(0, -x)
    return float(-log_softmax(x, axis=1)[targets > 0].mean())
