"""Outlines of objects: between masks and polygons, and by GrabCut where a detector gives boxes only."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from swath.models.detection.boxes import Box, Polygon, pixel_box
from swath.preprocess.image_files import Image

ROUNDS = 5
"""Rounds of GrabCut; more change little."""
SURROUNDINGS = 0.5
"""GrabCut learns the background from a frame this share of the box wide, as far as the image goes."""
SMALLEST_SHARE = 0.02
"""An object that fills less of its box than this was not found; the whole box stands for it."""


def mask_of(contour: Sequence[Polygon], height: int, width: int) -> NDArray[np.bool_]:
    """The pixels inside a contour, borders included: [height, width]."""
    mask = np.zeros((height, width), np.uint8)
    for polygon in contour:  # one by one: fillPoly would leave out what two parts share
        cv2.fillPoly(mask, [np.round(polygon - 0.5).astype(np.int32)], 1)
    return mask.astype(bool)


def contour_of(mask: NDArray[np.bool_]) -> tuple[Polygon, ...]:
    """Outlines through the centres of a mask's border pixels, the largest part first; holes and specks are dropped."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    parts = sorted((p[:, 0] for p in contours if len(p) >= 3), key=lambda p: -cv2.contourArea(p))
    return tuple(p.astype(np.float64) + 0.5 for p in parts)


def box_contour(box: Box) -> tuple[Polygon, ...]:
    """The outline of a box itself, through the centres of its border pixels."""
    left, top, right, bottom = box[0] + 0.5, box[1] + 0.5, box[2] - 0.5, box[3] - 0.5
    return (np.array([(left, top), (right, top), (right, bottom), (left, bottom)]),)


def grabcut(image: Image, box: Box) -> tuple[Polygon, ...]:
    """The object inside a box (Rother, Kolmogorov and Blake 2004): everything outside the box is background.

    Args:
        image: uint8 [H, W, 3] (or [H, W, 1]).
        box: In pixels.

    Returns:
        Its contour; the box's own where the box leaves no background to learn from, or nothing stands out in it.
    """
    height, width = image.shape[:2]
    inner = pixel_box(box, width, height)
    whole = box_contour(inner)
    left, top, right, bottom = pixel_box(box, width, height, SURROUNDINGS)
    window = np.ascontiguousarray(np.broadcast_to(image[top:bottom, left:right], (bottom - top, right - left, 3)))
    labels = np.full(window.shape[:2], cv2.GC_BGD, np.uint8)
    labels[inner[1] - top : inner[3] - top, inner[0] - left : inner[2] - left] = cv2.GC_PR_FGD
    if (labels == cv2.GC_BGD).sum() < 8 or (labels == cv2.GC_PR_FGD).sum() < 8:
        return whole
    cv2.setRNGSeed(0)  # its k-means draws from OpenCV's generator: the same image must give the same contour
    try:
        cv2.grabCut(window, labels, (0, 0, 1, 1), np.zeros((1, 65)), np.zeros((1, 65)), ROUNDS, cv2.GC_INIT_WITH_MASK)
    except cv2.error:  # too few different colours for its mixtures
        return whole
    inside = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    contour = contour_of(inside)
    area = (inner[2] - inner[0]) * (inner[3] - inner[1])
    if not contour or inside.sum() < SMALLEST_SHARE * area:
        return whole
    return tuple(polygon + np.array([left, top]) for polygon in contour)
