"""How far probabilities can be believed: reliability curve, expected calibration error, temperature scaling."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, logit

from swath.analysis.ensembles.pool import Floats

BINS = 15
_EDGE = 1e-7  # probabilities are kept this far from 0 and 1 before their logarithm


@dataclass(frozen=True, eq=False)
class Calibration:
    """Reliability of probabilities, before and after temperature scaling.

    Attributes:
        confidence: [bins] mean predicted probability of each bin that holds any.
        frequency: [bins] share of positives there.
        count: [bins] decisions there.
        error: Expected calibration error (Guo et al. 2017, eq. 3), 0..1.
        loss: Mean negative log-likelihood.
        temperature: Of the ensemble that was chosen on all images, on these; above 1 its probabilities are too sure.
        scaled_error: Calibration error, cross-fitted: each image scaled by a temperature chosen without it.
        scaled_loss: Loss after it.
    """

    confidence: Floats
    frequency: Floats
    count: NDArray[np.int64]
    error: float
    loss: float
    temperature: float
    scaled_error: float
    scaled_loss: float


def calibration(
    kind: str, targets: NDArray[np.uint8], p: Floats, fitted: Sequence[Floats], parts: NDArray[np.int64]
) -> Calibration:
    """Measure the reliability of probabilities, and what one temperature would do for it.

    A multilabel task counts every label of every image as one decision; a multiclass task counts each image's most
    probable label, as Guo et al. do.

    Args:
        kind: `multilabel` or `multiclass`.
        targets: [N, C].
        p: [N, C] probabilities of the ensemble that was chosen on all images.
        fitted: Of each part [N, C] those of the ensemble that was chosen without it. Others have other scales,
            so the temperature of a part is that of its own ensemble on the other parts.
        parts: [N] part of each image, from `cross_fit.cross_fit_parts`.
    """
    unseen, scaled = np.empty_like(p), np.empty_like(p)
    for part, chosen in enumerate(fitted):
        here = parts == part
        unseen[here] = chosen[here]
        temperature = best_temperature(kind, targets[~here], chosen[~here])
        scaled[here] = tempered(kind, chosen[here], temperature)
    confidence, frequency, count = reliability(*_decisions(kind, targets, unseen))
    after = reliability(*_decisions(kind, targets, scaled))
    return Calibration(
        confidence=confidence,
        frequency=frequency,
        count=count,
        error=_error(confidence, frequency, count),
        loss=_loss(kind, targets, unseen),
        temperature=best_temperature(kind, targets, p),
        scaled_error=_error(*after),
        scaled_loss=_loss(kind, targets, scaled),
    )


def tempered(kind: str, p: Floats, temperature: float) -> Floats:
    """Probabilities [N, C] with their logits divided by a temperature (softmax logits for multiclass)."""
    if kind == "multiclass":
        return np.exp(log_softmax(np.log(np.maximum(p, _EDGE)) / temperature, axis=1))
    return expit(logit(np.clip(p, _EDGE, 1 - _EDGE)) / temperature)


def best_temperature(kind: str, targets: NDArray[np.uint8], p: Floats) -> float:
    """The temperature in 1/20..20 of the least negative log-likelihood."""

    def loss(log_temperature: float) -> float:
        return _loss(kind, targets, tempered(kind, p, float(np.exp(log_temperature))))

    minimum = minimize_scalar(loss, bounds=(-np.log(20), np.log(20)), method="bounded", options={"xatol": 1e-3})
    return float(np.exp(minimum.x))  # type: ignore[attr-defined]


def reliability(p: Floats, hit: NDArray[np.bool_]) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Mean probability, share of hits and number of decisions in each of `BINS` equal bins that is not empty."""
    bins = np.minimum((p * BINS).astype(np.int64), BINS - 1)
    count = np.bincount(bins, minlength=BINS)
    some = count > 0
    confidence = np.bincount(bins, weights=p, minlength=BINS)[some] / count[some]
    frequency = np.bincount(bins, weights=hit.astype(np.float64), minlength=BINS)[some] / count[some]
    return confidence, frequency, count[some]


def _decisions(kind: str, targets: NDArray[np.uint8], p: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    if kind == "multilabel":
        return p.ravel(), targets.ravel().astype(bool)
    most = p.argmax(axis=1)
    at = np.arange(len(p))
    return p[at, most], targets[at, most].astype(bool)


def _error(confidence: Floats, frequency: Floats, count: NDArray[np.int64]) -> float:
    # Expected calibration error (Guo et al. 2017): sum over bins of n_b / n |mean probability - share of hits|.
    return float((np.abs(confidence - frequency) * count).sum() / count.sum())


def _loss(kind: str, targets: NDArray[np.uint8], p: Floats) -> float:
    q = np.clip(p, _EDGE, 1 - _EDGE)
    if kind == "multiclass":
        return float(-np.log(q[targets.astype(bool)]).mean())
    return float(-np.where(targets > 0, np.log(q), np.log1p(-q)).mean())
