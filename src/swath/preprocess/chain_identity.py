"""What decides the pixels of a chain: its ops with their code versions, and the weights that some of them have."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from swath.config.ops import Op
from swath.core.description import changed

Model = Callable[..., list[Any]]
"""What an expensive op does: images of any sizes to as many images (`swath.models.image_models`). `Detect` makes of
them as many objects as JSON, and `DetectCrop` takes those beside the images."""
Models = Callable[[Op, str], Model]
"""Loads the model of an op from its weight file, or from the official release for ""; handed in by an engine."""


@dataclass(frozen=True)
class Weights:
    """The weight file of an op.

    Attributes:
        file: Absolute path; "" for none, or for the official release.
        sha256: Of its content; "" for an op without weights.
    """

    file: str = ""
    sha256: str = ""


NO_WEIGHTS = Weights()


def identity(chain: Sequence[Op], weights: Sequence[Weights]) -> list[Any]:
    """What decides a chain's pixels: its ops with their code versions, and the content of their weight files.

    Args:
        chain: The ops.
        weights: Of each op; () when none has any.
    """
    forms = []
    for op, weight in zip_longest(chain, weights, fillvalue=NO_WEIGHTS):
        assert isinstance(op, Op)
        form = changed(op.without_file())
        forms.append({**form, "weights": weight.sha256} if isinstance(weight, Weights) and weight.sha256 else form)
    return forms
