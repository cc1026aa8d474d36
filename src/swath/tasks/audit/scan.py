"""Scan of every image: size, mode, format, what is wrong with the file, perceptual hash, colour features.

Threads do it: OpenCV decodes without the interpreter's lock. What is kept of an image is under 500 bytes.
"""

import io
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import cast

import cv2
import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

GRID = 6
"""Side of the downsampled picture in the features."""
FEATURES = (
    *(f"{c} mean" for c in ("red", "green", "blue")),
    *(f"{c} contrast" for c in ("red", "green", "blue")),
    "saturation",
    "sharpness",
    "width",
    "height",
    *(f"{c} at {y},{x}" for y in range(GRID) for x in range(GRID) for c in ("red", "green", "blue")),
)
CONSTANT_SPREAD = 2
"""Gray levels between darkest and brightest pixel up to which an image is called constant (JPEG noise of flat ones)."""
_HASH_SIDE = 32  # what imagehash.phash reduces to
_FEATURE_SIDE = 256  # longer sides are reduced for the colour features
_CHUNK = 64
_SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".jpg", ".jpeg", ".mpo"),
    "PNG": (".png", ".apng"),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "WEBP": (".webp",),
    "JPEG2000": (".jp2", ".j2k", ".jpx"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
}
_ENDS = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND"}


@dataclass(frozen=True)
class ImageScan:
    """What is known of one image file.

    Attributes:
        problem: Why it cannot be used, or only in part ("is truncated"); "" when fine.
        width: Pixels; 0 when unknown.
        height: Pixels; 0 when unknown.
        mode: `color`, `gray`, `alpha`, `palette`, `16 bit`, `CMYK`, or Pillow's name for a rarer one.
        suffix: The ending its content should have where its name has another, or "".
        constant: True when all pixels are (nearly) equal.
        hash: 64-bit perceptual hash.
        features: float32 [len(FEATURES)].
    """

    problem: str
    width: int = 0
    height: int = 0
    mode: str = ""
    suffix: str = ""
    constant: bool = False
    hash: int = 0
    features: NDArray[np.float32] | None = None


def scan_image(path: str) -> ImageScan:
    """The scan of one file; never raises for what the file holds."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        return ImageScan(f"cannot be read: {error.strerror}")
    if not data:
        return ImageScan("is empty (zero bytes)")
    try:
        with Image.open(io.BytesIO(data)) as opened:
            size, mode, kind = opened.size, _mode(opened, data), opened.format or ""
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return ImageScan(f"is no image that Pillow knows: {type(error).__name__}")
    suffix = _right_suffix(kind, path)
    pixels = _decode(data)
    if pixels is None:
        problem = _truncated(data, kind) or "cannot be decoded"
        return ImageScan(problem, width=size[0], height=size[1], mode=mode, suffix=suffix)
    gray = cast("NDArray[np.uint8]", cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
    small = cv2.resize(gray, (_HASH_SIDE, _HASH_SIDE), interpolation=cv2.INTER_AREA)
    return ImageScan(
        _truncated(data, kind),
        width=size[0],
        height=size[1],
        mode=mode,
        suffix=suffix,
        constant=int(gray.max()) - int(gray.min()) <= CONSTANT_SPREAD,
        hash=int(str(imagehash.phash(Image.fromarray(small))), 16),
        features=_features(pixels, gray, size),
    )


def _decode(data: bytes) -> NDArray[np.uint8] | None:
    try:
        return cast("NDArray[np.uint8] | None", cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB))
    except cv2.error:
        return None


def _mode(opened: Image.Image, data: bytes) -> str:
    deep_png = opened.format == "PNG" and data[24:25] == b"\x10"  # Pillow calls 16-bit colour plain RGB
    if deep_png or opened.mode.startswith("I"):
        return "16 bit"
    names = {"RGB": "color", "YCbCr": "color", "L": "gray", "1": "gray", "P": "palette"}
    return "alpha" if opened.mode in ("RGBA", "LA", "PA") else names.get(opened.mode, opened.mode)


def _right_suffix(kind: str, path: str) -> str:
    """The ending that belongs to the content where the name has another; "" when it fits or none is known."""
    allowed = _SUFFIXES.get(kind, ())
    return "" if not allowed or Path(path).suffix.lower() in allowed else allowed[0]


def _truncated(data: bytes, kind: str) -> str:
    """`is truncated` when the end is missing: some decoders fill the rest with gray and say nothing."""
    end = _ENDS.get(kind)
    if end is None or end in data[-1024:]:
        return ""
    try:
        with Image.open(io.BytesIO(data)) as opened:
            opened.load()
    except (OSError, ValueError, SyntaxError):
        return "is truncated"
    return ""


def _features(pixels: NDArray[np.uint8], gray: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float32]:
    """What tells kinds of pictures apart without a network: see `FEATURES`."""
    scale = _FEATURE_SIDE / max(gray.shape)
    if scale < 1:
        pixels = cast("NDArray[np.uint8]", cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
        gray = cast("NDArray[np.uint8]", cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
    mean, deviation = cv2.meanStdDev(pixels)
    tiny = cv2.resize(pixels, (GRID, GRID), interpolation=cv2.INTER_AREA)
    saturation = float((tiny.max(axis=2).astype(np.float32) - tiny.min(axis=2)).mean())
    sharpness = float(np.log1p(cv2.meanStdDev(cv2.Laplacian(gray, cv2.CV_16S))[1][0, 0]))
    return np.concatenate(
        [mean.ravel(), deviation.ravel(), [saturation, sharpness, *size], tiny.reshape(-1)], dtype=np.float32
    )


def scan_images(paths: Sequence[str], say: Callable[[str], None]) -> list[ImageScan]:
    """Every file, in order; with a line now and then about how far it is.

    Args:
        paths: The files.
        say: Called with lines of progress.
    """
    cv2.setNumThreads(1)  # parallelism is over images
    chunks = [paths[i : i + _CHUNK] for i in range(0, len(paths), _CHUNK)]
    scans: list[ImageScan] = []
    started = told = time.monotonic()
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for of_chunk in pool.map(lambda chunk: [scan_image(path) for path in chunk], chunks):
            scans += of_chunk
            now = time.monotonic()
            if now - told > 10:
                told = now
                say(f"{len(scans):,} of {len(paths):,} images, {len(scans) / (now - started):.0f} images/s")
    seconds = max(time.monotonic() - started, 1e-3)
    say(f"{len(scans):,} images looked at in {seconds:.0f} s, {len(scans) / seconds:.0f} images/s")
    return scans


def feature_matrix(scans: Sequence[ImageScan]) -> NDArray[np.float32]:
    """[N, F]; NaN rows for images without."""
    absent = np.full(len(FEATURES), np.nan, np.float32)
    rows = chain((absent if each.features is None else each.features) for each in scans)
    return np.stack(list(rows)) if scans else np.empty((0, len(FEATURES)), np.float32)
