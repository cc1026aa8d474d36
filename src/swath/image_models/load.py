"""Loading the model of an expensive op, whichever it is."""

import torch

from swath.image_models import detector, superres
from swath.image_models.base import MODELS, ImageModel
from swath.ops import Op

LOADERS = (
    superres.load,
    detector.load,
)  # importing a module enters its loader in MODELS; the names keep those imports in sight


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
