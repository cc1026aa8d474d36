"""How a model is trained: the recipe and the backbone, as descriptions."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from swath.description import Description
from swath.registry import unknown

OPTIMIZERS = ("adam", "adamw")
STEMS = ("adapt", "reinit")
POOLS = ("default", "mean", "max", "first_token")
HEADS = ("linear", "stacked")
HF = "hf:"


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
    """A model of timm or transformers and where its weights come from. `"resnet50"` means `Backbone("resnet50")`.

    Attributes:
        model: timm name, with or without a weight tag (`resnet50`, `resnet50.a1_in1k`); or `hf:OWNER/NAME` for a
            model of transformers on the Hugging Face hub, `hf:FOLDER` for one in a folder with its config.json.
        pretrained: Start from pretrained weights; False trains from scratch.
        weights: Weights to start from instead of the hub's; "" for the hub. For timm a file (.safetensors, .pth), for
            transformers a folder as `save_pretrained` writes it, or a file beside its config.json.
            Their content, not their place, is part of a trial's identity.
        stem: What becomes of a pretrained first convolution when the input has one channel: `adapt` sums its
            weights over the channels, `reinit` draws it anew.
        pool: How the last features become one vector per image: `default` is the model's own way, `mean` and `max`
            go over all positions but the class and register tokens, `first_token` takes the class token, or the
            first position (top left) where there is none.
        head: `linear` puts one new linear layer on the pooled features; `stacked` keeps the pretrained classifier and
            puts the new layer on its logits (1000 for ImageNet-1k).
        drop_rate: Dropout before the new layer, 0 to below 1; None leaves the model's own.
        drop_path_rate: Stochastic depth, 0 to below 1; None leaves the model's own. Not every model has it.
    """

    name: ClassVar[str] = "backbone"
    model: str = "resnet50"
    pretrained: bool = True
    weights: str = ""
    stem: Literal["adapt", "reinit"] = "adapt"
    pool: Literal["default", "mean", "max", "first_token"] = "default"
    head: Literal["linear", "stacked"] = "linear"
    drop_rate: float | None = None
    drop_path_rate: float | None = None

    def canonical(self) -> str:
        """`resnet50`, `resnet50(scratch)`, `resnet50(weights=FILE,stem=reinit)`: unique within a sweep."""
        notes = []
        if not self.pretrained:
            notes.append("scratch")
        elif self.weights:
            notes.append(f"weights={_last(self.weights)}")
        choices = ((n, getattr(self, n)) for n in ("stem", "pool", "head", "drop_rate", "drop_path_rate"))
        notes += [f"{name}={value}" for name, value in choices if value not in ("adapt", "default", "linear", None)]
        return f"{self._title}({','.join(notes)})" if notes else self._title

    @property
    def _title(self) -> str:
        """The model without the way to its folder."""
        model = str(self.model)
        source = model.removeprefix(HF)
        is_path = model.startswith(HF) and (source.startswith((".", "~")) or source.count("/") != 1)
        return HF + _last(source) if is_path else model

    def problems(self) -> list[str]:
        found = [
            unknown(f"{field} of Backbone", value, allowed)
            for field, value, allowed in (
                ("stem", self.stem, STEMS),
                ("pool", self.pool, POOLS),
                ("head", self.head, HEADS),
            )
            if value not in allowed
        ]
        found += [
            f"Backbone({field}={value!r}): give it as text."
            for field, value in (("model", self.model), ("weights", self.weights))
            if not isinstance(value, str)
        ]
        for field in ("drop_rate", "drop_path_rate"):
            value = getattr(self, field)
            if not (value is None or (isinstance(value, int | float) and 0 <= value < 1)):
                found.append(f"Backbone({field}={value!r}): allowed is 0 to below 1, or None for the model's own.")
        if self.weights and not self.pretrained:
            found.append(f"Backbone({self.model!r}): weights={self.weights!r} needs pretrained=True; drop one of them.")
        if self.head == "stacked" and self.pool != "default":
            found.append(
                f"Backbone({self.model!r}): pool={self.pool!r} with head='stacked' would feed the pretrained "
                "classifier features it was not trained on; drop one of them."
            )
        return found


def _last(path: str) -> str:
    """The last part of a path written in any system's way."""
    return str(path).replace(chr(92), "/").rstrip("/").rsplit("/", 1)[-1]
