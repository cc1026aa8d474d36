"""The model behind `ops.Detect`, and crops by what it finds, with real COCO weights on real photographs."""

from pathlib import Path

import numpy as np
import pytest

from swath import ops
from swath.core.errors import InputError
from swath.models.detection.boxes import Detection, from_json, iou, to_json
from swath.models.detection.crops import MISS, Cropper, crop
from swath.models.detection.yolo import Detector
from swath.models.image_models.detector import Finder
from swath.preprocess.image_files import read_image

pytest.importorskip("ultralytics")


@pytest.mark.shared
def test_an_object_is_cropped_and_a_miss_leaves_the_image_and_a_note(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    images = [read_image(shared / f"data/ucmerced/images/{n[:-2]}/{n}.jpg") for n in ("airplane00", "chaparral00")]
    detector = Detector(str(shared / "weights/yolov8n_int8.tflite"), "cpu")
    op = ops.DetectCrop("pad", "x", confidence=0.3, classes=("airplane",))
    cropper = Cropper(op)
    cropped, kept = cropper(images, Finder(detector, op.detect())(images))
    assert cropper.notes == ["", MISS]
    np.testing.assert_array_equal(kept, images[1])
    found = detector(images[0], 0.3)
    assert [f.label for f in found] == ["airplane"] * len(found)
    assert len(found) > 1
    assert found[0].score == max(f.score for f in found)
    assert iou(found[0].box, (135, 97, 180, 144)) > 0.8  # the plane as a person marks it
    np.testing.assert_array_equal(cropped, crop(images[0], found[0], op))
    assert list(tmp_path.iterdir()) == []  # ultralytics likes to leave a folder `runs`
    assert detector.numbers(("bird", "4")) == [14, 4]
    with pytest.raises(InputError, match="Did you mean 'airplane'"):
        detector.numbers(("airplan",))


def test_what_is_no_detector_is_said_before_anything_is_looked_at(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no such file.*releases/download/.*/yolov8x.pt"):
        Detector("yolov8x.pt")
    broken = tmp_path / "broken.pt"
    broken.write_bytes(b"no weights")
    with pytest.raises(InputError, match=r"broken.pt' cannot be loaded"):
        Detector(str(broken))


def test_a_detection_may_be_made_by_anything_that_finds_boxes() -> None:
    class Half:
        def numbers(self, classes: object) -> list[int]:
            return []

        def __call__(self, image: np.ndarray, confidence: float, classes: object) -> list[Detection]:
            assert image.shape[2] == 3
            return [Detection((0, 0, image.shape[1] / 2, image.shape[0]))] if image.any() else []

    gray = np.full((8, 8, 1), 9, np.uint8)
    op = ops.DetectCrop("stretch", "x", interpolation="nearest")
    images, cropper = [gray, np.zeros((4, 6, 3), np.uint8)], Cropper(op)
    cropped, black = cropper(images, Finder(Half(), op.detect())(images))  # type: ignore[arg-type]
    assert cropped.shape == (8, 8, 1)
    assert black.shape == (4, 6, 3)
    assert cropper.notes == ["", MISS]


def test_what_is_found_is_kept_to_the_bit() -> None:
    rng = np.random.default_rng(0)
    contour = (rng.uniform(0, 60, (7, 2)), rng.uniform(0, 60, (3, 2)))
    left, top, right, bottom = sorted(rng.uniform(0, 60, 4).tolist())
    found = Detection((left, top, right, bottom), float(np.float32(0.1)), "bird", contour)
    kept = from_json(to_json(found))
    assert kept is not None
    assert (kept.box, kept.score, kept.label) == (found.box, found.score, found.label)
    assert all(np.array_equal(a, b) for a, b in zip(kept.contour, contour, strict=True))
    assert from_json(to_json(None)) is None
