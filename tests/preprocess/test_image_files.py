"""Image files decoded, against Pillow."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from swath.preprocess.image_files import UnreadableImageError, read_image
from tests.support.drawn_images import Pixels, noise, smooth


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
