"""What `ops.DetectCrop` does to pixels once an object is found. Apart from the detector, so that it can be checked."""

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from swath.config import ops
from swath.models.detection.boxes import Detection, from_json, pixel_box
from swath.models.detection.contours import grabcut, mask_of
from swath.preprocess.image_files import Image
from swath.preprocess.transforms import apply, scaled

MISS = "nothing detected: the full image"


class Cropper:
    """What `ops.DetectCrop` makes of images in which `ops.Detect` has looked for objects.

    Args:
        op: How they are cropped.

    Attributes:
        notes: For each image of the last call a remark for the manifest, "" for none.
    """

    def __init__(self, op: ops.DetectCrop) -> None:
        self._op = op
        self.notes: list[str] = []

    def __call__(self, images: Sequence[Image], detections: Sequence[bytes]) -> list[Image]:
        """Images uint8 [H, W, C] of any sizes, and the object in each as `boxes.to_json` writes it."""
        objects = [from_json(data) for data in detections]
        self.notes = ["" if one else MISS for one in objects]
        return [crop(image, one, self._op) if one else image for image, one in zip(images, objects, strict=True)]


def crop(image: Image, detection: Detection, op: ops.DetectCrop) -> Image:
    """Cut or mask out the object.

    Args:
        image: uint8 [H, W, C].
        detection: The object; `contour` mode draws a contour by GrabCut where it has none.
        op: The mode and its settings.

    Returns:
        uint8 [H, W, C] for `contour` and `pad`, [S, S, C] with S = max(H, W) for `keep_ratio` and `stretch`.
    """
    height, width, channels = image.shape
    fill = _fill(op.fill, channels)
    if op.mode == "contour":
        inside = mask_of(detection.contour or grabcut(image, detection.box), height, width)
        return np.where(inside[:, :, None], image, fill)
    left, top, right, bottom = pixel_box(detection.box, width, height, op.margin)
    piece = np.ascontiguousarray(image[top:bottom, left:right])
    if op.mode == "pad":
        return _centred(piece, height, width, fill)
    side = max(height, width)
    if op.mode == "stretch":
        return apply(piece, (ops.Resize(side, op.interpolation),))
    scale = side / max(piece.shape[:2])
    inner_height, inner_width = (max(1, round(length * scale)) for length in piece.shape[:2])
    inner = scaled(piece, inner_height, inner_width, op.interpolation).reshape(inner_height, inner_width, channels)
    return _centred(inner, side, side, fill)


def _centred(piece: Image, height: int, width: int, fill: NDArray[np.uint8]) -> Image:
    canvas = np.empty((height, width, piece.shape[2]), np.uint8)
    canvas[:] = fill
    top, left = (height - piece.shape[0]) // 2, (width - piece.shape[1]) // 2
    canvas[top : top + piece.shape[0], left : left + piece.shape[1]] = piece
    return canvas


def _fill(colour: tuple[int, int, int], channels: int) -> NDArray[np.uint8]:
    """The fill as uint8 [C]; of a gray image its luma, as `Grayscale` makes it."""
    pixel = np.array(colour, np.uint8)
    if channels == 3:
        return pixel
    return cast(NDArray[np.uint8], apply(pixel[None, None], (ops.Grayscale(),))[0, 0])
