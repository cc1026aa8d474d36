"""Boxes from high to low resolution, and the data set that is written from them."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from swath.core.errors import InputError
from swath.models.detection import coco
from swath.models.detection.coco import Annotation
from swath.models.detection.transfer import Example, Target, missing_contours, scaled_box, scaled_polygon, transfer
from swath.models.detection.yolo_training import label_line, write_set
from tests.support.drawn_birds import write_birds


def picture(path: Path, width: int, height: int) -> str:
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (height, width, 3)).astype(np.uint8))
    return str(path)


def test_transferred_boxes_are_those_of_the_object_in_the_low_resolution_image(tmp_path: Path) -> None:
    """A white rectangle on black, reduced by OpenCV: its pixels are found again, none more, none less."""
    rng = np.random.default_rng(1)
    low, high, annotations, truth = {}, {}, [], {}
    for i in range(20):
        x, y = rng.integers(0, 40, 2)
        w, h = rng.integers(2, 20, 2)
        image = np.zeros((192, 256), np.uint8)  # 4x and 3x the small one: the axes have their own factors
        image[3 * y : 3 * (y + h), 4 * x : 4 * (x + w)] = 255
        small = cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA)
        for files, name, pixels in ((high, f"h{i}.png", image), (low, f"l{i}.png", small)):
            cv2.imwrite(str(tmp_path / name), pixels)
            files[str(i)] = str(tmp_path / name)
        annotations.append(Annotation(str(i), "bird", (4 * x, 3 * y, 4 * (x + w), 3 * (y + h)), ()))
        ys, xs = np.nonzero(small)
        truth[str(i)] = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
    examples = transfer(annotations, low, high, ("bird",))
    assert {row: e.targets[0].box for row, e in examples.items()} == truth
    assert {(e.width, e.height) for e in examples.values()} == {(64, 64)}


def test_boxes_are_clipped_and_those_without_a_pixel_dropped(tmp_path: Path) -> None:
    low, high = {"A": picture(tmp_path / "l.png", 50, 20)}, {"A": picture(tmp_path / "h.png", 100, 80)}
    boxes = [(-10, -10, 50, 40), (90, 70, 300, 300), (10, 10, 11.9, 60), (10, 10, 60, 13.9), (200, 0, 300, 50)]
    found = transfer([Annotation("A", "b", box, ()) for box in boxes], low, high, ("a", "b"))["A"]
    assert [t.box for t in found.targets] == [(0, 0, 25, 10), (45, 17.5, 50, 20)]
    assert {t.category for t in found.targets} == {1}


def test_outlines_go_the_same_way() -> None:
    outline = np.array([[0.0, 0.0], [256.0, 10.0], [300.0, 256.0]])
    np.testing.assert_array_equal(scaled_polygon(outline, (256, 256), (64, 64)), [[0, 0], [64, 2.5], [64, 64]])
    assert scaled_box((0, 0, 256, 10), (256, 256), (64, 64)) == (0, 0, 64, 2.5)


def test_sizes_that_are_not_the_files_and_files_that_are_no_images_are_said(tmp_path: Path) -> None:
    low, high = {"A": picture(tmp_path / "l.png", 64, 64)}, {"A": picture(tmp_path / "h.png", 256, 256)}
    with pytest.raises(InputError, match=r"1 images have another width x height .* A is \(256, 256\)"):
        transfer([Annotation("A", "b", (0, 0, 9, 9), (), (640, 480))], low, high, ("b",))
    (tmp_path / "l.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"l\.png cannot be decoded"):
        transfer([Annotation("A", "b", (0, 0, 9, 9), ())], low, high, ("b",))


def test_the_data_set_holds_the_same_pixels_and_boxes(tmp_path: Path) -> None:
    boxes = write_birds(tmp_path / "birds", 6)
    low = {name: str(tmp_path / f"birds/train/{name}.png") for name in boxes}
    high = {name: str(tmp_path / f"birds/upscale_train/{name}.png") for name in boxes}
    found = coco.read(tmp_path / "birds/boxes.json", coco.image_names((n, (low[n], high[n])) for n in boxes))
    examples = list(transfer(found.items, low, high, found.categories).values())
    missing_contours(examples)
    names = ("bird", 'a "quoted" one')
    yaml = write_set(tmp_path / "set", examples[:4], examples[4:], names, contours=False)
    for part, chosen in (("train", list(boxes)[:4]), ("val", list(boxes)[4:])):
        for number, name in enumerate(chosen):
            image = cv2.imread(str(tmp_path / f"set/images/{part}/{number:06d}.png"))
            np.testing.assert_array_equal(image, cv2.imread(low[name]))
            (line,) = (tmp_path / f"set/labels/{part}/{number:06d}.txt").read_text().splitlines()
            kind, x, y, w, h = map(float, line.split())
            assert kind == 0
            ours = np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2]) * 64
            np.testing.assert_allclose(ours, np.array(boxes[name]) / 4, atol=1e-6)
    import yaml as library

    assert library.safe_load(yaml.read_text())["names"] == dict(enumerate(names))


def test_lines_of_contours_take_the_largest_part() -> None:
    small, large = np.array([[0.0, 0], [4, 0], [4, 4]]), np.array([[0.0, 0], [32, 0], [32, 64]])
    assert label_line(Target(2, (0, 0, 32, 64), (small, large)), 64, 64, contour=True) == "2 0 0 0.5 0 0.5 1"
    with pytest.raises(InputError, match="1 annotations have no segmentation"):
        missing_contours([Example("x", 64, 64, (Target(0, (0, 0, 1, 1)), Target(0, (0, 0, 1, 1), (large,))))])
