"""Super-resolution through the original package (extra `realesrgan`), for those who must have exactly that."""

import importlib
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.transforms import functional

from swath.config import ops


def upscale(op: ops.SuperRes, path: Path, device: torch.device) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
    """The network of a file as `RealESRGANer` runs it, without padding, which would change the borders.

    Raises:
        ImportError: The package is not installed, or not whole.
    """
    _supply_functional_tensor()
    package: Any = importlib.import_module("realesrgan")
    enhancer = package.RealESRGANer(
        scale=4, model_path=str(path), model=_network(op), pre_pad=0, half=op.precision == "fp16", device=device
    )

    def run(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        results = [enhancer.enhance(image[:, :, ::-1])[0][:, :, ::-1] for image in images]  # it speaks BGR
        return np.stack(results)

    return run


def _network(op: ops.SuperRes) -> torch.nn.Module:
    """The architecture with the sizes of the official release."""
    if op.model == "compact":
        archs: Any = importlib.import_module("realesrgan.archs.srvgg_arch")
        return archs.SRVGGNetCompact(num_in_ch=3, num_out_ch=3, num_feat=64, num_conv=16, upscale=4, act_type="prelu")
    archs = importlib.import_module("basicsr.archs.rrdbnet_arch")
    return archs.RRDBNet(num_in_ch=3, num_out_ch=3, num_feat=64, num_block=23, num_grow_ch=32, scale=4)


def _supply_functional_tensor() -> None:
    """Give basicsr 1.4.2 the module of torchvision that it imports one function from, and that is gone since 0.17."""
    name = "torchvision.transforms.functional_tensor"
    if name not in sys.modules:
        module: Any = types.ModuleType(name)
        module.rgb_to_grayscale = functional.rgb_to_grayscale
        sys.modules[name] = module
