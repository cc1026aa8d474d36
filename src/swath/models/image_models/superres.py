"""Super-resolution with Real-ESRGAN networks, loaded by spandrel."""

import pickle
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from spandrel import ImageModelDescriptor, ModelLoader

from swath.config import ops
from swath.config.releases import SUPERRES
from swath.core.errors import InputError
from swath.models.device import named_device, prepare
from swath.models.image_models.base import Image
from swath.models.image_models.download import fetch

Upscale = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""Images of one size, uint8 [B, H, W, 3], to x4 results, uint8 [B, 4H, 4W, 3]."""

SCALE = 4
WINDOW_PX = 256
"""A larger image goes through the network in windows of at most this side: what bounds the memory, 1 GB for x4plus."""
OVERLAP_PX = {"compact": 18, "x4plus": 64}
"""Of a window, on each inner side: seen by the network, not kept. `compact` sees 18 px far, so windows leave no trace.
`x4plus` sees some 350 px in theory; with 64 its result was within 2/255 of the whole image's (decision 0007)."""
BATCH_PX = {"cpu": 128 * 128, "cuda": 512 * 512}
"""Input pixels of one forward pass, by device. Larger batches do not help a CPU, and cost it memory."""
ARCHITECTURES = {"x4plus": "ESRGAN", "compact": "Compact"}
"""Our names of models to spandrel's of their architectures."""


class SuperResolution:
    """The model behind `ops.SuperRes`.

    Args:
        upscale: The network, times four.
        scale: Of the result, 4 or 2.
        overlap_px: Of the windows of a large image.
        batch_px: Input pixels that go through the network at once.
    """

    def __init__(self, upscale: Upscale, scale: int, overlap_px: int, batch_px: int) -> None:
        self._upscale = upscale
        self._scale = scale
        self._overlap_px = overlap_px
        self._batch_px = batch_px

    def __call__(self, images: Sequence[Image]) -> list[Image]:
        """Images uint8 [H, W, C] of any sizes; gray ones (C = 1) go in as gray RGB and come out as luma."""
        alike: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for position, image in enumerate(images):
            alike[image.shape].append(position)
        results: dict[int, Image] = {}
        for (height, width, _), positions in alike.items():
            size = max(1, self._batch_px // (min(height, WINDOW_PX) * min(width, WINDOW_PX)))
            for start in range(0, len(positions), size):
                chunk = positions[start : start + size]
                batch = np.stack([_rgb(images[p]) for p in chunk])
                upscaled = upscale_tiled(batch, self._upscale, WINDOW_PX, self._overlap_px)
                results |= {p: self._finished(u, images[p]) for p, u in zip(chunk, upscaled, strict=True)}
        return [results[position] for position in range(len(images))]

    def _finished(self, upscaled: Image, image: Image) -> Image:
        if self._scale != SCALE:
            height, width = (side * self._scale for side in image.shape[:2])
            upscaled = cast(Image, cv2.resize(upscaled, (width, height), interpolation=cv2.INTER_AREA))
        if image.shape[2] == 1:
            return cast(Image, cv2.cvtColor(upscaled, cv2.COLOR_RGB2GRAY)[:, :, None])
        return upscaled


def upscale_tiled(images: NDArray[np.uint8], upscale: Upscale, window_px: int, overlap_px: int) -> NDArray[np.uint8]:
    """Run `upscale` over windows that overlap, and keep of each window what is its own.

    Args:
        images: uint8 [B, H, W, 3].
        upscale: The network, times four.
        window_px: Largest side of a window, more than twice the overlap.
        overlap_px: Context on each side that is no border of the image.

    Returns:
        uint8 [B, 4H, 4W, 3].
    """
    batch, height, width, channels = images.shape
    if max(height, width) <= window_px:
        return upscale(images)
    core = window_px - 2 * overlap_px
    result = np.empty((batch, height * SCALE, width * SCALE, channels), np.uint8)
    for top in range(0, height, core):
        for left in range(0, width, core):
            bottom, right = min(top + core, height), min(left + core, width)
            y, x = max(top - overlap_px, 0), max(left - overlap_px, 0)
            window = upscale(np.ascontiguousarray(images[:, y : bottom + overlap_px, x : right + overlap_px]))
            rows, columns = _scaled(top, bottom, 0), _scaled(left, right, 0)
            result[:, rows, columns] = window[:, _scaled(top, bottom, y), _scaled(left, right, x)]
    return result


def _scaled(start: int, stop: int, origin: int) -> slice:
    """Input pixels `start` to `stop`, counted from `origin`, as output pixels."""
    return slice((start - origin) * SCALE, (stop - origin) * SCALE)


def _rgb(image: Image) -> Image:
    return cast(Image, np.repeat(image, 3, axis=2)) if image.shape[2] == 1 else image


def load(op: ops.SuperRes, weight_file: str, device: str) -> SuperResolution:
    """The model of `op`, from its file or the official release, in the arithmetic of `op.precision` on every device.

    Raises:
        InputError: The file is missing, is no such model, or cannot be downloaded.
    """
    place = named_device(device)
    prepare(place, deterministic=False)
    path = Path(weight_file) if weight_file else _released(op)
    if not path.is_file():
        raise InputError(f"{op.canonical()}: the weights file {weight_file!r} does not exist on this machine.")
    upscale = BACKENDS[op.backend](op, path, place)
    return SuperResolution(upscale, op.scale, OVERLAP_PX[op.model], BATCH_PX.get(place.type, BATCH_PX["cpu"]))


def _released(op: ops.SuperRes) -> Path:
    return fetch(SUPERRES[op.model], f"give SuperRes(model={op.model!r}, weights=PATH), on a path every node can read")


def _spandrel(op: ops.SuperRes, path: Path, device: torch.device) -> Upscale:
    """The network of a file, through spandrel."""
    try:
        network = ModelLoader().load_from_file(path)
    except Exception as error:  # unpicklers, safetensors and spandrel each raise their own
        raise InputError(_file_problem(op, path, f"it cannot be loaded ({type(error).__name__}: {error})")) from error
    reason = f"it holds {network.architecture.name} x{network.scale}, {network.input_channels} channels"
    as_told = (network.architecture.id, network.scale, network.input_channels, network.output_channels)
    if not isinstance(network, ImageModelDescriptor) or as_told != (ARCHITECTURES[op.model], SCALE, 3, 3):
        raise InputError(_file_problem(op, path, reason))
    network = network.to(device).eval()
    network = network.half() if op.precision == "fp16" else network.float()

    def upscale(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        with torch.inference_mode():
            # Contiguous as everybody feeds it: channels-last strides choose other kernels, with other last bits.
            pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).contiguous()
            result = network(pixels.to(network.dtype) / 255)
            result = result.float().clamp(0, 1).mul(255).round().to(torch.uint8)
            return result.permute(0, 2, 3, 1).contiguous().cpu().numpy()

    return upscale


def _realesrgan(op: ops.SuperRes, path: Path, device: torch.device) -> Upscale:
    """The same through the original package."""
    from swath.models.image_models import realesrgan_package

    try:
        return realesrgan_package.upscale(op, path, device)
    except ImportError as error:
        raise InputError(
            f"{op.canonical()} needs the original package ({error}): pip install 'swath[realesrgan]' (tried on "
            "Python 3.11), or leave `backend` out: spandrel gives the same pixels."
        ) from error
    except (KeyError, RuntimeError, OSError, ValueError, pickle.UnpicklingError) as error:
        raise InputError(_file_problem(op, path, f"realesrgan cannot load it ({error!r})")) from error


BACKENDS = {"spandrel": _spandrel, "realesrgan": _realesrgan}


def _file_problem(op: ops.SuperRes, path: Path, reason: str) -> str:
    return (
        f"{op.canonical()}: {path} is no weights file for {op.model!r}: {reason}. Wanted is a x4 model of the "
        f"architecture {ARCHITECTURES[op.model]} with 3 channels, as .pth or .safetensors; "
        'weights="" takes the official release.'
    )
