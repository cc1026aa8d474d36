"""Loss description to torch function of logits [B, C] and targets [B, C] in 0..1.

All are means over images and labels, so that their values, and the steps they cause, compare.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from swath import losses
from swath.registry import Registry

Criterion = Callable[[Tensor, Tensor], Tensor]
CRITERIA: Registry[Callable[[Any], Criterion]] = Registry("criterion")
_EPS = 1e-8


def criterion(loss: losses.Loss) -> Criterion:
    """The function of a loss description."""
    return CRITERIA[loss.name](loss)


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


@CRITERIA.register("bce")
def _bce(loss: losses.BCE) -> Criterion:
    return binary_cross_entropy_with_logits


@CRITERIA.register("focal")
def _focal(loss: losses.Focal) -> Criterion:
    of_positives, of_negatives = (loss.alpha, 1 - loss.alpha) if loss.alpha >= 0 else (1.0, 1.0)

    def focal(logits: Tensor, targets: Tensor) -> Tensor:
        # (1 - p_t)^gamma through its logarithm: as a power its gradient is NaN where p_t rounds to 1 and gamma < 1.
        log_p, log_not_p = logsigmoid(logits), logsigmoid(-logits)
        positive = of_positives * torch.exp(loss.gamma * log_not_p) * log_p
        negative = of_negatives * torch.exp(loss.gamma * log_p) * log_not_p
        return -(targets * positive + (1 - targets) * negative).mean()

    return focal


@CRITERIA.register("asymmetric")
def _asymmetric(loss: losses.Asymmetric) -> Criterion:
    def asymmetric(logits: Tensor, targets: Tensor) -> Tensor:
        # Clamped, as in the authors' code, before every log, and before every power: at 0 the gradient of a power
        # below 1 is infinite, and NaN once it meets the zero gradient of the margin.
        p = logits.float().sigmoid()
        not_p, shifted = (1 - p).clamp(min=_EPS), (p - loss.clip).clamp(min=_EPS)
        positive = not_p**loss.gamma_pos * p.clamp(min=_EPS).log()
        negative = shifted**loss.gamma_neg * (1 - shifted).clamp(min=_EPS).log()
        return -(targets * positive + (1 - targets) * negative).mean()

    return asymmetric
