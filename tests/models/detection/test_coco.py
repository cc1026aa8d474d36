import json
from pathlib import Path

import numpy as np
import pytest

from swath.core.errors import InputError
from swath.models.detection import coco
from swath.models.detection.boxes import Detection

NAMES = coco.image_names(
    [("A", ("/d/low/a.jpg", "/d/high/a.png")), ("B", ("/d/low/b.jpg", "/d/high/b.png")), ("C", ("/d/x/c.jpg", ""))]
)


def write(folder: Path, content: object) -> Path:
    path = folder / "boxes.json"
    path.write_text(json.dumps(content))
    return path


def test_what_is_written_is_standard_coco_and_reads_back(tmp_path: Path) -> None:
    outline = np.array([[1.5, 2.5], [9.5, 2.5], [9.5, 12.5], [1.5, 12.5]])
    images = [
        coco.Labelled("a.png", 100, 80, (Detection((1, 2, 10, 13), 0.9, "bird", (outline,)),)),
        coco.Labelled("b.png", 64, 48, ()),
    ]
    path = tmp_path / "out/boxes.json"
    coco.write(path, images, ["cat", "bird"])
    content = json.loads(path.read_text())
    assert content["images"] == [
        {"id": 1, "file_name": "a.png", "width": 100, "height": 80},
        {"id": 2, "file_name": "b.png", "width": 64, "height": 48},
    ]
    assert content["categories"] == [{"id": 1, "name": "cat"}, {"id": 2, "name": "bird"}]
    assert content["annotations"] == [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 2,
            "bbox": [1, 2, 9, 11],
            "segmentation": [[1.5, 2.5, 9.5, 2.5, 9.5, 12.5, 1.5, 12.5]],
            "area": 80,
            "iscrowd": 0,
            "score": 0.9,
        }
    ]
    (item,) = coco.read(path, NAMES).items
    assert (item.row, item.category, item.box, item.size) == ("A", "bird", (1, 2, 10, 13), (100, 80))
    np.testing.assert_array_equal(item.contour[0], outline)
    assert coco.read(path, NAMES).categories == ("cat", "bird")


def test_a_flat_list_names_images_by_id_or_file(tmp_path: Path) -> None:
    flat = [
        {"image_id": "A", "bbox": [0, 0, 4, 5]},
        {"image_id": "./high/b.png", "category": "bird", "bbox": [1, 1, 2.5, 2]},
        {"image_id": "c", "category_id": 3, "bbox": [1, 1, 2, 2], "segmentation": {"counts": "x", "size": [1, 1]}},
        {"image_id": "/elsewhere/low/a.jpg", "bbox": [0, 0, 1, 1], "iscrowd": 0},
        {"image_id": "unknown", "bbox": [0, 0, 1, 1]},
        {"image_id": "A", "bbox": [0, 0, 1, 1], "iscrowd": 1},
    ]
    found = coco.read(write(tmp_path, flat), NAMES)
    assert [(a.row, a.category, a.box) for a in found.items] == [
        ("A", "object", (0, 0, 4, 5)),
        ("B", "bird", (1, 1, 3.5, 3)),
        ("C", "3", (1, 1, 3, 3)),
        ("A", "object", (0, 0, 1, 1)),
    ]
    assert (found.foreign, found.crowds) == (1, 1)
    assert found.categories == ("object", "bird", "3")


def test_names_that_mean_two_images_mean_none(tmp_path: Path) -> None:
    names = coco.image_names([("A", ("/d/x/1.jpg",)), ("B", ("/d/y/1.jpg",))])
    assert "1.jpg" not in names
    assert names["x/1.jpg"] == "A"
    assert names["B"] == "B"


def test_all_problems_come_at_once_by_kind(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 1, "file_name": "b.png"}, {"id": 3}],
        "categories": [{"id": 1, "name": "bird"}],
        "annotations": [
            "x",
            {"category_id": 1, "bbox": [0, 0, 1, 1]},
            {"image_id": 9, "category_id": 1, "bbox": [0, 0, 1, 1]},
            {"image_id": 1, "category_id": 5, "bbox": [0, 0, 1, 1]},
            {"image_id": 1, "category_id": 1, "bbox": [0, 0, 1]},
            {"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, float("nan")]},
            {"image_id": 1, "category_id": 1, "bbox": [0, 0, 0, 7]},
            {"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "segmentation": [[0, 0, 1, 1]]},
        ],
    }
    with pytest.raises(InputError) as raised:
        coco.read(write(tmp_path, content), NAMES)
    text = "\n".join(raised.value.problems)
    assert len(raised.value.problems) == 9
    for part in (
        "1 with ids that 'images' gives twice, e.g. 1",
        "lack 'id' or 'file_name'",
        "is no json object",
        "no 'image_id'",
        "an image_id that 'images' lacks, e.g. 9 in annotation 3",
        "a category_id that 'categories' lacks, e.g. 5",
        "2 with a bbox that is not [x, y, width, height]",
        "a bbox without width or height, e.g. [0, 0, 0, 7] in annotation 7",
        "a segmentation that is not",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"boxes": []}, "holds an object. It must hold COCO's object"),
        ("text", "holds a text"),
        ({"annotations": []}, "no list 'images'"),
        ([{"image_id": "z", "bbox": [0, 0, 1, 1]}], "none of the images they name is a training image"),
    ],
)
def test_what_is_no_annotation_file_is_refused(tmp_path: Path, content: object, expected: str) -> None:
    with pytest.raises(InputError, match=expected.replace(".", r"\.")):
        coco.read(write(tmp_path, content), NAMES)


def test_no_json_at_all(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    for name in ("broken.json", "missing.json"):
        with pytest.raises(InputError, match="cannot be read as json"):
            coco.read(tmp_path / name, NAMES)
