"""Loss description to torch function of logits [B, C] and targets [B, C] in 0..1.

All are means over images and labels, so that their values, and the steps they cause, compare.
"""

from collections.abc import Callable
from typing import Any

from timm.loss.asymmetric_loss import AsymmetricLossMultiLabel
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torchvision.ops import sigmoid_focal_loss

from swath import losses
from swath.registry import Registry

Criterion = Callable[[Tensor, Tensor], Tensor]
CRITERIA: Registry[Callable[[Any], Criterion]] = Registry("criterion")


def criterion(loss: losses.Loss) -> Criterion:
    """The function of a loss description."""
    return CRITERIA[loss.name](loss)


@CRITERIA.register("bce")
def _bce(loss: losses.BCE) -> Criterion:
    return binary_cross_entropy_with_logits


@CRITERIA.register("focal")
def _focal(loss: losses.Focal) -> Criterion:
    def focal(logits: Tensor, targets: Tensor) -> Tensor:
        return sigmoid_focal_loss(logits, targets, alpha=loss.alpha, gamma=loss.gamma, reduction="mean")

    return focal


@CRITERIA.register("asymmetric")
def _asymmetric(loss: losses.Asymmetric) -> Criterion:
    # timm's default sums over labels; the mean keeps the loss on the scale of the other two.
    return AsymmetricLossMultiLabel(
        gamma_neg=loss.gamma_neg, gamma_pos=loss.gamma_pos, clip=loss.clip, reduction="mean"
    )
