"""Loss description to torch function of logits [B, C] and targets [B, C] in 0..1.

Those that look at labels one by one are means over images and labels, so that their values, and the steps they cause,
compare.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from timm.loss.two_way_loss import TwoWayLoss
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, logsigmoid

from swath.config import losses
from swath.core.registry import Registry

Criterion = Callable[[Tensor, Tensor], Tensor]
_EPS = 1e-8


def criterion(loss: losses.Loss, weights: Tensor | None = None) -> Criterion:
    """The function of a loss description.

    Args:
        loss: The description.
        weights: [C] factors of the positives' terms (cross-entropy: of the classes), on the device of the logits.
    """
    return CRITERIA[loss.name](loss, weights)


def label_weights(loss: losses.Loss, how: str, targets: Tensor) -> Tensor | None:
    """Weights [C] from the frequencies of the labels, None for none.

    Args:
        loss: Cross-entropy weighs classes, other losses positives.
        how: `none`, `inverse` or `sqrt_inverse`.
        targets: [N, C], of the training images. A label without positives, or without negatives, weighs 1.
    """
    if how == "none":
        return None
    positives, images = targets.double().sum(dim=0), len(targets)
    if isinstance(loss, losses.CrossEntropy):
        weights = images / (targets.shape[1] * positives)
    else:
        weights = (images - positives) / positives
    weights = torch.where((positives > 0) & (positives < images), weights, 1.0)
    return (weights.sqrt() if how == "sqrt_inverse" else weights).float()


def smoothed(function: Criterion, amount: float, kind: str) -> Criterion:
    """The criterion of targets that are moved by `amount` towards one half or, single-label, 1 / classes.

    Szegedy et al. 2016 (arXiv 1512.00567), section 7.
    """
    if not amount:
        return function

    def of_smoothed(logits: Tensor, targets: Tensor) -> Tensor:
        centre = 0.5 if kind == "multilabel" else 1 / targets.shape[1]
        return function(logits, (1 - amount) * targets + amount * centre)

    return of_smoothed


def _bce(loss: losses.BCE, weights: Tensor | None) -> Criterion:
    if weights is None:
        return binary_cross_entropy_with_logits
    return partial(binary_cross_entropy_with_logits, pos_weight=weights)


def _cross_entropy(loss: losses.CrossEntropy, weights: Tensor | None) -> Criterion:
    return partial(cross_entropy, weight=weights)


def _two_way(loss: losses.TwoWay, weights: Tensor | None) -> Criterion:
    return TwoWayLoss(tp=loss.t_pos, tn=loss.t_neg)


def _focal(loss: losses.Focal, weights: Tensor | None) -> Criterion:
    of_positives, of_negatives = (loss.alpha, 1 - loss.alpha) if loss.alpha >= 0 else (1.0, 1.0)
    factor = 1.0 if weights is None else weights

    def focal(logits: Tensor, targets: Tensor) -> Tensor:
        # (1 - p_t)^gamma through its logarithm: as a power its gradient is NaN where p_t rounds to 1 and gamma < 1.
        log_p, log_not_p = logsigmoid(logits), logsigmoid(-logits)
        positive = factor * of_positives * torch.exp(loss.gamma * log_not_p) * log_p
        negative = of_negatives * torch.exp(loss.gamma * log_p) * log_not_p
        return -(targets * positive + (1 - targets) * negative).mean()

    return focal


def _asymmetric(loss: losses.Asymmetric, weights: Tensor | None) -> Criterion:
    factor = 1.0 if weights is None else weights

    def asymmetric(logits: Tensor, targets: Tensor) -> Tensor:
        # Clamped, as in the authors' code, before every log, and before every power: at 0 the gradient of a power
        # below 1 is infinite, and NaN once it meets the zero gradient of the margin.
        p = logits.float().sigmoid()
        not_p, shifted = (1 - p).clamp(min=_EPS), (p - loss.clip).clamp(min=_EPS)
        positive = factor * not_p**loss.gamma_pos * p.clamp(min=_EPS).log()
        negative = shifted**loss.gamma_neg * (1 - shifted).clamp(min=_EPS).log()
        return -(targets * positive + (1 - targets) * negative).mean()

    return asymmetric


CRITERIA: Registry[Callable[[Any, Tensor | None], Criterion]] = Registry(
    "criterion",
    {
        "bce": _bce,
        "cross_entropy": _cross_entropy,
        "two_way": _two_way,
        "focal": _focal,
        "asymmetric": _asymmetric,
    },
)
"""Of a loss description and the weights [C] of its labels, or None."""
