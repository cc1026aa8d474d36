"""Image files read and decoded, as everywhere in swath: RGB uint8 [H, W, 3]."""

from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from swath.core.errors import StoreError
from swath.store.file_hashes import bytes_digest

Image = NDArray[np.uint8]
"""[H, W, C], C 3 (RGB) or 1 (gray)."""


class UnreadableImageError(Exception):
    """A file that is no image, or only part of one."""


def decode(data: bytes) -> Image:
    """A file's content to RGB uint8 [H, W, 3]; 16-bit is reduced, alpha dropped, EXIF orientation applied.

    Raises:
        UnreadableImageError: The content is empty, truncated or no image. Says which.
    """
    if not data:
        raise UnreadableImageError("is empty (zero bytes)")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise UnreadableImageError(f"cannot be decoded: {error}") from error
    if image is None:
        raise UnreadableImageError("cannot be decoded: truncated, or no image OpenCV knows")
    return cast(Image, image)


def read_image(path: str | Path) -> Image:
    """`decode` a file; a file that cannot be read is an UnreadableImageError, too."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UnreadableImageError(f"cannot be read: {error.strerror}") from error
    return decode(data)


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
