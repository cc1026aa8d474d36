"""What each op does to pixels. Images are RGB or gray uint8 [H, W, C] with C 3 or 1."""

import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import cv2
import numpy as np

from swath.config import ops
from swath.config.ops import Op
from swath.core.registry import Registry
from swath.preprocess.image_files import Image

SHARPEN_KERNEL = np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], np.float32)
_INTERPOLATION = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "lanczos": cv2.INTER_LANCZOS4,
}


def apply(image: Image, chain: Sequence[Op]) -> Image:
    """Run a chain on one image: uint8 [H, W, C] in and out."""
    for op in chain:
        image = IMPLEMENTATIONS[op.name](image, op)
        if image.ndim == 2:  # OpenCV drops the channel axis of gray images
            image = image[:, :, None]
    return image


def _grayscale(image: Image, op: ops.Grayscale) -> Image:
    gray = image[:, :, 0] if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return cast(Image, gray if op.channels == 1 else np.repeat(gray[:, :, None], 3, axis=2))


def _sharpen(image: Image, op: ops.Sharpen) -> Image:
    return cast(Image, cv2.filter2D(image, -1, SHARPEN_KERNEL))


def _shrink(image: Image, op: ops.Shrink) -> Image:
    height, width = image.shape[:2]
    scale = op.longest_px / max(height, width)
    if scale >= 1:
        return image
    return scaled(image, max(1, round(height * scale)), max(1, round(width * scale)), "area")


def _unsharp(image: Image, op: ops.Unsharp) -> Image:
    width = 2 * math.ceil(3 * op.radius) + 1
    exact = image.astype(np.float32)
    blurred = cv2.GaussianBlur(exact, (width, width), op.radius, borderType=cv2.BORDER_REFLECT_101)
    detail = exact - blurred.reshape(exact.shape)
    detail[np.abs(detail) < op.threshold] = 0
    return np.clip(np.rint(exact + op.amount * detail), 0, 255).astype(np.uint8)


def _clahe(image: Image, op: ops.Clahe) -> Image:
    equalise = cv2.createCLAHE(op.clip_limit, (op.tiles, op.tiles)).apply
    if image.shape[2] == 1:
        return cast(Image, equalise(image[:, :, 0]))
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[:, :, 0] = equalise(lab[:, :, 0])
    return cast(Image, cv2.cvtColor(lab, cv2.COLOR_LAB2RGB))


def _hires(image: Image, op: ops.Hires) -> Image:
    return image  # the file that was read is the high-resolution one


def _resize(image: Image, op: ops.Resize) -> Image:
    height, width = image.shape[:2]
    size = op.size_px
    if (height, width) == (size, size):
        return image
    if op.aspect == "stretch":
        return scaled(image, size, size, op.interpolation)
    scale = (min if op.aspect == "pad" else max)(size / height, size / width)
    inner = scaled(image, max(1, round(height * scale)), max(1, round(width * scale)), op.interpolation)
    inner = inner if inner.ndim == 3 else inner[:, :, None]
    top, left = abs(size - inner.shape[0]) // 2, abs(size - inner.shape[1]) // 2
    if op.aspect == "crop":
        return inner[top : top + size, left : left + size]
    canvas = np.zeros((size, size, inner.shape[2]), np.uint8)
    canvas[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return canvas


def scaled(image: Image, height: int, width: int, interpolation: str) -> Image:
    """Resize; `auto` averages areas where the image shrinks and is cubic where it grows."""
    if interpolation == "auto":
        shrinks = height * width < image.shape[0] * image.shape[1]
        interpolation = "area" if shrinks else "cubic"
    return cast(Image, cv2.resize(image, (width, height), interpolation=_INTERPOLATION[interpolation]))


IMPLEMENTATIONS: Registry[Callable[[Image, Any], Image]] = Registry(
    "op implementation",
    {
        "grayscale": _grayscale,
        "sharpen": _sharpen,
        "shrink": _shrink,
        "unsharp": _unsharp,
        "clahe": _clahe,
        "hires": _hires,
        "resize": _resize,
    },
)
