"""A detector really fine-tuned from scratch on drawn images, and what a sweep does with it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from swath import Backbone, Recipe, Sweep, grid, holdout, kfold, ops, tasks
from swath.cli.main import command
from swath.core.errors import InputError
from swath.models.detection import checkpoints as folders
from swath.models.detection.crops import Cropper, crop
from swath.models.detection.finetune import FoldJob, FoldResult, fit_fold, fold_job
from swath.models.detection.transfer import Example, Target
from swath.models.detection.yolo import Detector
from swath.models.detection.yolo_training import Training
from swath.models.image_models.loader import load
from swath.store.file_hashes import file_sha256
from swath.store.storage import Locations
from tests.support.drawn_birds import Box, draw, write_birds
from tests.support.planned import planned_sweep

pytest.importorskip("ultralytics")


@dataclass(frozen=True)
class Fitted:
    """A folder of detectors fitted by the command, the data, and what the command printed and left behind."""

    data: Path
    folder: Path
    boxes: dict[str, Box]
    left_behind: list[str]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """`swath detect finetune` on 120 drawn images, a quarter of them held out: some 15 s on one core."""
    root = tmp_path_factory.mktemp("fitted")
    boxes = write_birds(root / "birds", 120)
    script = root / "study.py"
    script.write_text(
        "from swath import Sweep, holdout, tasks\n\n\ndef study(data: str, weights: str = '') -> Sweep:\n"
        "    return Sweep('study', tasks.DaconBirds(data), split=holdout(0.25))\n"
    )
    words = f"detect finetune {script} --data {root}/birds --inline --annotations {root}/birds/boxes.json"
    words += f" --weights yolov8n.yaml --epochs 8 --size-px 64 --batch 8 --lr 0.004 --out {root}/detectors"
    empty = root / "empty"
    empty.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(empty)
        command([*words.split(), "--storage", str(root / "store"), "--", "--weights", "of the script"])
    return Fitted(root / "birds", root / "detectors", boxes, [p.name for p in empty.iterdir()])


def intersection_over_union(a: np.ndarray, b: np.ndarray) -> float:
    """By counting the pixels of a grid eight times as fine."""
    grids = np.zeros((2, 512, 512), bool)
    for picture, (left, top, right, bottom) in zip(grids, np.round(np.array([a, b]) * 8).astype(int), strict=True):
        picture[top:bottom, left:right] = True
    return float((grids[0] & grids[1]).sum() / (grids[0] | grids[1]).sum())


def test_it_finds_the_objects_of_images_that_it_has_not_seen(fitted: Fitted) -> None:
    detector = Detector(str(fitted.folder / "fold0.pt"), "cpu")
    rng, fits = np.random.default_rng(99), []
    for _ in range(40):
        image, box, _ = draw(rng)
        found = detector(cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA), 0.25)  # type: ignore[arg-type]
        fits.append(intersection_over_union(np.array(found[0].box), np.array(box) / 4) if found else 0.0)
    assert np.mean(fits) > 0.6, fits


def test_the_folder_says_what_it_was_fitted_on(fitted: Fitted) -> None:
    record = folders.read(fitted.folder)
    assert fitted.left_behind == []  # not even ultralytics' `runs`
    assert (record.task, record.split, record.classes) == ("dacon_birds", "holdout(0.25,seed=0)", ("bird",))
    assert (record.base, record.base_sha256, record.contours) == ("yolov8n.yaml", "", False)
    (fold,) = record.folds
    assert (fold.images, fold.objects, fold.val_images) == (90, 90, 30)
    assert fold.val_iou > 0.6
    assert fold.val_found > 0.9
    assert fold.sha256 == file_sha256(fitted.folder / "fold0.pt")


def test_the_op_crops_with_the_folds_detector(fitted: Fitted) -> None:
    op = ops.DetectCrop("keep_ratio", str(fitted.folder), classes=("bird",))
    find = load(op.detect(), op.weight_file(0), "cpu")
    images = [cv2.imread(str(fitted.data / f"test/TEST_0000{i}.png"))[:, :, ::-1] for i in range(2)]
    detector = Detector(op.weight_file(0), "cpu")
    cropped = Cropper(op)(images, find(images))  # type: ignore[arg-type]
    for ours, image in zip(cropped, images, strict=True):
        best = detector(image, 0.25)[0]  # type: ignore[arg-type]
        np.testing.assert_array_equal(ours, crop(image, best, op))  # type: ignore[arg-type]
        assert ours.shape == (64, 64, 3)


@pytest.fixture
def plan(fitted: Fitted, tmp_path: Path) -> Callable[..., object]:
    def make(**changes: object) -> object:
        sweep = Sweep(
            "study",
            tasks.DaconBirds(str(fitted.data)),
            split=holdout(0.25),
            preprocess=grid((), (ops.DetectCrop("pad", str(fitted.folder)),)),
            backbone=Backbone("test_resnet", pretrained=False),
            recipe=Recipe(epochs=1, batch_size=8, image_size=32),
        )
        return planned_sweep(replace(sweep, **changes), Locations.of(str(tmp_path / "store")))  # type: ignore[arg-type]

    return make


def test_a_plan_takes_the_detectors_of_its_data_and_split_only(fitted: Fitted, plan: Callable[..., object]) -> None:
    plan()
    with pytest.raises(InputError, match=r"fitted on the split holdout\(0.25,seed=0\), and the sweep validates by"):
        plan(split=holdout(0.25, seed=1))
    with pytest.raises(InputError, match=r"fitted on other data \(dacon_birds, \w+\).*max_train_images"):
        plan(max_train_images=60)
    with pytest.raises(InputError, match="Did you mean 'bird'"):
        plan(preprocess=(ops.DetectCrop("pad", str(fitted.folder), classes=("birb",)),))


def test_a_plan_says_what_is_wrong_with_a_folder(fitted: Fitted, plan: Callable[..., object], tmp_path: Path) -> None:
    changed, empty = tmp_path / "changed", tmp_path / "empty"
    for path in (changed, empty):
        path.mkdir()
    (changed / folders.RECORD).write_bytes((fitted.folder / folders.RECORD).read_bytes())
    (changed / "fold0.pt").write_bytes(b"other weights")
    chains = [(ops.DetectCrop("pad", str(p)),) for p in (changed, empty, tmp_path / "no.pt")]
    with pytest.raises(InputError) as raised:
        plan(preprocess=grid(*chains))
    for part in ("fold0.pt is not the file that was fitted", "no detector.json in it", "no such file or folder"):
        assert any(part in problem for problem in raised.value.problems), part
    assert len(raised.value.problems) == 3


def test_a_folder_is_not_fitted_twice(fitted: Fitted, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["detect", "finetune", "DaconBirds", "--root", str(fitted.data), "--weights", "yolov8n.yaml"]
    with pytest.raises(SystemExit):
        command([*words, "--storage", str(fitted.data / "store"), "--out", str(fitted.folder), "--size-px", "50"])
    said = capsys.readouterr().err
    assert "2 problems" in said
    assert "holds detectors already" in said
    assert "multiple of 32" in said


def example(path: Path, seed: int) -> Example:
    image, box, mask = draw(np.random.default_rng(seed))
    cv2.imwrite(str(path), cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA)[:, :, ::-1])
    outline = max(cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0], key=len)
    left, top, right, bottom = (v / 4 for v in box)
    return Example(str(path), 64, 64, (Target(0, (left, top, right, bottom), ((outline[:, 0] + 0.5) / 4,)),))


def test_a_fold_trains_on_its_training_part_and_is_measured_on_the_rest() -> None:
    examples = {str(i): Example(str(i), 9, 9, (Target(0, (0, 0, 1, 1)),) if i else ()) for i in range(6)}
    folds = {str(i): i % 3 for i in range(6)}
    jobs = [fold_job(f, examples, folds, ("bird",), False, Training("yolov8n.yaml")) for f in range(3)]
    assert [[e.path for e in job.train] for job in jobs] == [
        ["1", "2", "4", "5"],
        ["0", "2", "3", "5"],
        ["0", "1", "3", "4"],
    ]
    assert [[e.path for e in job.val] for job in jobs] == [["3"], ["1", "4"], ["2", "5"]]  # 0 has nothing to measure
    with pytest.raises(InputError, match="fold 0 has no annotated training image"):
        fold_job(0, {"0": examples["0"], "3": examples["3"]}, folds, ("bird",), False, Training("yolov8n.yaml"))
    assert kfold(3).folds == 3


def test_a_segmentation_gives_contours(tmp_path: Path) -> None:
    examples = tuple(example(tmp_path / f"{i}.png", i) for i in range(8))
    training = Training("yolov8n-seg.yaml", epochs=1, size_px=64, batch=4)
    result = fit_fold(FoldJob(0, examples[:6], examples[6:], ("bird",), True, training, gpus=0))
    (tmp_path / "fold0.pt").write_bytes(result.weights)
    detector = Detector(str(tmp_path / "fold0.pt"), "cpu")
    assert detector.contours
    assert detector.classes == ("bird",)
    with pytest.raises(InputError, match="Models that give contours have -seg in their names"):
        fit_fold(FoldJob(0, examples, (), ("bird",), True, Training("yolov8n.yaml", size_px=64), gpus=0))


@pytest.mark.ray
def test_ray_fits_the_same_detector_as_this_process(ray_engine: object, tmp_path: Path) -> None:
    from swath.engine.ray_backend.detectors import fit_on_ray

    examples = tuple(example(tmp_path / f"{i}.png", i) for i in range(8))
    training = Training("yolov8n.yaml", epochs=1, size_px=64, batch=4)
    wrong = FoldJob(1, examples, (), ("bird",), True, training)
    job = FoldJob(0, examples, (), ("bird",), False, training)
    results: list[FoldResult] = []
    fit_on_ray([job], {"cpu": 1.0, "gpu": 0.0}, results.append)
    here = fit_fold(replace(job, gpus=0))
    states = []
    for name, result in (("ray", results[0]), ("here", here)):
        (tmp_path / f"{name}.pt").write_bytes(result.weights)
        states.append(Detector(str(tmp_path / f"{name}.pt"), "cpu")._model.model.state_dict())
    for key, value in states[0].items():
        np.testing.assert_array_equal(value.numpy(), states[1][key].numpy(), err_msg=key)
    with pytest.raises(InputError, match="-seg in their names"):
        fit_on_ray([wrong], {"cpu": 1.0, "gpu": 0.0}, results.append)
