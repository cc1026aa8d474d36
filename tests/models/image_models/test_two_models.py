"""A chain of two models, a detector and super-resolution, from image files through the cache to a trial."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from swath import Backbone, Recipe, Sweep, grid, ops, tasks
from swath.config.ops import Op
from swath.engine.base import Work
from swath.engine.driver import run
from swath.engine.inline import InlineEngine
from swath.models.detection.boxes import Detection
from swath.models.detection.crops import MISS, Cropper, crop
from swath.models.detection.yolo import Detector
from swath.models.image_models.detector import Finder
from swath.plan.progress import Progress
from swath.preprocess.cache.reader import open_entry
from swath.preprocess.cache.usage import list_cached
from swath.preprocess.chain_identity import Model
from swath.preprocess.contact_sheet import contact_sheet
from swath.preprocess.image_files import read_image
from swath.preprocess.transforms import apply
from swath.store.storage import Locations, Storage
from tests.support.planned import planned_sweep

pytest.importorskip("ultralytics")
RECIPE = Recipe(epochs=1, batch_size=8, image_size=32)
BOX = (4.0, 8.0, 28.0, 24.0)


def manifests(progress: Progress) -> dict[str, dict]:
    """By part."""
    return {
        e.part: json.loads(progress.plan.locations.cache.read(f"{e.key}/manifest.json"))
        for e in progress.plan.entries()
    }


def is_reddish(image: np.ndarray) -> bool:
    return image[..., 0].mean() > image[..., 2].mean()


class RedFinder:
    """Finds one box in images more red than blue."""

    def __init__(self) -> None:
        self.looked_at: list[bytes] = []

    def numbers(self, classes: object) -> list[int]:
        return []

    def __call__(self, image: np.ndarray, confidence: float, classes: object) -> list[Detection]:
        self.looked_at.append(image.tobytes())
        return [Detection(BOX)] if is_reddish(image) else []


class FourTimes:
    """Super-resolution that repeats pixels."""

    def __call__(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [image.repeat(4, axis=0).repeat(4, axis=1) for image in images]


class DrawnModels(InlineEngine):
    """Models of a few lines in place of networks."""

    def __init__(self) -> None:
        self.finder = RedFinder()

    def build(self, cache: Storage, work: Work, numbers: Sequence[int], built: Callable[[int], None]) -> None:
        def models(op: Op, file: str) -> Model:
            assert Path(file).is_file()
            if isinstance(op, ops.DetectCrop):
                return Cropper(op)
            return Finder(self.finder, op) if isinstance(op, ops.Detect) else FourTimes()  # type: ignore[arg-type]

        for number in numbers:
            built(work.build(cache, number, models))


def test_what_the_first_of_two_models_remarks_is_in_the_manifest_of_their_chain(
    make_sweep: Callable[..., Sweep], tmp_path: Path
) -> None:
    for name in ("finder.pt", "four.pth"):
        (tmp_path / name).write_text(name)
    crops = ops.DetectCrop("stretch", str(tmp_path / "finder.pt"), interpolation="linear")
    chain = (crops, ops.Sharpen(), ops.SuperRes(4, "compact", str(tmp_path / "four.pth")), ops.Resize(32, "area"))
    sweep = make_sweep(preprocess=chain, recipe=RECIPE)
    progress = planned_sweep(sweep, Locations.of(str(tmp_path / "store")))
    run(progress, DrawnModels(), lambda line: None)
    progress.refresh()
    assert [o.state for o in progress.outcomes.values()] == ["COMPLETE"]
    for entry in progress.plan.entries():
        images = [read_image(path) for path in entry.paths]
        missed = sum(not is_reddish(image) for image in images)
        assert 0 < missed < len(images)
        assert manifests(progress)[entry.part]["notes"] == {MISS: missed}
        kept = open_entry(progress.plan.locations.cache, entry.key, None).take(np.arange(len(images)))
        for image, found in zip(images, kept, strict=True):
            start = crop(image, Detection(BOX), crops) if is_reddish(image) else image
            sharp = cv2.filter2D(start, -1, np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]]))
            big = cv2.resize(sharp, None, fx=4, fy=4, interpolation=cv2.INTER_NEAREST)
            np.testing.assert_array_equal(found, cv2.resize(big, (32, 32), interpolation=cv2.INTER_AREA))

    other = planned_sweep(replace(sweep, preprocess=(*chain[:3], ops.Resize(48, "area"))), progress.plan.locations)
    run(other, DrawnModels(), lambda line: None)  # from the kept results, without a model
    assert [m["notes"] for m in manifests(other).values()] == [m["notes"] for m in manifests(progress).values()]


def test_all_modes_crop_by_one_look_of_the_detector(make_sweep: Callable[..., Sweep], tmp_path: Path) -> None:
    (tmp_path / "finder.pt").write_text("finder.pt")
    modes = [ops.DetectCrop(mode, str(tmp_path / "finder.pt")) for mode in ("contour", "pad", "keep_ratio", "stretch")]
    sweep = make_sweep(preprocess=grid(*((op,) for op in modes)), recipe=RECIPE)
    progress, engine = planned_sweep(sweep, Locations.of(str(tmp_path / "store"))), DrawnModels()
    run(progress, engine, lambda line: None)
    files = {entry.part: entry.paths for entry in progress.plan.entries()}
    assert sorted(engine.finder.looked_at) == sorted(read_image(p).tobytes() for part in files.values() for p in part)
    for entry in progress.plan.entries():
        (op,) = (op for op in entry.chain if isinstance(op, ops.DetectCrop))
        kept = open_entry(progress.plan.locations.cache, entry.key, None).take(np.arange(len(entry.paths)))
        for path, ours in zip(entry.paths, kept, strict=True):
            image = read_image(path)
            alone = crop(image, Detection(BOX), op) if is_reddish(image) else image
            np.testing.assert_array_equal(ours, apply(alone, entry.chain[-1:]))
    listed = [c for c in list_cached(progress.plan.locations.storage) if c.chain == "detect(finder.pt)"]
    assert [(c.state, c.images, c.sweeps) for c in listed] == [("results", 60, ("study",))]

    other = ops.DetectCrop("pad", str(tmp_path / "finder.pt"), confidence=0.5)
    again, engine = planned_sweep(replace(sweep, preprocess=(other,)), progress.plan.locations), DrawnModels()
    run(again, engine, lambda line: None)
    assert len(engine.finder.looked_at) == 60, "another confidence may find another object"


def test_a_contact_sheet_shows_what_was_found_and_two_misses(make_sweep: Callable[..., Sweep], tmp_path: Path) -> None:
    (tmp_path / "finder.pt").write_text("finder.pt")
    sweep = make_sweep(preprocess=(ops.DetectCrop("contour", str(tmp_path / "finder.pt"), (0, 0, 0)),), recipe=RECIPE)
    progress = planned_sweep(sweep, Locations.of(str(tmp_path / "store")))
    run(progress, DrawnModels(), lambda line: None)
    (entry,) = (e for e in progress.plan.entries() if e.part == "train")
    sheet = cv2.imdecode(np.frombuffer(contact_sheet(progress.plan.locations.cache, entry), np.uint8), cv2.IMREAD_COLOR)
    assert sheet is not None
    side = (sheet.shape[1] - 6) // 8
    black = [(sheet[-side:, 6 + i * side : (i + 1) * side].max(axis=2) < 16).mean() > 0.3 for i in range(8)]
    assert sum(black) == 6, "outside of the contour an image is filled; the two others stay as they are"


def test_crops_of_enlarged_images_are_made_again_when_those_are_gone(
    make_sweep: Callable[..., Sweep], tmp_path: Path
) -> None:
    for name in ("finder.pt", "four.pth"):
        (tmp_path / name).write_text(name)
    enlarged = ops.SuperRes(4, "compact", str(tmp_path / "four.pth"))

    def carried_out(mode: str, store: str) -> Progress:
        chain = (enlarged, ops.DetectCrop(mode, str(tmp_path / "finder.pt")))  # type: ignore[arg-type]
        progress = planned_sweep(make_sweep(preprocess=chain, recipe=RECIPE), Locations.of(str(tmp_path / store)))
        run(progress, DrawnModels(), lambda line: None)
        progress.refresh()
        return progress

    first = carried_out("pad", "harmed")
    (large, objects, _) = first.plan.entries()[0].steps()
    assert objects.finds
    first.plan.locations.cache.delete(large.key)
    again, whole = carried_out("stretch", "harmed"), carried_out("stretch", "whole")
    assert [o.state for o in again.outcomes.values()] == ["COMPLETE"]
    for entry in whole.plan.entries():
        one, other = (open_entry(p.plan.locations.cache, entry.key, None).take([0, 5, 11]) for p in (again, whole))
        np.testing.assert_array_equal(one, other)


def some_of_ucmerced(shared: Path, root: Path, scenes: dict[str, int]) -> tasks.UCMerced:
    """The first images of some scenes, as a task of their own."""
    source = shared / "data/ucmerced"
    table = pd.read_csv(source / "labels.csv")
    scene = table["img_path"].str.split("/").str[1]
    few = pd.concat([table[scene == name].head(count) for name, count in scenes.items()])
    root.mkdir()
    few.assign(img_path=[str(source / path) for path in few["img_path"]]).to_csv(root / "labels.csv", index=False)
    return tasks.UCMerced(str(root))


@pytest.mark.shared
def test_real_weights_crop_enlarge_and_train(shared: Path, tmp_path: Path) -> None:
    task = some_of_ucmerced(shared, tmp_path / "few", {"airplane": 6, "chaparral": 4})
    detector = str(shared / "weights/yolov8n_int8.tflite")
    crops = ops.DetectCrop("pad", detector, confidence=0.3, classes=("airplane",))
    enlarged = ops.SuperRes(4, "compact", str(shared / "weights/realesr-animevideov3-x4.pth"))
    sweep = Sweep(
        "two_models",
        task,
        preprocess=(crops, ops.Shrink(64), enlarged),
        backbone=Backbone("test_resnet", pretrained=False),
        recipe=replace(RECIPE, batch_size=4),
    )
    progress = planned_sweep(sweep, Locations.of(str(tmp_path / "store")))
    run(progress, InlineEngine(), lambda line: None)
    progress.refresh()
    assert [o.state for o in progress.outcomes.values()] == ["COMPLETE"], [o.error for o in progress.outcomes.values()]
    (manifest,) = manifests(progress).values()
    find = Detector(detector, "cpu")
    (entry,) = progress.plan.entries()
    hits = [bool(find(read_image(path), 0.3, find.numbers(("airplane",)))) for path in entry.paths]
    assert sum(hits[:6]) > sum(hits[6:]) == 0, "airplanes are found, in airplane scenes"
    assert manifest["notes"] == {MISS: len(hits) - sum(hits)}
