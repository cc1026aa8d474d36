"""Pixels against OpenCV called directly, and against Pillow as a second reader."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.ndimage
from numpy.typing import NDArray
from PIL import Image, ImageOps

from swath.config.ops import Clahe, Grayscale, Hires, Op, Resize, Sharpen, Unsharp
from swath.preprocess.image_files import UnreadableImageError, read_image
from swath.preprocess.transforms import apply

Pixels = NDArray[np.uint8]
SIZES = [(37, 91), (91, 37), (64, 64), (63, 65), (1, 1), (1, 200), (200, 3), (128, 128), (500, 333)]
FLAGS = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "lanczos": cv2.INTER_LANCZOS4,
}


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def smooth(height: int = 60, width: int = 80) -> Pixels:
    """A picture that JPEG keeps well."""
    return cv2.resize(noise(6, 8), (width, height), interpolation=cv2.INTER_CUBIC)  # type: ignore[return-value]


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


def pillow(path: Path) -> Pixels:
    return np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))


def test_channels_are_red_green_blue(tmp_path: Path) -> None:
    Image.new("RGB", (4, 3), (250, 100, 10)).save(tmp_path / "x.png")
    assert read_image(tmp_path / "x.png")[0, 0].tolist() == [250, 100, 10]
    assert read_image(str(tmp_path / "x.png")).shape == (3, 4, 3)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "1", "LA"])
def test_png_of_every_mode_reads_as_pillow_has_it(tmp_path: Path, mode: str) -> None:
    Image.fromarray(smooth()).convert(mode).save(tmp_path / "x.png")
    expected = Image.open(tmp_path / "x.png").convert("RGB")
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), np.asarray(expected))


def test_alpha_is_dropped_not_blended(tmp_path: Path) -> None:
    rgba = noise(20, 30, 4)
    rgba[:, :, 3] = 0
    Image.fromarray(rgba).save(tmp_path / "x.png")
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), rgba[:, :, :3])


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_reduced_to_the_upper_eight(tmp_path: Path, channels: int) -> None:
    deep = np.random.default_rng(1).integers(0, 65536, (20, 30, channels), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "x.png"), deep)
    expected = np.broadcast_to(deep[:, :, ::-1] >> 8, (20, 30, 3))
    found = read_image(tmp_path / "x.png")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_reads_as_pillow_has_it(tmp_path: Path, mode: str) -> None:
    Image.fromarray(smooth()).convert(mode).save(tmp_path / "x.jpg", quality=90)
    found = read_image(tmp_path / "x.jpg")
    assert found.shape == (60, 80, 3)
    assert np.abs(found.astype(int) - pillow(tmp_path / "x.jpg")).max() <= 3  # decoders round differently
    assert mode == "RGB" or (found == found[:, :, :1]).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, suffix: str) -> None:
    image = Image.fromarray(smooth())
    exif = image.getexif()
    exif[0x0112] = orientation
    path = tmp_path / f"x.{suffix}"
    image.save(path, exif=exif, **({"quality": 95} if suffix == "jpg" else {}))
    found, expected = read_image(path), pillow(path)
    assert found.shape == expected.shape == ((60, 80, 3) if orientation < 5 else (80, 60, 3))
    assert np.abs(found.astype(int) - expected).max() <= 3


def encoded(suffix: str) -> bytes:
    return cv2.imencode(suffix, smooth(90, 120))[1].tobytes()


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_unreadable_not_half_gray(tmp_path: Path, suffix: str, kept: float) -> None:
    data = encoded(suffix)
    path = tmp_path / f"x{suffix}"
    path.write_bytes(data)
    assert read_image(path).shape == (90, 120, 3)
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(UnreadableImageError, match=r"^cannot be decoded: truncated, or no image OpenCV knows$"):
        read_image(path)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", r"^is empty \(zero bytes\)$"),
        (b"<html>404 Not Found</html>", r"^cannot be decoded: truncated, or no image"),
        (b"\x00" * 5000, r"^cannot be decoded: truncated, or no image"),
        (b"\x89PNG\r\n\x1a\n", r"^cannot be decoded: truncated, or no image"),
    ],
)
def test_what_is_no_image_says_so(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "x.jpg").write_bytes(data)
    with pytest.raises(UnreadableImageError, match=reason):
        read_image(tmp_path / "x.jpg")


def test_a_missing_file_and_a_folder_say_so(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match=r"^cannot be read: No such file or directory$"):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(UnreadableImageError, match=r"^cannot be read: Is a directory$"):
        read_image(tmp_path)
