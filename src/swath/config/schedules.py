"""Learning rate schedules and early stopping, as descriptions.

They work in `swath.training.optimizers` and `swath.training.early_stopping`.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from swath.core.description import Description
from swath.core.registry import missing_attribute, unknown
from swath.core.validation import choice, number, whole

WATCHED = ("score", "val_loss")


@dataclass(frozen=True)
class Schedule(Description):
    """Base of the schedules."""


@dataclass(frozen=True)
class Constant(Schedule):
    """The recipe's `lr` throughout."""

    name: ClassVar[str] = "constant"


@dataclass(frozen=True)
class Cosine(Schedule):
    """Linear warm-up to `lr`, then half a cosine down to `min_lr`; changes with every step (arXiv 1608.03983).

    Attributes:
        warmup_epochs: Length of the warm-up in epochs, fractions allowed, 0 to 1000; less than the recipe's epochs.
        min_lr: Learning rate at the end, 0 or more.
    """

    name: ClassVar[str] = "cosine"
    warmup_epochs: float = 0.0
    min_lr: float = 0.0

    def problems(self) -> list[str]:
        return [*number(self, "warmup_epochs", 0, 1000), *number(self, "min_lr", 0, 10)]


@dataclass(frozen=True)
class OneCycle(Schedule):
    """From lr / `div` up to `lr` and down to nearly nothing, momentum the other way (Smith 2018, arXiv 1803.09820).

    As torch's OneCycleLR: cosine up and down, momentum (Adam: beta1) between 0.95 and 0.85.

    Attributes:
        warmup: Share of the steps on the way up, above 0 and below 1.
        div: `lr` over the first learning rate, 1 or more.
        final_div: The first learning rate over the last, 1 or more.
    """

    name: ClassVar[str] = "one_cycle"
    warmup: float = 0.3
    div: float = 25.0
    final_div: float = 1e4

    def problems(self) -> list[str]:
        problems = number(self, "warmup", 0.001, 0.999)
        return [*problems, *number(self, "div", 1, math.inf), *number(self, "final_div", 1, math.inf)]


@dataclass(frozen=True)
class Plateau(Schedule):
    """`lr` times `factor` after `patience` + 1 epochs without improvement (torch's ReduceLROnPlateau).

    Attributes:
        factor: Above 0 and below 1.
        patience: Epochs without improvement that are let pass, 0 to 1000.
        min_lr: Never below this, 0 or more.
        watch: `val_loss` (down is better) or `score`, the task's metric (up is better).
    """

    name: ClassVar[str] = "plateau"
    factor: float = 0.7
    patience: int = 2
    min_lr: float = 0.0
    watch: Literal["val_loss", "score"] = "val_loss"

    def problems(self) -> list[str]:
        problems = [*number(self, "factor", 0.001, 0.999), *whole(self, "patience", 0, 1000)]
        return [*problems, *number(self, "min_lr", 0, 10), *choice(self, "watch", WATCHED)]


SCHEDULES: dict[str, type[Schedule]] = {
    "Constant": Constant,
    "Cosine": Cosine,
    "OneCycle": OneCycle,
    "Plateau": Plateau,
}


@dataclass(frozen=True)
class EarlyStop(Description):
    """End a training that no longer improves, and predict with the weights of its best epoch.

    The best epoch is chosen on one half of the validation images and scored on the other, and the reverse: a score
    that chose its epoch is no estimate. Test images are predicted by the epoch that is best on all of them.

    Attributes:
        patience: Epochs without improvement that are let pass before the end, 1 to 1000.
        min_delta: What counts as an improvement: more than this, 0 to 1. The best epoch is simply the best.
        watch: `score`, the task's metric (up is better), or `val_loss` (down is better).
    """

    name: ClassVar[str] = "early_stop"
    patience: int = 10
    min_delta: float = 0.001
    watch: Literal["score", "val_loss"] = "score"

    def problems(self) -> list[str]:
        problems = [*whole(self, "patience", 1, 1000), *number(self, "min_delta", 0, 1)]
        return [*problems, *choice(self, "watch", WATCHED)]


def schedule_problems(given: object, epochs: object) -> list[str]:
    """Sentences about a value that is no schedule, is out of range, or warms up longer than the training lasts."""
    if not isinstance(given, Schedule):
        return [unknown("schedule", given, SCHEDULES) + " Write it as a value, e.g. schedules.Cosine()."]
    problems = given.problems()
    if not problems and isinstance(given, Cosine) and isinstance(epochs, int) and given.warmup_epochs >= epochs:
        problems.append(f"{given.canonical()} warms up for as long as Recipe(epochs={epochs}) lasts: shorten it.")
    return problems


__getattr__ = missing_attribute("schedule", __name__, (*SCHEDULES, "EarlyStop"))
