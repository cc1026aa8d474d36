"""How a model is trained: the recipe and the backbone, as descriptions."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from swath.config.augment import Augmentation, augment_problems
from swath.config.mix import Mix, mix_problems
from swath.config.schedules import Constant, EarlyStop, Schedule, schedule_problems
from swath.core.description import Description
from swath.core.registry import unknown
from swath.core.validation import choice, number, whole

OPTIMIZERS = ("adam", "adamw", "sgd")
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
DECAYED = ("all", "matrices")
TTA = ("none", "flip", "d4")
CLASS_WEIGHTS = ("none", "inverse", "sqrt_inverse")
FREEZE = ("none", "backbone")
_CHOICES = {"freeze": FREEZE, "decayed": DECAYED, "precision": PRECISIONS, "tta": TTA, "class_weights": CLASS_WEIGHTS}
STEMS = ("adapt", "reinit")
POOLS = ("default", "mean", "max", "first_token")
HEADS = ("linear", "stacked")
HF = "hf:"
NATIVE = "native"


@dataclass(frozen=True)
class Recipe(Description):
    """Training settings. Every field below `image_size` is neutral by default.

    Attributes:
        epochs: Passes over the training images, 1 or more.
        batch_size: Images per pass through the model, 2 or more; a step sees `accumulation` times as many.
        optimizer: `adam` (weight decay as an L2 term), `adamw` (decoupled) or `sgd` (Nesterov, see `momentum`).
        lr: Learning rate, above 0 and at most 10; the highest one where a schedule changes it.
        weight_decay: 0 or more, finite.
        image_size: Side of the square the model sees, in pixels, 16 to 2048; `native` is the size that the backbone was
            pretrained on, as a number in the trials.
        momentum: Of sgd, 0 to 0.999.
        decayed: Weight decay acts on `all` parameters, or on `matrices` only: not on biases and normalisation.
        layer_decay: Learning rate factor from each layer to the one before it, above 0 to 1; 1 trains all layers alike
            (timm's `param_groups_layer_decay`; BEiT used 0.65 to 0.9).
        schedule: One of `swath.config.schedules`.
        accumulation: Batches whose gradients make one step, 1 to 1024. Equal to one batch of that size, up to float
            order and batch statistics.
        clip_norm: Largest norm of a step's gradient, above 0; 0 clips nothing.
        precision: `fp32`, which is IEEE's everywhere; `tf32`, the same with the 10-bit products of newer GPUs, and
            `fp32` on others; or autocast to `bf16`, or to `fp16` with scaled losses. Losses are fp32 always, and so is
            a model's head.
        channels_last: Weights in the memory format that tensor cores like.
        ema_decay: Decay per step of an exponential moving average of the weights, which then validates and predicts;
            0 for none, below 1. It warms up (timm's ModelEmaV3), so that short trainings can use it.
        freeze_epochs: In this many first epochs only the head learns, batch statistics included; 0 to `epochs`.
        class_weights: `inverse` gives rare labels more weight: in BCE-like losses positives count negatives / positives
            times, in cross-entropy classes count images / (classes x images of the class) times, by the training
            images. `sqrt_inverse` takes the square roots. In the validation loss, too.
        early_stop: When to end before `epochs`, see `schedules.EarlyStop`; None trains to the end.
        label_smoothing: Targets move by this share towards one half (multi-label) or 1 / number of labels (single
            label), 0 up to, but not including, 1; training only.
        augment: Augmentations of `swath.config.augment`, in order.
        mix: Mixes of `swath.config.mix`; each batch draws one.
        tta: Test-time augmentation: the logits are means over the image and its mirror image (`flip`) or all eight
            symmetries of the square (`d4`). Used for the predictions that are kept of the last epoch, not for those
            of the epochs before.
        tta_sizes: Sides in pixels that the whole image is resized to, 16 to 2048; the logits are means over these,
            too. () for `image_size` alone. Not with a model of one size (most with position embeddings).
        freeze: `none`, or `backbone`: only the head learns, and the rest stays as it was pretrained, batch statistics
            included. Without augmentation, and at fp32, features are computed once and all such trials share them.
    """

    name: ClassVar[str] = "recipe"
    epochs: int = 20
    batch_size: int = 32
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    lr: float = 3e-4
    weight_decay: float = 0.0
    image_size: int | Literal["native"] = 224
    momentum: float = 0.9
    decayed: Literal["all", "matrices"] = "all"
    layer_decay: float = 1.0
    schedule: Schedule = Constant()
    accumulation: int = 1
    clip_norm: float = 0.0
    precision: Literal["fp32", "tf32", "bf16", "fp16"] = "fp32"
    channels_last: bool = False
    ema_decay: float = 0.0
    freeze_epochs: int = 0
    class_weights: Literal["none", "inverse", "sqrt_inverse"] = "none"
    early_stop: EarlyStop | None = None
    label_smoothing: float = 0.0
    augment: tuple[Augmentation, ...] = ()
    mix: tuple[Mix, ...] = ()
    tta: Literal["none", "flip", "d4"] = "none"
    tta_sizes: tuple[int, ...] = ()
    freeze: Literal["none", "backbone"] = "none"

    def problems(self) -> list[str]:
        problems = []
        for field, low, high in (("epochs", 1, 100_000), ("batch_size", 2, 65_536)):
            problems += whole(self, field, low, high)
        if self.image_size != NATIVE:
            problems += [f"{p[:-1]}, or 'native'." for p in whole(self, "image_size", 16, 2048)]
        if self.optimizer not in OPTIMIZERS:
            problems.append(unknown("optimizer", self.optimizer, OPTIMIZERS))
        if not (isinstance(self.lr, int | float) and 0 < self.lr <= 10):
            problems.append(f"Recipe(lr={self.lr!r}): allowed is above 0 and at most 10.")
        if not (isinstance(self.weight_decay, int | float) and 0 <= self.weight_decay < math.inf):
            problems.append(f"Recipe(weight_decay={self.weight_decay!r}): allowed is 0 or more.")
        problems += [*number(self, "momentum", 0, 0.999), *number(self, "layer_decay", 0.01, 1)]
        problems += [*whole(self, "accumulation", 1, 1024), *number(self, "clip_norm", 0, math.inf)]
        problems += [*number(self, "ema_decay", 0, 0.999999), *number(self, "label_smoothing", 0, 0.999)]
        for field, allowed in _CHOICES.items():
            problems += choice(self, field, allowed)
        problems += whole(self, "freeze_epochs", 0, self.epochs if isinstance(self.epochs, int) else 0)
        if isinstance(self.early_stop, EarlyStop):
            problems += self.early_stop.problems()
        elif self.early_stop is not None:
            problems.append(f"Recipe(early_stop={self.early_stop!r}): give schedules.EarlyStop(patience=10) or None.")
        if self.freeze == "backbone" and self.freeze_epochs:
            problems.append(
                f"Recipe(freeze='backbone', freeze_epochs={self.freeze_epochs!r}): every epoch is frozen; drop one."
            )
        if not isinstance(self.channels_last, bool):
            problems.append(f"Recipe(channels_last={self.channels_last!r}): allowed is True or False.")
        problems += schedule_problems(self.schedule, self.epochs)
        return problems + augment_problems(self.augment) + mix_problems(self.mix) + self._tta_problems()

    def _tta_problems(self) -> list[str]:
        sizes = self.tta_sizes
        given = sizes if isinstance(sizes, tuple) else (None,)
        if all(isinstance(s, int) and 16 <= s <= 2048 for s in given) and len(set(given)) == len(given):
            return []
        return [f"Recipe(tta_sizes={sizes!r}): give a tuple of different whole numbers from 16 to 2048, or ()."]

    @property
    def side_px(self) -> int:
        """The image size of a planned trial's recipe, in which "native" has become a number."""
        assert self.image_size != NATIVE
        return self.image_size

    @property
    def shares_features(self) -> bool:
        """True when the head sees the same features of an image in every epoch: they are computed once."""
        plain = (self.augment, self.mix, self.tta, self.tta_sizes) == ((), (), "none", ())
        return self.freeze == "backbone" and plain and self.precision == "fp32" and self.layer_decay == 1


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
        """`resnet50`, `resnet50(scratch)`, `resnet50(weights=FILE,stem=reinit)`: unique within a sweep.

        A weight file with the model's own name says nothing new and is left out.
        """
        notes = []
        if not self.pretrained:
            notes.append("scratch")
        elif self.weights and _last(self.weights).rpartition(".")[0] != self.model:
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
        problems = [
            unknown(f"{field} of Backbone", value, allowed)
            for field, value, allowed in (
                ("stem", self.stem, STEMS),
                ("pool", self.pool, POOLS),
                ("head", self.head, HEADS),
            )
            if value not in allowed
        ]
        problems += [
            f"Backbone({field}={value!r}): give it as text."
            for field, value in (("model", self.model), ("weights", self.weights))
            if not isinstance(value, str)
        ]
        for field in ("drop_rate", "drop_path_rate"):
            value = getattr(self, field)
            if not (value is None or (isinstance(value, int | float) and 0 <= value < 1)):
                problems.append(f"Backbone({field}={value!r}): allowed is 0 to below 1, or None for the model's own.")
        if self.weights and not self.pretrained:
            problems.append(
                f"Backbone({self.model!r}): weights={self.weights!r} needs pretrained=True; drop one of them."
            )
        if self.head == "stacked" and self.pool != "default":
            problems.append(
                f"Backbone({self.model!r}): pool={self.pool!r} with head='stacked' would feed the pretrained "
                "classifier features it was not trained on; drop one of them."
            )
        return problems


def _last(path: str) -> str:
    """The last part of a path written in any system's way."""
    return str(path).replace(chr(92), "/").rstrip("/").rsplit("/", 1)[-1]
