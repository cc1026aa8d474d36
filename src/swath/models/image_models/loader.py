"""Loading the model of an expensive op, whichever it is, from the table of them."""

from collections.abc import Callable
from typing import Any

import torch

from swath.config.ops import DetectCrop, Op
from swath.core.registry import Registry
from swath.models.detection.crops import Cropper
from swath.models.device import device_of
from swath.models.image_models import detector, superres
from swath.models.image_models.base import ImageModel
from swath.preprocess.chain_identity import Model

MODELS: Registry[Callable[[Any, str, str], ImageModel]] = Registry(
    "image model",
    {
        "superres": superres.load,
        "detect": detector.load,
    },
)
"""Op name to the function that loads its model: (op, weight file or "", device)."""


def load(op: Op, weight_file: str = "", device: str = "", threads: int = 1) -> ImageModel:
    """The model that carries out `op`, ready to be called.

    Args:
        op: An op with `expensive = True`.
        weight_file: The op's `weight_file(fold)` as an absolute path on this machine; "" takes the official release.
        device: `cpu`, `cuda`, `cuda:1`; "" is a GPU where there is one.
        threads: CPU threads of torch in this process from now on. A worker per core with one thread each uses a
            machine best, and another number may change the last bits.

    Raises:
        InputError: The file is not there, is no model for this op, or cannot be downloaded. Says what to do.
    """
    torch.set_num_threads(threads)
    return MODELS[op.name](op, weight_file, device)


class LoadedModels:
    """Loads the model of an op from its weight file, and keeps it.

    Args:
        gpus: Of this process, as in `device_of`.
    """

    def __init__(self, gpus: float | None = None) -> None:
        self._gpus = gpus
        self._loaded: dict[tuple[Op, str], Model] = {}

    def __call__(self, op: Op, weight_file: str) -> Model:
        if isinstance(op, DetectCrop):
            return Cropper(op)
        if (op, weight_file) not in self._loaded:
            self._loaded[op, weight_file] = load(op, weight_file, str(device_of(self._gpus)))
        return self._loaded[op, weight_file]
