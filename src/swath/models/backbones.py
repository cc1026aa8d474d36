"""Building the network of a backbone: body, head, and the normalisation of its input."""

import textwrap
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import timm
import torch
from torch import Tensor, nn

from swath.config.recipe import Backbone
from swath.core.errors import InputError
from swath.models import hf_models, hf_names
from swath.models.hf_names import is_hf
from swath.models.pooling import with_pool


@dataclass(frozen=True)
class Model:
    """A network and the normalisation of its input.

    Attributes:
        net: Takes float [B, in_chans, S, S], gives logits [B, classes].
        mean: Of each input channel, on the 0..1 scale.
        std: Of each input channel, on the same scale.
        head: Name of the submodule that makes logits of features [B, F], "" where there is no single one.
    """

    net: nn.Module
    mean: tuple[float, ...]
    std: tuple[float, ...]
    head: str = ""

    def inputs(self, images: Tensor) -> Tensor:
        """What the network takes, of uint8 images [B, S, S, C]."""
        mean, std = (torch.tensor(v, device=images.device).view(1, -1, 1, 1) * 255 for v in (self.mean, self.std))
        # Subtracting and dividing on the 0..255 scale saves one pass over the batch.
        return (images.permute(0, 3, 1, 2).float() - mean) / std


def keep_fp32(head: nn.Module) -> None:
    """Make a head compute in float32, or better, within autocast too: logits of 8 bits would often be equal.

    Its class becomes one of the same name that does so; parameters, their names and copies of it stay what they are.
    """
    head.__class__ = _outside_autocast(type(head))


@cache
def _outside_autocast(kind: type[nn.Module]) -> type[nn.Module]:
    def forward(self: nn.Module, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            return kind.forward(self, features.to(torch.promote_types(features.dtype, torch.float32)))

    return type(kind.__name__, (kind,), {"forward": forward})


class Frozen(nn.Module):
    """A backbone that does not learn, batch statistics included, below a head that does."""

    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, head

    def forward(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            features = self.body(images)
        return self.head(features)

    def train(self, mode: bool = True) -> "Frozen":
        super().train(mode)
        self.body.eval()
        return self


class Stacked(nn.Module):
    """A classifier with a new layer on its logits."""

    def __init__(self, net: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.net, self.head = net, head

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.net(images))


def build(backbone: Backbone, classes: int, in_chans: int, image_size: int, seed: int, check: bool = True) -> Model:
    """Create a model; what is not pretrained is drawn from `seed`.

    Args:
        backbone: Which model and weights.
        classes: Number of logits.
        in_chans: Channels of the input, 1 or 3.
        image_size: Side of the input in pixels.
        seed: Of the new weights.
        check: Look whether a weights file filled all of the model, which builds it twice.

    Raises:
        InputError: The weights cannot be had, or do not fit the model.
    """
    torch.manual_seed(seed)
    try:
        if is_hf(backbone.model):
            model = _hf(backbone, classes, in_chans, image_size, seed)
        else:
            model = _timm(backbone, classes, in_chans, image_size, seed, check)
    except Exception as error:
        raise InputError(_problem(backbone, error)) from error
    if in_chans == 1:
        mean, std = (sum(model.mean) / len(model.mean),), (sum(model.std) / len(model.std),)
        return Model(model.net, mean, std, model.head)
    return model


def build_frozen(backbone: Backbone, classes: int, in_chans: int, image_size: int, seed: int, head_seed: int) -> Model:
    """`build` with a backbone that does not learn and a new linear head: the one that `new_head` draws.

    Features are kept for all trials of a seed, so what is drawn of the backbone follows from `seed` alone.

    Raises:
        InputError: Likewise, or the model does not end in one linear layer.
    """
    below = body(backbone, in_chans, image_size, seed)
    with torch.no_grad():
        features = below.net(torch.zeros(1, in_chans, image_size, image_size)).shape[1]
    head = new_head(features, classes, backbone.drop_rate, head_seed)
    return Model(Frozen(below.net, head), below.mean, below.std, "head")


def body(backbone: Backbone, in_chans: int, image_size: int, seed: int) -> Model:
    """A model without its head, for evaluation only: the net gives features [B, F].

    Raises:
        InputError: As `build`; or the model does not end in one linear layer.
    """
    model = build(replace(backbone, drop_rate=None, drop_path_rate=None), 1, in_chans, image_size, seed, check=False)
    if not model.head or not isinstance(model.net.get_submodule(model.head), nn.Linear):
        raise InputError(
            f"backbone {backbone.model!r} does not end in one linear layer, so freeze='backbone' cannot tell its head "
            "from the rest. Take another model, or freeze='none'."
        )
    model.net.set_submodule(model.head, nn.Identity())
    model.net.eval().requires_grad_(False)
    return model


def new_head(features: int, classes: int, drop_rate: float | None, seed: int) -> nn.Module:
    """A linear layer, and dropout before it where there is any, drawn from `seed`."""
    torch.manual_seed(seed)
    return _dropping(nn.Linear(features, classes), drop_rate)


def _dropping(layer: nn.Module, drop_rate: float | None) -> nn.Module:
    return nn.Sequential(nn.Dropout(drop_rate), layer) if drop_rate else layer


def _hf(backbone: Backbone, classes: int, in_chans: int, image_size: int, seed: int) -> Model:
    net, features = hf_models.body(backbone, in_chans, image_size)
    head = new_head(features, classes, backbone.drop_rate, seed)
    pool = "" if backbone.head == "stacked" else backbone.pool
    mean, std = hf_models.normalisation(backbone)
    return Model(hf_models.HfNet(net, pool, head), mean, std, head="head")


def _timm(backbone: Backbone, classes: int, in_chans: int, image_size: int, seed: int, check: bool) -> Model:
    config = timm.models.get_pretrained_cfg(backbone.model)
    stacked = backbone.head == "stacked"
    options: dict[str, Any] = {"in_chans": in_chans} if stacked else {"num_classes": classes, "in_chans": in_chans}
    # Only models with position embeddings take a size; ResNets and the like refuse the argument.
    if config is not None and config.fixed_input_size:
        options["img_size"] = image_size
    if backbone.drop_path_rate is not None:
        options["drop_path_rate"] = backbone.drop_path_rate
    if backbone.weights:
        options["pretrained_cfg_overlay"] = {"file": backbone.weights}
    net = timm.create_model(backbone.model, pretrained=backbone.pretrained, **options)
    if backbone.weights and check:
        untouched = _still_random(net, backbone, options, seed)
        if untouched:
            raise ValueError(f"the file lacks {len(untouched)} of the model's tensors, e.g. {untouched[0]}")
    if in_chans != 3 and backbone.pretrained and backbone.stem == "reinit":
        _reset_stem(net)
    mean, std = (tuple(map(float, _config(net)[key])) for key in ("mean", "std"))
    if stacked:
        logits = int(cast(Any, net).num_classes)
        return Model(Stacked(net, new_head(logits, classes, backbone.drop_rate, seed)), mean, std, "head")
    head = _config(net)["classifier"]
    head = head if isinstance(head, str) else ""
    if backbone.drop_rate and not head:
        raise ValueError(f"it has several heads; leave drop_rate={backbone.drop_rate:g} out")
    if backbone.drop_rate:
        net.set_submodule(head, _dropping(net.get_submodule(head), backbone.drop_rate))
    pooled = with_pool(net, backbone.pool)
    return Model(pooled, mean, std, head if pooled is net or not head else f"net.{head}")


def _still_random(net: nn.Module, backbone: Backbone, options: dict[str, Any], seed: int) -> list[str]:
    """Weights outside the head that are as drawn from the seed: timm skips what a file lacks without a word."""
    torch.manual_seed(seed)
    drawn = dict(timm.create_model(backbone.model, pretrained=False, **options).named_parameters())
    head = _config(net)["classifier"] or ()
    new = () if backbone.head == "stacked" else (head,) if isinstance(head, str) else head
    heads = tuple(f"{name}." for name in new)
    return [
        name
        for name, weight in net.named_parameters()
        if weight.requires_grad
        and weight.ndim > 1
        and weight.min() < weight.max()  # a constant start says nothing
        and not name.startswith(heads)
        and torch.equal(weight, drawn[name])
    ]


def _config(net: nn.Module) -> dict[str, Any]:
    """The pretrained configuration that timm attaches to every model."""
    return cast(dict[str, Any], net.pretrained_cfg)


def _reset_stem(net: nn.Module) -> None:
    names = _config(net)["first_conv"]
    for name in [names] if isinstance(names, str) else names:
        cast(nn.Conv2d, net.get_submodule(name)).reset_parameters()


def _problem(backbone: Backbone, error: Exception) -> str:
    # torch names the tensors that do not fit from the second line on, all of them.
    reason = f"{type(error).__name__}: {textwrap.shorten(str(error), 200)}".removesuffix(": ").removesuffix(".")
    hf = is_hf(backbone.model)
    form = (
        "a folder as `save_pretrained` writes it"
        if hf
        else "a .safetensors or .pth file of this very model's state dict"
    )
    if backbone.weights:
        note = "" if Path(backbone.weights).exists() else " (there is no such file on this machine)"
        return (
            f"backbone {backbone.model!r} cannot be built with weights {backbone.weights!r}{note}: {reason}. "
            f"Give {form}, on a path every node can read."
        )
    if hf and hf_names.place(backbone):
        return f"backbone {backbone.model!r} cannot be built: {reason}. Give {form}, preprocessor_config.json and all."
    if hf:
        return (
            f"backbone {backbone.model!r}: what it needs of the hub cannot be had ({reason}). Connect to the hub once "
            f"so that it is kept, or give Backbone({backbone.model!r}, weights=FOLDER), {form}."
        )
    if backbone.pretrained:
        return (
            f"backbone {backbone.model!r}: its pretrained weights cannot be had ({reason}). Connect to the hub once so "
            f"that they are kept, or give Backbone({backbone.model!r}, weights=PATH), "
            f"or train from scratch with Backbone({backbone.model!r}, pretrained=False)."
        )
    return f"backbone {backbone.model!r} cannot be built: {reason}."
