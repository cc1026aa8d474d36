"""What a chain starts from: an image file that must be the planned one, and the weights of the chain's ops."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from swath.config.ops import Op
from swath.core.description import changed
from swath.core.errors import StoreError
from swath.preprocess.transforms import Image, UnreadableImageError
from swath.store.file_hashes import bytes_digest

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


def planned_content(path: str, planned: str) -> bytes:
    """A file's bytes, which must be those the plan was made for.

    Args:
        path: The file.
        planned: Its content hash when the plan was made; "" for a file that could not be read then.

    Raises:
        UnreadableImageError: The file could not be read when the plan was made.
        StoreError: It could be read then. To call it a bad image would keep a moment's trouble in the cache for good.
    """
    if not planned:
        raise UnreadableImageError("could not be read")
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise StoreError(
            f"image {path} was there when the sweep started and cannot be read now: {error.strerror}. Every node must "
            "see the data under the same path. Start the sweep again when they are back; what is built is kept."
        ) from error
    if bytes_digest(data) != planned:
        raise StoreError(f"image {path} has changed since the sweep started. Start it again to use the new content.")
    return data


def as_rgb(image: Image) -> Image:
    """Three channels: what models take."""
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
