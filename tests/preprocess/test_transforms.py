"""Pixels of each op against OpenCV called directly, and against NumPy and SciPy where a formula is meant."""

import cv2
import numpy as np
import pytest
import scipy.ndimage
from numpy.typing import NDArray

from swath.config.ops import Clahe, Grayscale, Hires, Op, Resize, Sharpen, Unsharp
from swath.preprocess.transforms import apply
from tests.support.drawn_images import Pixels, noise, smooth

SIZES = [(37, 91), (91, 37), (64, 64), (63, 65), (1, 1), (1, 200), (200, 3), (128, 128), (500, 333)]
FLAGS = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "lanczos": cv2.INTER_LANCZOS4,
}


def convolved(image: Pixels) -> Pixels:
    """The sharpening of the paper's kernel by plain sums: reflect-101 borders, saturated."""
    padded = np.pad(image.astype(int), ((1, 1), (1, 1), (0, 0)), mode="reflect")
    around = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    return np.clip(5 * image.astype(int) - around, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(37, 91), (2, 2), (64, 64)])
def test_sharpen_is_filter2d_to_the_bit(size: tuple[int, int], channels: int) -> None:
    image = noise(*size, channels)
    kernel = np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]])
    found = apply(image, (Sharpen(),))
    np.testing.assert_array_equal(found, cv2.filter2D(image, -1, kernel).reshape(image.shape))
    np.testing.assert_array_equal(found, convolved(image))
    assert ((found == 0) | (found == 255)).any()  # saturation was really met


def test_grayscale_is_cvtcolor_to_the_bit() -> None:
    image = noise(37, 91)
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    one, three = apply(image, (Grayscale(),)), apply(image, (Grayscale(channels=3),))
    np.testing.assert_array_equal(one, gray[:, :, None])
    np.testing.assert_array_equal(three, np.dstack([gray] * 3))
    luma = image @ np.array([0.299, 0.587, 0.114])  # ITU-R BT.601: red first, not blue
    assert np.abs(one[:, :, 0] - luma).max() <= 0.51


def test_gray_of_gray_is_gray() -> None:
    image = noise(9, 7)
    gray = apply(image, (Grayscale(),))
    np.testing.assert_array_equal(apply(image, (Grayscale(), Grayscale())), gray)
    np.testing.assert_array_equal(apply(image, (Grayscale(), Grayscale(3))), np.repeat(gray, 3, axis=2))


def test_gray_then_sharpen_runs_in_that_order() -> None:
    image = noise(37, 91)
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None]
    np.testing.assert_array_equal(apply(image, (Grayscale(), Sharpen())), convolved(gray))
    np.testing.assert_array_equal(apply(image, (Grayscale(3), Sharpen())), np.repeat(convolved(gray), 3, axis=2))
    other_way = apply(image, (Sharpen(), Grayscale()))
    assert (other_way != convolved(gray)).any()


def unsharp_mask(image: Pixels, op: Unsharp) -> NDArray[np.float64]:
    """The formula in double precision, with the blur as two plain correlations, before rounding."""
    reach = int(np.ceil(3 * op.radius))
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * op.radius**2))
    blurred = image.astype(float)
    for axis in (0, 1):
        blurred = scipy.ndimage.correlate1d(blurred, weights / weights.sum(), axis, mode="mirror")
    detail = image - blurred
    return np.clip(image + op.amount * np.where(np.abs(detail) < op.threshold, 0, detail), 0, 255)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("op", [Unsharp(), Unsharp(0.4, 3.0), Unsharp(2.5, 0.7), Unsharp(1.0, 1.5, threshold=20)])
def test_unsharp_is_the_formula(op: Unsharp, channels: int) -> None:
    image = noise(37, 91, channels)
    found, exact = apply(image, (op,)), unsharp_mask(image, op)
    at_the_threshold = np.abs(np.abs(exact - image) / op.amount - op.threshold) < 1e-3 if op.threshold else False
    assert (np.where(at_the_threshold, 0, np.abs(found - exact)) <= 0.501).all()
    assert ((found == 0) | (found == 255)).any()
    if op.threshold:
        assert 0.05 < (found == image).mean() < 0.9  # some detail is below, some above


def test_more_amount_and_more_radius_sharpen_more() -> None:
    def sharpness(image: Pixels) -> float:
        return float(cv2.Laplacian(image, cv2.CV_64F).var())

    image = smooth()
    levels = [sharpness(apply(image, ops)) for ops in ((), (Unsharp(1, 0.5),), (Unsharp(1, 2),), (Unsharp(2, 2),))]
    assert levels == sorted(levels)
    assert levels[1] > 1.2 * levels[0]


@pytest.mark.parametrize("op", [Clahe(), Clahe(4.0, 4), Clahe(40.0, 2)])
def test_clahe_is_opencvs_on_lightness(op: Clahe) -> None:
    image = smooth(61, 83) // 2
    equalise = cv2.createCLAHE(clipLimit=op.clip_limit, tileGridSize=(op.tiles, op.tiles))
    lightness, a, b = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2LAB))
    expected = cv2.cvtColor(cv2.merge((equalise.apply(lightness), a, b)), cv2.COLOR_LAB2RGB)
    found = apply(image, (op,))
    np.testing.assert_array_equal(found, expected)
    assert found.std() > 1.1 * image.std()
    gray = apply(image, (Grayscale(), op))
    np.testing.assert_array_equal(gray[:, :, 0], equalise.apply(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)))


def test_hires_leaves_the_file_it_is_given_alone() -> None:
    image = noise(9, 7)
    np.testing.assert_array_equal(apply(image, (Hires(),)), image)


def resized(image: Pixels, height: int, width: int, interpolation: str) -> Pixels:
    """A direct call of OpenCV; `auto` is area for fewer pixels, else cubic."""
    if interpolation == "auto":
        interpolation = "area" if height * width < image.shape[0] * image.shape[1] else "cubic"
    return cv2.resize(image, (width, height), interpolation=FLAGS[interpolation]).reshape(height, width, -1)  # type: ignore[return-value]


@pytest.mark.parametrize("interpolation", ["auto", *FLAGS])
@pytest.mark.parametrize("channels", [1, 3])
def test_stretch_is_one_call_of_opencv(interpolation: str, channels: int) -> None:
    for size in SIZES:
        image = noise(*size, channels)
        expected = image if size == (64, 64) else resized(image, 64, 64, interpolation)
        np.testing.assert_array_equal(apply(image, (Resize(64, interpolation),)), expected)


@pytest.mark.parametrize("interpolation", ["auto", "linear"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pad_keeps_the_whole_picture_and_its_shape_on_black(interpolation: str, channels: int) -> None:
    for height, width in SIZES:
        image = np.maximum(noise(height, width, channels), 1)
        found = apply(image, (Resize(64, interpolation, "pad"),))
        h, w = max(1, round(64 * height / max(height, width))), max(1, round(64 * width / max(height, width)))
        top, left = (64 - h) // 2, (64 - w) // 2
        expected = np.zeros((64, 64, channels), np.uint8)
        expected[top : top + h, left : left + w] = (
            image if (h, w) == (height, width) else resized(image, h, w, interpolation)
        )
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("interpolation", ["auto", "linear"])
@pytest.mark.parametrize("channels", [1, 3])
def test_crop_fills_the_square_from_the_centre(interpolation: str, channels: int) -> None:
    for height, width in SIZES:
        image = noise(height, width, channels)
        found = apply(image, (Resize(64, interpolation, "crop"),))
        h, w = round(64 * height / min(height, width)), round(64 * width / min(height, width))
        whole = image if (h, w) == (height, width) else resized(image, h, w, interpolation)
        top, left = (h - 64) // 2, (w - 64) // 2
        np.testing.assert_array_equal(found, whole[top : top + 64, left : left + 64])


def test_pad_and_crop_of_37_by_91_by_hand() -> None:
    image = np.full((37, 91, 3), 200, np.uint8)
    padded = apply(image, (Resize(64, aspect="pad"),))
    assert (padded == 200).all(axis=(1, 2)).sum() == 26  # round(64 * 37 / 91) rows of picture
    assert (padded[:19] == 0).all()
    assert (padded[45:] == 0).all()
    marked = image.copy()
    marked[:, :26], marked[:, 64:] = 0, 0  # what a centred square of 37 leaves out
    assert apply(marked, (Resize(64, "nearest", "crop"),)).min() == 200


@pytest.mark.parametrize("aspect", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("chain", [(), (Grayscale(),), (Grayscale(3), Sharpen()), (Grayscale(), Sharpen())])
@pytest.mark.parametrize("size", SIZES)
def test_every_size_becomes_the_square_asked_for(size: tuple[int, int], chain: tuple[Op, ...], aspect: str) -> None:
    found = apply(noise(*size), (*chain, Resize(64, aspect=aspect)))
    assert found.shape == (64, 64, 1 if Grayscale() in chain else 3)
    assert found.dtype == np.uint8


def test_an_image_is_never_changed_in_place() -> None:
    image = noise(37, 91)
    kept = image.copy()
    apply(image, (Sharpen(), Grayscale(), Resize(64, aspect="pad")))
    np.testing.assert_array_equal(image, kept)
