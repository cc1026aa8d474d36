"""What a detector finds in an image."""

import json
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]
"""Left, top, right and bottom edge in pixels; pixel i covers [i, i + 1], so a full image is (0, 0, width, height)."""
Polygon = NDArray[np.float64]
"""Corners [N, 2] of a closed outline, x and y in the same coordinates as boxes."""


@dataclass(frozen=True)
class Detection:
    """One object.

    Attributes:
        box: Around the object.
        score: Confidence, 0 to 1.
        label: Name of its class.
        contour: Outlines of its parts; () where the detector gives boxes only.
    """

    box: Box
    score: float = 1.0
    label: str = ""
    contour: tuple[Polygon, ...] = ()


def to_json(detection: Detection | None) -> bytes:
    """As kept in the cache; None for nothing found."""
    if detection is None:
        return b"null"
    contour = [polygon.tolist() for polygon in detection.contour]
    return json.dumps(
        {"box": detection.box, "score": detection.score, "label": detection.label, "contour": contour}
    ).encode()


def from_json(data: bytes) -> Detection | None:
    """What `to_json` was given, to the bit."""
    kept = json.loads(data)
    if kept is None:
        return None
    left, top, right, bottom = kept["box"]
    contour = tuple(np.array(polygon, np.float64) for polygon in kept["contour"])
    return Detection((left, top, right, bottom), kept["score"], kept["label"], contour)


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0 to 1."""
    width, height = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
    both = max(width, 0) * max(height, 0)
    either = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    return both / either if either > 0 else 0.0


def clipped(box: Box, width: float, height: float) -> Box:
    """The part of a box inside an image; empty (right <= left) when there is none."""
    return max(box[0], 0.0), max(box[1], 0.0), min(box[2], width), min(box[3], height)


def pixel_box(box: Box, width: int, height: int, margin: float = 0.0) -> tuple[int, int, int, int]:
    """Every pixel that a box touches, inside the image: left, top, right, bottom, at least one pixel each way.

    Args:
        box: In pixels.
        width: Of the image.
        height: Of the image.
        margin: Added on each side, as a share of the box's own width or height.
    """
    dx, dy = margin * (box[2] - box[0]), margin * (box[3] - box[1])
    left = min(max(math.floor(box[0] - dx), 0), width - 1)
    top = min(max(math.floor(box[1] - dy), 0), height - 1)
    right = min(max(math.ceil(box[2] + dx), left + 1), width)
    bottom = min(max(math.ceil(box[3] + dy), top + 1), height)
    return left, top, right, bottom
