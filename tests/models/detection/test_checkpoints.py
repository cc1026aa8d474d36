"""detector.json as a record: of this version, of older and newer ones, and damaged. Needs no ultralytics."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from swath import ops
from swath.core.errors import DamagedRecordError, InputError, StoreError
from swath.models.detection import checkpoints
from swath.models.detection.checkpoints import DetectorRecord, FoldRecord
from swath.store.file_hashes import file_sha256
from swath.store.json_files import SCHEMA

SPLIT = "holdout(0.25,seed=0)"


@pytest.fixture
def record(tmp_path: Path) -> DetectorRecord:
    """Of a folder with one fold's file."""
    weights = tmp_path / "fold0.pt"
    weights.write_bytes(b"weights")
    fold = FoldRecord(
        file="fold0.pt",
        sha256=file_sha256(weights),
        images=90,
        objects=91,
        val_images=30,
        val_found=1.0,
        val_iou=0.75,
    )
    return DetectorRecord(
        data="d0",
        task="birds",
        split=SPLIT,
        contours=False,
        classes=("bird", "새"),
        base="yolov8n.yaml",
        base_sha256="",
        annotations_sha256="a0",
        settings={"epochs": 8, "lr": 0.004},
        versions={"torch": "2.5"},
        folds=(fold,),
    )


def write_json(folder: Path, content: Any) -> None:
    (folder / "detector.json").write_text(json.dumps(content))


def test_a_record_is_written_with_its_schema_and_read_again(tmp_path: Path, record: DetectorRecord) -> None:
    checkpoints.write(tmp_path, record)
    assert json.loads((tmp_path / "detector.json").read_bytes())["schema"] == SCHEMA
    assert checkpoints.read(tmp_path) == record


def test_records_of_other_versions_are_read(tmp_path: Path, record: DetectorRecord) -> None:
    """The schema first, as it used to be; no schema; and fields that this version does not know."""
    fields = {name: value for name, value in asdict(record).items() if name != "schema"}
    later = {**fields, "folds": [{**fields["folds"][0], "later": 1}], "later": {}}
    for content in ({"schema": 1, **fields}, fields, later):
        write_json(tmp_path, content)
        assert checkpoints.read(tmp_path) == record


def test_a_folder_without_a_record_is_unfinished(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no detector.json in it, so it is unfinished or no such folder"):
        checkpoints.read(tmp_path)


def test_a_damaged_record_is_named_with_its_field(tmp_path: Path, record: DetectorRecord) -> None:
    write_json(tmp_path, {**asdict(record), "folds": [{**asdict(record.folds[0]), "images": "many"}]})
    file = tmp_path / "detector.json"
    with pytest.raises(
        DamagedRecordError, match=rf"^{file} is damaged \(folds\.0\.images: input should be a valid int"
    ):
        checkpoints.read(tmp_path)
    file.write_bytes(b'{"data": "d')
    with pytest.raises(DamagedRecordError, match=rf"^{file} is no JSON"):
        checkpoints.read(tmp_path)


def test_a_record_of_a_newer_swath_is_refused(tmp_path: Path, record: DetectorRecord) -> None:
    write_json(tmp_path, {**asdict(record), "schema": SCHEMA + 1})
    with pytest.raises(StoreError, match=r"detector.json was written by a newer swath"):
        checkpoints.read(tmp_path)


def test_a_plan_says_once_what_is_wrong_with_a_record(
    tmp_path: Path, record: DetectorRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints.importlib.util, "find_spec", lambda name: object())
    checkpoints.write(tmp_path, record)
    crop = ops.DetectCrop("pad", str(tmp_path), classes=("birb",))
    (problem,) = checkpoints.crop_problems([(crop, "d0", SPLIT)])
    assert "Did you mean 'bird'?" in problem
    write_json(tmp_path, {**asdict(record), "classes": "bird"})
    other = ops.DetectCrop("pad", str(tmp_path / "no.pt"))
    damaged, missing = checkpoints.crop_problems([(crop, "d0", SPLIT), (other, "d0", SPLIT)])
    assert damaged.startswith(f"DetectCrop(detector={str(tmp_path)!r}): {tmp_path}/detector.json is damaged (classes: ")
    assert "there is no such file or folder" in missing
