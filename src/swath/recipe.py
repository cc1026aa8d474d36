"""How a model is trained: the recipe and the backbone, as descriptions."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from swath.description import Description
from swath.registry import unknown

OPTIMIZERS = ("adam", "adamw")
STEMS = ("adapt", "reinit")


@dataclass(frozen=True)
class Recipe(Description):
    """Training settings.

    Attributes:
        epochs: Passes over the training images, 1 or more.
        batch_size: Images per step, 2 or more.
        optimizer: `adam` (weight decay as an L2 term) or `adamw` (decoupled).
        lr: Learning rate, above 0 and at most 10.
        weight_decay: 0 or more, finite.
        image_size: Side of the square the model sees, in pixels, 16 to 2048.
    """

    name: ClassVar[str] = "recipe"
    epochs: int = 20
    batch_size: int = 32
    optimizer: Literal["adam", "adamw"] = "adam"
    lr: float = 3e-4
    weight_decay: float = 0.0
    image_size: int = 224

    def problems(self) -> list[str]:
        found = []
        for field, low, high in (("epochs", 1, 100_000), ("batch_size", 2, 65_536), ("image_size", 16, 2048)):
            value = getattr(self, field)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                found.append(f"Recipe({field}={value!r}): allowed is a whole number from {low} to {high}.")
        if self.optimizer not in OPTIMIZERS:
            found.append(unknown("optimizer", self.optimizer, OPTIMIZERS))
        if not (isinstance(self.lr, int | float) and 0 < self.lr <= 10):
            found.append(f"Recipe(lr={self.lr!r}): allowed is above 0 and at most 10.")
        if not (isinstance(self.weight_decay, int | float) and 0 <= self.weight_decay < math.inf):
            found.append(f"Recipe(weight_decay={self.weight_decay!r}): allowed is 0 or more.")
        return found


@dataclass(frozen=True)
class Backbone(Description):
    """A timm model and where its weights come from. A plain string `"resnet50"` means `Backbone("resnet50")`.

    Attributes:
        model: timm name, with or without a weight tag (`resnet50`, `resnet50.a1_in1k`).
        pretrained: Start from pretrained weights; False trains from scratch.
        weights: A weight file to start from instead of the hub's (.safetensors, .pth); "" for the hub.
            Its content, not its place, is part of a trial's identity.
        stem: What becomes of a pretrained first convolution when the input has one channel: `adapt` sums its
            weights over the channels (timm), `reinit` draws it anew.
    """

    name: ClassVar[str] = "backbone"
    model: str = "resnet50"
    pretrained: bool = True
    weights: str = ""
    stem: Literal["adapt", "reinit"] = "adapt"

    def canonical(self) -> str:
        """`resnet50`, `resnet50(scratch)`, `resnet50(weights=FILE,stem=reinit)`: unique within a sweep."""
        notes = []
        if not self.pretrained:
            notes.append("scratch")
        elif self.weights:
            notes.append(f"weights={str(self.weights).replace(chr(92), '/').rsplit('/', 1)[-1]}")
        if self.stem != "adapt":
            notes.append(f"stem={self.stem}")
        return f"{self.model}({','.join(notes)})" if notes else str(self.model)

    def problems(self) -> list[str]:
        found = [] if self.stem in STEMS else [unknown("stem of Backbone", self.stem, STEMS)]
        found += [
            f"Backbone({field}={value!r}): give it as text."
            for field, value in (("model", self.model), ("weights", self.weights))
            if not isinstance(value, str)
        ]
        if self.weights and not self.pretrained:
            found.append(f"Backbone({self.model!r}): weights={self.weights!r} needs pretrained=True; drop one of them.")
        return found
