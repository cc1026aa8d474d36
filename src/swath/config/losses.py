"""Losses as descriptions: parameters, the kinds of task they serve, and the link from logits to probabilities.

The torch functions are in `swath.training.losses`. Those that look at labels one by one are means over images and
labels, so their values compare.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from swath.core.description import Description
from swath.core.registry import missing_attribute, unknown
from swath.core.validation import number


@dataclass(frozen=True)
class Loss(Description):
    """Base of the losses. `kinds` are the task kinds it can train.

    Unless it says otherwise a loss scores each label by a sigmoid; a single-label task uses it on one-hot targets
    and divides the sigmoids by their sum (`link`), so that probabilities of different trials can be averaged.
    """

    kinds: ClassVar[tuple[str, ...]] = ("multilabel", "multiclass")
    linear: ClassVar[bool] = True
    """Linear in the targets: the loss of mixed targets is the mixture of the losses."""
    weighted: ClassVar[bool] = True
    """Takes weights of labels (`Recipe.class_weights`)."""

    def link(self, kind: str) -> str:
        """How logits become probabilities: `sigmoid` or `normalised_sigmoid`."""
        return "sigmoid" if kind == "multilabel" else "normalised_sigmoid"


@dataclass(frozen=True)
class BCE(Loss):
    """Binary cross-entropy on logits."""

    name: ClassVar[str] = "bce"


@dataclass(frozen=True)
class Focal(Loss):
    """Focal loss, Lin et al. 2017 (arXiv 1708.02002), eq. 5: -alpha_t (1 - p_t)^gamma log p_t.

    Attributes:
        gamma: Focusing exponent, 0 or more; 0 leaves weighted cross-entropy.
        alpha: Weight of the positives in [0, 1], 1 - alpha for the negatives; -1 weights neither.
    """

    name: ClassVar[str] = "focal"
    gamma: float = 2.0
    alpha: float = 0.25

    def problems(self) -> list[str]:
        problems = []
        if not (isinstance(self.gamma, int | float) and 0 <= self.gamma < math.inf):
            problems.append(f"Focal(gamma={self.gamma!r}): allowed is 0 or more; the paper uses 2.")
        if not (isinstance(self.alpha, int | float) and (0 <= self.alpha <= 1 or self.alpha == -1)):
            problems.append(f"Focal(alpha={self.alpha!r}): allowed is 0 to 1, or -1 for no weighting.")
        return problems


@dataclass(frozen=True)
class Asymmetric(Loss):
    """Asymmetric loss, Ridnik, Ben-Baruch et al. 2021 (arXiv 2009.14119), eq. 7.

    Attributes:
        gamma_neg: Focusing exponent of the negatives, 0 or more.
        gamma_pos: Focusing exponent of the positives, 0 or more.
        clip: Probability margin m in [0, 1): negatives easier than m cost nothing.
    """

    name: ClassVar[str] = "asymmetric"
    gamma_neg: float = 4.0
    gamma_pos: float = 1.0
    clip: float = 0.05

    def problems(self) -> list[str]:
        problems = [
            f"Asymmetric({field}={value!r}): allowed is 0 or more."
            for field, value in (("gamma_neg", self.gamma_neg), ("gamma_pos", self.gamma_pos))
            if not (isinstance(value, int | float) and 0 <= value < math.inf)
        ]
        if not (isinstance(self.clip, int | float) and 0 <= self.clip < 1):
            problems.append(f"Asymmetric(clip={self.clip!r}): allowed is 0 up to, but not including, 1.")
        return problems


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Cross-entropy of a softmax over the labels; a mean over images. Single-label tasks only."""

    name: ClassVar[str] = "cross_entropy"
    kinds: ClassVar[tuple[str, ...]] = ("multiclass",)

    def link(self, kind: str) -> str:
        return "softmax" if kind in self.kinds else super().link(kind)


@dataclass(frozen=True)
class TwoWay(Loss):
    """Two-way multi-label loss, Kobayashi 2023 (CVPR), eqs. 9 to 11. Multi-label tasks only.

    The hardest negative against the hardest positive (both as soft maxima), within each image and, for each label,
    within the batch: it therefore depends on the batch, and gradient accumulation is not the same as a large batch.
    Its logits rank labels; as probabilities they are only as good as their thresholds.

    Attributes:
        t_pos: Temperature of the positives, above 0.
        t_neg: Temperature of the negatives, above 0.
    """

    name: ClassVar[str] = "two_way"
    kinds: ClassVar[tuple[str, ...]] = ("multilabel",)
    linear: ClassVar[bool] = False
    weighted: ClassVar[bool] = False
    t_pos: float = 4.0
    t_neg: float = 1.0

    def problems(self) -> list[str]:
        return [*number(self, "t_pos", 0.01, 1000), *number(self, "t_neg", 0.01, 1000)]


LOSSES: dict[str, type[Loss]] = {
    "BCE": BCE,
    "Focal": Focal,
    "Asymmetric": Asymmetric,
    "CrossEntropy": CrossEntropy,
    "TwoWay": TwoWay,
}


def loss_problems(loss: object, kind: str) -> list[str]:
    """Sentences about a value that is no loss, is out of range, or cannot train this kind of task."""
    if not isinstance(loss, Loss):
        return [unknown("loss", loss, LOSSES) + " Write it as a value, e.g. losses.BCE()."]
    if kind not in loss.kinds:
        return [f"loss {loss.canonical()} serves {' and '.join(loss.kinds)} tasks; this task is {kind}."]
    return loss.problems()


def combination_problems(loss: Loss, label_smoothing: float, class_weights: str) -> list[str]:
    """Sentences about fields of a recipe that the loss has no use for."""
    problems = []
    if label_smoothing and not loss.linear:
        problems.append(f"loss {loss.canonical()} needs targets that are 0 or 1: set Recipe(label_smoothing=0).")
    if class_weights != "none" and not loss.weighted:
        problems.append(f"loss {loss.canonical()} takes no weights of labels: set Recipe(class_weights='none').")
    return problems


__getattr__ = missing_attribute("loss", __name__, LOSSES)
