"""Backbone description to model."""

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import timm
import torch
from torch import nn

from swath.errors import InputError
from swath.recipe import Backbone


@dataclass(frozen=True)
class Model:
    """A network and the normalisation of its input.

    Attributes:
        net: Takes float [B, in_chans, S, S], gives logits [B, classes].
        mean: Of each input channel, on the 0..1 scale.
        std: Likewise.
    """

    net: nn.Module
    mean: tuple[float, ...]
    std: tuple[float, ...]


def build(backbone: Backbone, classes: int, in_chans: int, image_size: int, seed: int) -> Model:
    """Create a model; what is not pretrained is drawn from `seed`.

    Args:
        backbone: Which model and weights.
        classes: Number of logits.
        in_chans: Channels of the input, 1 or 3.
        image_size: Side of the input in pixels.
        seed: Of the new weights.

    Raises:
        InputError: The weights cannot be had, or do not fit the model.
    """
    torch.manual_seed(seed)
    config = timm.models.get_pretrained_cfg(backbone.model)
    options: dict[str, Any] = {"num_classes": classes, "in_chans": in_chans}
    # Only models with position embeddings take a size; ResNets and the like refuse the argument.
    if config is not None and config.fixed_input_size:
        options["img_size"] = image_size
    if backbone.weights:
        options["pretrained_cfg_overlay"] = {"file": backbone.weights}
    try:
        net = timm.create_model(backbone.model, pretrained=backbone.pretrained, **options)
    except Exception as error:
        raise InputError(_weights_problem(backbone, error)) from error
    if backbone.weights:
        untouched = _still_random(net, backbone, options, seed)
        if untouched:
            error = ValueError(f"the file lacks {len(untouched)} of the model's tensors, e.g. {untouched[0]}")
            raise InputError(_weights_problem(backbone, error))
    if in_chans != 3 and backbone.pretrained and backbone.stem == "reinit":
        _reset_stem(net)
    mean, std = (tuple(map(float, _config(net)[key])) for key in ("mean", "std"))
    if in_chans == 1:
        mean, std = (sum(mean) / len(mean),), (sum(std) / len(std),)
    return Model(net, mean, std)


def _still_random(net: nn.Module, backbone: Backbone, options: dict[str, Any], seed: int) -> list[str]:
    """Weights outside the head that are as drawn from the seed: timm skips what a file lacks without a word."""
    torch.manual_seed(seed)
    drawn = dict(timm.create_model(backbone.model, pretrained=False, **options).named_parameters())
    head = _config(net)["classifier"] or ()
    heads = tuple(f"{name}." for name in ([head] if isinstance(head, str) else head))
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


def _weights_problem(backbone: Backbone, error: Exception) -> str:
    # torch names the tensors that do not fit from the second line on, all of them.
    reason = f"{type(error).__name__}: {textwrap.shorten(str(error), 200)}".removesuffix(": ").removesuffix(".")
    if backbone.weights:
        there = "" if Path(backbone.weights).is_file() else " (there is no such file on this machine)"
        return (
            f"backbone {backbone.model!r} cannot be built with weights {backbone.weights!r}{there}: {reason}. "
            "Give a .safetensors or .pth file of this very model's state dict, on a path every node can read."
        )
    if backbone.pretrained:
        return (
            f"backbone {backbone.model!r}: its pretrained weights cannot be had ({reason}). Connect to the hub once so "
            f"that they are kept, or give Backbone({backbone.model!r}, weights=PATH), "
            f"or train from scratch with Backbone({backbone.model!r}, pretrained=False)."
        )
    return f"backbone {backbone.model!r} cannot be built: {reason}."
