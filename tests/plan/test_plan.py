"""Bad input: everything is found before Ray starts, and said at once."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from swath import Backbone, Recipe, Sweep, grid, holdout, losses, ops, tasks
from swath.core.errors import InputError
from swath.core.text import size_text
from swath.engine.driver import run
from swath.engine.inline import InlineEngine
from swath.plan.records import write_records
from swath.store import storage as storage_
from swath.store.layout import task_key
from swath.store.storage import Locations
from swath.store.tasks import write_folds
from tests.support.planned import planned_sweep

SweepMaker = Callable[..., Sweep]


def problems(sweep: Sweep, store: Path) -> str:
    """All problems of a sweep, one per line."""
    with pytest.raises(InputError) as caught:
        planned_sweep(sweep, Locations.of(str(store)))
    return "\n".join(caught.value.problems)


def test_all_problems_come_at_once(make_sweep: SweepMaker, tmp_path: Path) -> None:
    sweep = make_sweep(
        task=grid(tasks.DaconSatellite(str(tmp_path / "nowhere")), tasks.Csv(str(tmp_path))),
        preprocess=grid((), ("sharpen",), (ops.Resize(size_px=-1),)),
        backbone=grid("resnet5O", Backbone("test_resnet", weights=str(tmp_path / "no.pth"))),
        loss=grid(losses.Focal(gamma=-1.0), "bce"),
        recipe=Recipe(lr=-1.0, image_size=32),
    )
    store = tmp_path / "file"
    store.write_text("not a folder")
    found = problems(sweep, store)
    for expected in (
        r"folder '.*nowhere' does not exist.*Give the folder",
        r"file train.csv is missing in .*",
        r"unknown op 'sharpen'.*Allowed: .*Grayscale, .*Sharpen.*ops.Sharpen\(\)",
        r"Resize\(size_px=-1\).*8 to 4096",
        r"unknown backbone 'resnet5O'. Did you mean .*'resnet50'",
        r"weights file '.*no.pth' does not exist",
        r"Focal\(gamma=-1.0\): allowed is 0 or more",
        r"unknown loss 'bce'.*losses.BCE\(\)",
        r"Recipe\(lr=-1.0\): allowed is above 0",
        r"storage .* cannot be written",
    ):
        assert re.search(expected, found), f"{expected}\nnot in\n{found}"


def test_problems_are_found_without_ray_or_torch(layout: Path, tmp_path: Path) -> None:
    code = f"""
import sys
from swath import Sweep, grid, tasks
from swath.core.errors import InputError
from swath.store.layout import task_key
from swath.store.storage import Locations
from swath.plan.make import make_plan
from swath.store.tasks import write_folds
try:
    sweep = Sweep("x", tasks.DaconSatellite({str(layout)!r}), backbone=grid("resnet5O", "resnet50"))
    make_plan(sweep, Locations.of({str(tmp_path)!r}))
except InputError as error:
    print(len(error.problems), bool({{"ray", "torch", "timm"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False"]


@pytest.mark.parametrize(
    ("values", "expected"), [((), "the grid on loss is empty"), ((losses.BCE(), losses.BCE()), "twice: keep one")]
)
def test_empty_and_repeated_grids(make_sweep: SweepMaker, tmp_path: Path, values: tuple, expected: str) -> None:
    assert expected in problems(make_sweep(loss=grid(*values)), tmp_path)


@pytest.fixture
def copy(layout: Path, tmp_path: Path) -> Path:
    """A copy of the layout that a test may spoil, with enough images that one is under 1 %."""
    root = tmp_path / "copy"
    shutil.copytree(layout, root)
    train = pd.read_csv(root / "train.csv")
    more = pd.concat([train.assign(img_id=train["img_id"] + f"_{i}") for i in range(3)])
    more.to_csv(root / "train.csv", index=False)
    return root


def test_one_missing_or_empty_image_under_one_percent_is_noted(
    copy: Path, make_sweep: SweepMaker, tmp_path: Path
) -> None:
    test = pd.read_csv(copy / "test.csv")
    (copy / test["img_path"][0]).write_bytes(b"")
    progress = planned_sweep(make_sweep(task=tasks.DaconSatellite(str(copy))), Locations.of(str(tmp_path / "store")))
    assert len(progress.plan.notes) == 1
    assert f"1 of 156 images cannot be used: {test['img_id'][0]} is empty (zero bytes)" in progress.plan.notes[0]
    (copy / test["img_path"][1]).unlink()
    found = problems(make_sweep(task=tasks.DaconSatellite(str(copy))), tmp_path / "store")
    assert f"{test['img_id'][1]} is missing" in found
    assert "under 1%" in found


def test_duplicate_ids_and_odd_labels(copy: Path, make_sweep: SweepMaker, tmp_path: Path) -> None:
    train = pd.read_csv(copy / "train.csv")
    train.loc[1, "img_id"] = train.loc[0, "img_id"]
    train.to_csv(copy / "train.csv", index=False)
    assert "1 ids stand for more than one row" in problems(
        make_sweep(task=tasks.DaconSatellite(str(copy))), tmp_path / "store"
    )
    train.loc[2, "red"] = 7
    train.to_csv(copy / "train.csv", index=False)
    found = problems(make_sweep(task=tasks.DaconSatellite(str(copy))), tmp_path / "store")
    assert "neither 0 nor 1, e.g. '7' in column 'red', data row 3" in found


def test_a_sweep_name_stands_for_one_task(copy: Path, make_sweep: SweepMaker, tmp_path: Path) -> None:
    one_epoch = Recipe(epochs=1, batch_size=16, image_size=32)
    sweep = make_sweep(preprocess=(), recipe=one_epoch)
    run(planned_sweep(sweep, Locations.of(str(tmp_path / "store"))), InlineEngine(), lambda line: None)
    other = make_sweep(task=tasks.Csv(str(copy), id_column="img_id", path_column="img_path"), recipe=one_epoch)
    found = problems(other, tmp_path / "store")
    assert "'study' already stands for a sweep on dacon_satellite" in found
    assert "another name" in found
    assert planned_sweep(replace(other, name="other"), Locations.of(str(tmp_path / "store"))).lacking()


def test_unwritable_storage_is_said_of_a_sound_sweep(make_sweep: SweepMaker, tmp_path: Path) -> None:
    store = tmp_path / "file"
    store.write_text("not a folder")
    assert "cannot be written" in problems(make_sweep(), store)


def test_relative_data_is_refused_inside_a_ray_job(
    make_sweep: SweepMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    for task in (tasks.DaconSatellite("data"), tasks.SyntheticSatellite("data")):
        assert "the data folder is 'data', a relative path" in problems(make_sweep(task=task), tmp_path)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"split": 0.2}, "split=0.2: give a value such as"),
        ({"backbone": Backbone("resnet50", weights=5)}, "weights=5"),
        ({"task": tasks.Csv("x", label_columns=["a"])}, "Csv(label_columns=['a']): give a tuple of texts"),
        ({"task": tasks.DaconSatellite(None)}, "DaconSatellite(root=None): give text"),
        ({"task": tasks.SyntheticSatellite("x", train="10")}, "SyntheticSatellite(train='10'): give a whole number"),
        ({"seeds": (2**70,)}, "whole numbers from 0 to 2**32 - 1"),
    ],
)
def test_values_of_the_wrong_type_are_named(
    make_sweep: SweepMaker, tmp_path: Path, changes: dict[str, object], expected: str
) -> None:
    assert expected in problems(make_sweep(**changes), tmp_path)


def test_too_little_disk_says_how_much_is_needed(
    make_sweep: SweepMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_.Storage, "free_bytes", lambda self: 1000)
    needed = 2 * (48 + 12) * 32 * 32 * 3
    found = problems(make_sweep(), tmp_path)
    assert f"the caches need {size_text(needed)}" in found
    assert "1.0 kB are free" in found


def test_identical_files_share_a_group_and_never_straddle(layout: Path, make_sweep: SweepMaker, tmp_path: Path) -> None:
    root = tmp_path / "twins"
    shutil.copytree(layout, root)
    train = pd.read_csv(root / "train.csv")
    for i in range(0, 40, 2):  # every second image becomes a copy of its neighbour
        shutil.copy(root / train["img_path"][i], root / train["img_path"][i + 1])
    for seed in range(5):
        sweep = make_sweep(task=tasks.DaconSatellite(str(root)), split=holdout(0.3, seed=seed))
        folds = planned_sweep(sweep, Locations.of(str(tmp_path / "store"))).plan.tasks[0].folds
        assert (folds[0:40:2] == folds[1:40:2]).all()
        assert 0 < (folds[:48] == 0).sum() < 48


def test_identity_ignores_where_files_lie_and_sees_what_they_hold(
    layout: Path, make_sweep: SweepMaker, tmp_path: Path
) -> None:
    def fingerprints(root: Path) -> list[str]:
        progress = planned_sweep(
            make_sweep(task=tasks.DaconSatellite(str(root))), Locations.of(str(tmp_path / "store"))
        )
        return [t.spec.fingerprint for t in progress.plan.trials]

    moved = tmp_path / "moved"
    shutil.copytree(layout, moved)
    assert fingerprints(moved) == fingerprints(layout)
    image = next((moved / "train").glob("*.png"))
    data = bytearray(image.read_bytes())
    data[-20] ^= 1  # same size, one bit
    image.write_bytes(bytes(data))
    assert not set(fingerprints(moved)) & set(fingerprints(layout))


def test_fewer_training_images_are_a_fixed_stratified_draw(make_sweep: SweepMaker, tmp_path: Path) -> None:
    plans = [planned_sweep(make_sweep(max_train_images=24), Locations.of(str(tmp_path))) for _ in range(2)]
    rows = plans[0].plan.tasks[0].record.rows
    assert abs((rows["split"] == "train").sum() - 24) <= 2
    assert (rows["split"] == "test").sum() == 12
    assert rows["id"].tolist() == plans[1].plan.tasks[0].record.rows["id"].tolist()
    assert plans[0].plan.tasks[0].data == plans[1].plan.tasks[0].data
    assert (
        np.abs(
            plans[0].plan.tasks[0].record.prior()
            - planned_sweep(make_sweep(), Locations.of(str(tmp_path))).plan.tasks[0].record.prior()
        ).max()
        < 0.12
    )


def test_images_stay_divided_as_the_store_has_them(make_sweep: SweepMaker, tmp_path: Path) -> None:
    """Another release of the library that divides must not train new trials of a sweep on another split."""
    progress = planned_sweep(make_sweep(), Locations.of(str(tmp_path)))
    write_records(progress)
    task, split = progress.plan.tasks[0], progress.plan.sweep.split.canonical()
    drawn = task.folds.copy()
    train = np.flatnonzero(task.record.rows["split"] == "train")
    other = drawn.copy()
    other[train] = np.roll(drawn[train], 1)
    write_folds(progress.plan.locations.storage, task.data, split, other)
    again = planned_sweep(make_sweep(), progress.plan.locations).plan.tasks[0]
    np.testing.assert_array_equal(again.folds, other)
    assert again.data == task.data
    progress.plan.locations.storage.write(task_key(task.data, f"splits/{split}.parquet"), b"cut sho")
    np.testing.assert_array_equal(planned_sweep(make_sweep(), progress.plan.locations).plan.tasks[0].folds, drawn)
