"""Crops against references of a few lines, written with numpy and OpenCV alone."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from swath import ops
from swath.models.detection.boxes import Detection, iou, pixel_box
from swath.models.detection.contours import contour_of, grabcut, mask_of
from swath.models.detection.crops import crop

BOX = (10.2, 5.7, 30.9, 45.1)  # touches the pixels 10..30 and 5..45
Image = NDArray[np.uint8]


def photo(height: int = 64, width: int = 64, seed: int = 0) -> Image:
    """A bright ellipse on a dark texture."""
    rng = np.random.default_rng(seed)
    image = rng.integers(20, 90, (height, width, 3)).astype(np.uint8)
    mask = np.zeros((height, width), np.uint8)
    cv2.ellipse(mask, (20, 25), (9, 18), 0, 0, 360, 1, -1)
    image[mask > 0] = rng.integers(190, 255, (int(mask.sum()), 3))
    return image


def reference(image: Image, mode: str, fill: tuple[int, int, int]) -> Image:
    """What each mode is, for BOX."""
    height, width = image.shape[:2]
    piece = image[5:46, 10:31]
    if mode == "pad":
        out = np.full_like(image, fill)
        top, left = (height - 41) // 2, (width - 21) // 2
        out[top : top + 41, left : left + 21] = piece
        return out
    side = max(height, width)
    if mode == "stretch":
        return cv2.resize(piece, (side, side), interpolation=cv2.INTER_CUBIC)  # type: ignore[return-value]
    inner_width = round(21 * side / 41)
    out = np.full((side, side, 3), fill, np.uint8)
    left = (side - inner_width) // 2
    out[:, left : left + inner_width] = cv2.resize(piece, (inner_width, side), interpolation=cv2.INTER_CUBIC)
    return out


@pytest.mark.parametrize("size", [(64, 64), (48, 80), (90, 60)])
@pytest.mark.parametrize("fill", [(114, 114, 114), (255, 0, 7)])
@pytest.mark.parametrize("mode", ["pad", "keep_ratio", "stretch"])
def test_box_crops_equal_the_reference(mode: str, fill: tuple[int, int, int], size: tuple[int, int]) -> None:
    image = photo(*size)
    ours = crop(image, Detection(BOX), ops.DetectCrop(mode, "x.pt", fill))  # type: ignore[arg-type]
    np.testing.assert_array_equal(ours, reference(image, mode, fill))


@pytest.mark.parametrize("fill", [(114, 114, 114), (255, 0, 7)])
def test_contour_crops_equal_the_reference(fill: tuple[int, int, int]) -> None:
    image, corners = photo(), np.array([[10, 5], [30, 8], [24, 44], [12, 40]])
    mask = cv2.fillPoly(np.zeros((64, 64), np.uint8), [corners], 1)
    expected = image.copy()
    expected[mask == 0] = fill
    found = Detection(BOX, contour=(corners + 0.5,))  # through the centres of those pixels
    np.testing.assert_array_equal(crop(image, found, ops.DetectCrop("contour", "x.pt", fill)), expected)


def test_without_a_contour_grabcut_finds_the_object_in_its_box() -> None:
    image, box = photo(), (9.0, 5.0, 32.0, 46.0)
    truth = (image > 150).all(axis=2)
    found = mask_of(grabcut(image, box), 64, 64)
    assert (found & truth).sum() / (found | truth).sum() > 0.95
    cropped = crop(image, Detection(box), ops.DetectCrop("contour", "x.pt", (1, 2, 3)))
    np.testing.assert_array_equal((cropped == (1, 2, 3)).all(axis=2), ~found)
    cv2.setRNGSeed(99)
    np.testing.assert_array_equal(cropped, crop(image, Detection(box), ops.DetectCrop("contour", "x.pt", (1, 2, 3))))


@pytest.mark.parametrize("box", [(0, 0, 64, 64), (3.2, 3.1, 4.0, 3.9), (-5, -5, 80, 70)])
def test_grabcut_falls_back_to_the_box_where_there_is_nothing_to_learn_from(
    box: tuple[float, float, float, float],
) -> None:
    left, top, right, bottom = pixel_box(box, 64, 64)
    expected = np.zeros((64, 64), bool)
    expected[top:bottom, left:right] = True
    np.testing.assert_array_equal(mask_of(grabcut(photo(), box), 64, 64), expected)


def test_grabcut_of_a_flat_image_is_the_box() -> None:
    flat = np.full((64, 64, 3), 77, np.uint8)
    assert mask_of(grabcut(flat, (10, 10, 30, 30)), 64, 64).sum() == 400


def test_masks_and_contours_are_inverse_but_for_holes() -> None:
    mask = cv2.ellipse(np.zeros((50, 70), np.uint8), (30, 20), (15, 9), 30, 0, 360, 1, -1).astype(bool)
    mask[40:45, 50:60] = True
    contour = contour_of(mask)
    assert len(contour) == 2
    np.testing.assert_array_equal(mask_of(contour, 50, 70), mask)


def test_a_margin_widens_the_box_and_stops_at_the_border() -> None:
    assert pixel_box((10, 20, 30, 40), 64, 64) == (10, 20, 30, 40)
    assert pixel_box((10, 20, 30, 40), 64, 64, margin=0.25) == (5, 15, 35, 45)
    assert pixel_box((10, 20, 30, 40), 64, 64, margin=2) == (0, 0, 64, 64)
    assert pixel_box((70, -9, 80, -3), 64, 64) == (63, 0, 64, 1)  # never empty
    image = photo()
    wide = crop(image, Detection((10, 20, 30, 40)), ops.DetectCrop("pad", "x.pt", margin=0.25))
    np.testing.assert_array_equal(wide[17:47, 17:47], image[15:45, 5:35])


def test_the_interpolation_is_the_ops() -> None:
    image = photo()
    ours = crop(image, Detection(BOX), ops.DetectCrop("stretch", "x.pt", interpolation="nearest"))
    expected = cv2.resize(image[5:46, 10:31], (64, 64), interpolation=cv2.INTER_NEAREST)
    np.testing.assert_array_equal(ours, expected)


def test_gray_images_are_filled_with_the_luma() -> None:
    gray = photo()[:, :, :1].copy()
    ours = crop(gray, Detection(BOX), ops.DetectCrop("pad", "x.pt", (255, 0, 0)))
    assert ours.shape == (64, 64, 1)
    assert ours[0, 0, 0] == round(0.299 * 255)


def test_intersection_over_union() -> None:
    assert iou((0, 0, 2, 2), (1, 1, 3, 3)) == pytest.approx(1 / 7)
    assert iou((0, 0, 2, 2), (0, 0, 2, 2)) == 1
    assert iou((0, 0, 1, 1), (1, 0, 2, 1)) == 0
    assert iou((0, 0, 0, 0), (0, 0, 0, 0)) == 0
