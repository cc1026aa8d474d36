import importlib.util
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from spandrel import ModelLoader

from swath import ops
from swath.core.description import changed
from swath.core.errors import InputError
from swath.models.image_models.loader import MODELS, load
from swath.models.image_models.superres import SuperResolution, upscale_tiled

Image = NDArray[np.uint8]
FILES = {"compact": "realesr-animevideov3-x4.pth", "x4plus": "realesrgan-x4plus-fp16.pth"}


def realesrgan_installed() -> bool:
    return importlib.util.find_spec("realesrgan") is not None


@pytest.fixture(scope="module")
def compact(shared: Path) -> str:
    return str(shared / "weights" / FILES["compact"])


@pytest.fixture(scope="module")
def photo(shared: Path) -> Image:
    """An aerial photograph, 256x256 RGB."""
    image = cv2.imread(str(shared / "data/ucmerced/images/harbor/harbor05.jpg"), cv2.IMREAD_COLOR_RGB)
    assert image is not None
    return np.asarray(image[:256, :256], np.uint8)


def small(photo: Image, height: int, width: int) -> Image:
    return np.asarray(cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def plain_spandrel(file: str, image: Image) -> Image:
    """The reference: one forward pass of one image, as spandrel's readme has it."""
    network = ModelLoader().load_from_file(file).eval()
    with torch.no_grad():
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        result = network(pixels)[0].permute(1, 2, 0).numpy()  # type: ignore[operator]
    return (result * 255).round().clip(0, 255).astype(np.uint8)


def largest_difference(a: Image, b: Image) -> int:
    assert a.shape == b.shape
    return int(np.abs(a.astype(int) - b.astype(int)).max())


def test_every_expensive_op_has_a_model() -> None:
    ours = [op.name for op in ops.OPS.values() if op.expensive and op.__module__ == ops.__name__]
    assert ours
    assert {"detect" if name == "detect_crop" else name for name in ours} <= set(MODELS.names())


@pytest.mark.shared
def test_images_of_many_sizes_equal_plain_spandrel_one_by_one(compact: str, photo: Image) -> None:
    sizes = [(64, 64), (40, 72), (64, 64), (17, 9), (64, 64), (1, 5)]
    images = [np.ascontiguousarray(np.rot90(small(photo, *size), 2 * (i % 2))) for i, size in enumerate(sizes)]
    results = load(ops.SuperRes(model="compact"), compact, "cpu")(images)
    for image, result in zip(images, results, strict=True):
        assert result.dtype == np.uint8
        assert largest_difference(result, plain_spandrel(compact, image)) <= 1


@pytest.mark.shared
def test_x4plus_equals_plain_spandrel(shared: Path, photo: Image) -> None:
    file = str(shared / "weights" / FILES["x4plus"])
    image = small(photo, 20, 16)
    (result,) = load(ops.SuperRes(), file, "cpu")([image])
    assert result.shape == (80, 64, 3)
    assert largest_difference(result, plain_spandrel(file, image)) <= 1


@pytest.mark.shared
def test_scale_two_averages_blocks_of_the_x4_result(compact: str, photo: Image) -> None:
    image = small(photo, 24, 30)
    (result,) = load(ops.SuperRes(2, "compact"), compact, "cpu")([image])
    blocks = plain_spandrel(compact, image).reshape(48, 2, 60, 2, 3).astype(float).mean((1, 3))
    assert np.abs(result - blocks).max() <= 1.5, "1 for the network, 0.5 for rounding"


@pytest.mark.shared
def test_half_precision_is_an_op_of_its_own_with_nearly_the_same_pixels(compact: str, photo: Image) -> None:
    whole, half = (ops.SuperRes(4, "compact", compact, precision=p) for p in ("fp32", "fp16"))  # type: ignore[arg-type]
    assert (whole.canonical(), half.canonical()) == (
        f"superres(compact,4,weights={Path(compact).name})",
        f"superres(compact,4,weights={Path(compact).name},fp16)",
    )
    assert "precision" not in changed(whole), "its keys are what they were"
    image = small(photo, 16, 20)
    (expected,), (found,) = (load(op, compact, "cpu")([image]) for op in (whole, half))
    assert 0 < largest_difference(found, expected) <= 3
    assert any("unknown precision of SuperRes" in p for p in ops.SuperRes(precision="fp61").problems())  # type: ignore[arg-type]


def test_gray_images_stay_gray(compact: str, photo: Image) -> None:
    gray = cv2.cvtColor(small(photo, 20, 20), cv2.COLOR_RGB2GRAY)[:, :, None]
    (result,) = load(ops.SuperRes(model="compact"), compact, "cpu")([gray])
    assert result.shape == (80, 80, 1)
    expected = plain_spandrel(compact, np.repeat(gray, 3, axis=2)).astype(float) @ (0.299, 0.587, 0.114)
    assert np.abs(result[:, :, 0] - expected).max() <= 2


@pytest.mark.shared
def test_tiles_of_compact_leave_no_trace(compact: str, photo: Image) -> None:
    wide = np.concatenate([photo[:150], photo[100:250, ::-1]], axis=1)  # 150 x 512: three windows, two seams
    (result,) = load(ops.SuperRes(model="compact"), compact, "cpu")([wide])
    assert largest_difference(result, plain_spandrel(compact, wide)) <= 1


def test_windows_cover_every_pixel_once_and_see_their_surroundings() -> None:
    """Against a stand-in network with a known field of view: a box mean of radius 3, then each pixel four times."""

    def blurred(images: Image) -> Image:
        seen.append(images.shape[1:3])
        means = [cv2.blur(i, (7, 7), borderType=cv2.BORDER_CONSTANT) for i in images]
        return np.stack([m.repeat(4, axis=0).repeat(4, axis=1) for m in means])

    images = np.random.default_rng(0).integers(0, 256, (2, 57, 100, 3), np.uint8)
    for window_px in (7, 20, 33, 57, 99):
        seen: list[tuple[int, ...]] = []
        tiled = upscale_tiled(images, blurred, window_px, 3)
        assert max(max(shape) for shape in seen) <= window_px
        np.testing.assert_array_equal(tiled, blurred(images))
    blind = upscale_tiled(images, blurred, 20, 0)
    assert not np.array_equal(blind, blurred(images)), "the test can see a seam"


def test_batches_hold_images_of_one_size_and_a_bounded_number_of_pixels() -> None:
    seen: list[tuple[int, ...]] = []

    def upscale(images: Image) -> Image:
        seen.append(images.shape[:3])
        return images.repeat(4, axis=1).repeat(4, axis=2)

    images = [np.full((side, 8, 3), i, np.uint8) for i, side in enumerate([8, 4, 8, 8, 4, 8, 8])]
    results = SuperResolution(upscale, 4, overlap_px=0, batch_px=3 * 64)(images)
    assert sorted(seen) == [(2, 4, 8), (2, 8, 8), (3, 8, 8)]
    assert [int(r.max()) for r in results] == list(range(7)), "in the order given"
    assert SuperResolution(upscale, 4, overlap_px=0, batch_px=1)([]) == []


@pytest.mark.shared
@pytest.mark.skipif(not realesrgan_installed(), reason="the extra realesrgan is not installed")
@pytest.mark.parametrize(("model", "file"), FILES.items())
def test_the_original_package_gives_the_same_pixels(shared: Path, photo: Image, model: str, file: str) -> None:
    op = ops.SuperRes(2, model)  # type: ignore[arg-type]
    images = [small(photo, 20, 28), small(photo, 16, 16)]
    path = str(shared / "weights" / file)
    ours = load(op, path, "cpu")(images)
    theirs = load(replace(op, backend="realesrgan"), path, "cpu")(images)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.skipif(realesrgan_installed(), reason="realesrgan is installed")
def test_without_the_original_package_it_says_how_to_install_it(tmp_path: Path) -> None:
    (tmp_path / "any.pth").write_bytes(b"x")
    with pytest.raises(InputError, match=r"needs the original package .* pip install 'swath\[realesrgan\]'"):
        load(ops.SuperRes(backend="realesrgan"), str(tmp_path / "any.pth"), "cpu")


@pytest.mark.shared
def test_it_sharpens_at_a_bounded_loss_of_psnr(compact: str, photo: Image) -> None:
    """Reduced by four and back: Real-ESRGAN is sharper than bicubic and a little further from the original."""
    low = small(photo, 64, 64)
    (result,) = load(ops.SuperRes(model="compact"), compact, "cpu")([low])
    bicubic = np.asarray(cv2.resize(low, (256, 256), interpolation=cv2.INTER_CUBIC), np.uint8)

    def sharpness(image: Image) -> float:
        return float(cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var())

    assert sharpness(result) > 2 * sharpness(bicubic)
    assert cv2.PSNR(result, photo) > cv2.PSNR(bicubic, photo) - 3


@pytest.mark.shared
def test_a_file_of_another_model_is_refused(compact: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"superres\(x4plus,4\): .* it holds RealESRGAN Compact x4, 3 channels"):
        load(ops.SuperRes(), compact, "cpu")


def test_files_that_are_missing_or_no_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"superres\(compact,4\): the weights file .* does not exist"):
        load(ops.SuperRes(model="compact"), str(tmp_path / "none.pth"), "cpu")
    (tmp_path / "text.pth").write_text("no model")
    with pytest.raises(InputError, match="it cannot be loaded"):
        load(ops.SuperRes(model="compact"), str(tmp_path / "text.pth"), "cpu")


@pytest.mark.usefixtures("unreachable")
def test_without_weights_and_network_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWATH_DOWNLOADS", str(tmp_path))
    with pytest.raises(InputError) as caught:
        load(ops.SuperRes(), "", "cpu")
    text = str(caught.value)
    assert "RealESRGAN_x4plus.pth (67.0 MB) cannot be downloaded from https://github.com/xinntao/Real-ESRGAN" in text
    assert f"Put the file into {tmp_path} by hand" in text
    assert "or give SuperRes(model='x4plus', weights=PATH)" in text


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that nothing listens on: no request leaves this machine."""
    for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "")
