"""`swath detect label` with real COCO weights on real photographs."""

import json
from pathlib import Path

import cv2
import pandas as pd
import pytest

from swath.cli.main import command
from swath.models.detection.boxes import iou

pytest.importorskip("ultralytics")
SCENES = {"airplane": 4, "chaparral": 2}


@pytest.mark.shared
def test_airplanes_are_labelled_as_coco_json(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = shared / "data/ucmerced"
    table = pd.read_csv(source / "labels.csv")
    scene = table["img_path"].str.split("/").str[1]
    few = pd.concat([table[scene == name].head(count) for name, count in SCENES.items()])
    (tmp_path / "data").mkdir()
    few.assign(img_path=[str(source / path) for path in few["img_path"]]).to_csv(
        tmp_path / "data/labels.csv", index=False
    )
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    words = f"detect label UCMerced --root {tmp_path}/data --storage {tmp_path}/store --class airplane --device cpu"
    command(
        [*words.split(), "--weights", str(shared / "weights/yolov8n_int8.tflite"), "--out", str(tmp_path / "o.json")]
    )

    found = json.loads((tmp_path / "o.json").read_text())
    assert [c["name"] for c in found["categories"]] == ["airplane"]
    (category,) = (c["id"] for c in found["categories"])
    names = {image["id"]: Path(image["file_name"]).stem for image in found["images"]}
    assert sorted(names.values()) == sorted(few["img_id"])
    assert all((image["width"], image["height"]) == (256, 256) for image in found["images"])
    assert len({a["id"] for a in found["annotations"]}) == len(found["annotations"]) > 0
    for one in found["annotations"]:
        left, top, width, height = one["bbox"]
        assert one["category_id"] == category
        assert names[one["image_id"]].startswith("airplane")
        assert 0 <= left < left + width <= 256
        assert 0 <= top < top + height <= 256
        assert 0 < one["area"] <= width * height * 1.05
    boxes = [
        (x, y, x + width, y + height)
        for (x, y, width, height), name in ((a["bbox"], names[a["image_id"]]) for a in found["annotations"])
        if name == "airplane00"
    ]
    assert max(iou(box, (135, 97, 180, 144)) for box in boxes) > 0.8  # the plane as a person marks it
    assert cv2.imread(str(tmp_path / "o.png")) is not None
    assert "objects in" in capsys.readouterr().out
    assert list((tmp_path / "here").iterdir()) == []
