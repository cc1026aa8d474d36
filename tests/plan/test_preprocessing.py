"""What a preprocessing takes from a task: which rows, which files, which entries; and end to end what is trained on."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pandas as pd
import pytest

from swath import Backbone, Recipe, Sweep, chain, holdout, kfold, ops, tasks
from swath.config.chains import Preprocess
from swath.core.errors import InputError
from swath.engine.driver import run
from swath.engine.inline import InlineEngine
from swath.plan.progress import Progress
from swath.preprocess.image_files import read_image
from swath.preprocess.transforms import apply
from swath.store.storage import Locations
from swath.store.trials import Trial
from swath.training.job import Job
from swath.training.trial import _parts
from tests.support.planned import planned_sweep

SIZE = 24


@dataclass(frozen=True)
class Fitted(ops.Op):
    """An expensive op with a weight file, one for each fold where the path says so."""

    name: ClassVar[str] = "fitted"
    expensive: ClassVar[bool] = True
    weights: str = ""

    def weight_file(self, fold: int) -> str:
        return self.weights.replace("FOLD", str(fold))

    def without_file(self) -> ops.Op:
        return replace(self, weights="")


@pytest.fixture(scope="module")
def birds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty low-resolution training images with a high-resolution version, four test images without."""
    root = tmp_path_factory.mktemp("birds")
    rng = np.random.default_rng(0)
    rows = []
    for folder in ("train", "upscale_train", "test"):
        (root / folder).mkdir()
    for i in range(20):
        high = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        cv2.imwrite(str(root / f"upscale_train/TRAIN_{i:02d}.png"), high)
        cv2.imwrite(str(root / f"train/TRAIN_{i:02d}.png"), cv2.resize(high, (8, 8), interpolation=cv2.INTER_AREA))
        rows.append((f"./train/TRAIN_{i:02d}.png", f"./upscale_train/TRAIN_{i:02d}.png", ("crow", "wagtail")[i % 2]))
    pd.DataFrame(rows, columns=["img_path", "upscale_img_path", "label"]).to_csv(root / "train.csv", index=False)
    for i in range(4):
        cv2.imwrite(str(root / f"test/TEST_{i}.png"), rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    test = pd.DataFrame({"id": [f"TEST_{i}" for i in range(4)], "img_path": [f"./test/TEST_{i}.png" for i in range(4)]})
    test.to_csv(root / "test.csv", index=False)
    test[["id"]].assign(label="crow").to_csv(root / "sample_submission.csv", index=False)
    return root


@pytest.fixture
def plan_of(birds: Path, tmp_path: Path) -> Callable[..., Progress]:
    def make(preprocess: Preprocess, **changes: object) -> Progress:
        sweep = Sweep(
            name="birds",
            task=tasks.DaconBirds(str(birds)),
            split=holdout(0.25),
            preprocess=preprocess,
            backbone=Backbone("test_resnet", pretrained=False),
            recipe=Recipe(epochs=1, batch_size=5, image_size=SIZE),
        )
        return planned_sweep(replace(sweep, **changes), Locations.of(str(tmp_path / "store")))  # type: ignore[arg-type]

    return make


PlanOf = Callable[..., Progress]


def entries(progress: Progress, trial: int = 0) -> dict[str, tuple[str, int]]:
    """Where each entry's images lie, and how many there are."""
    return {
        part: (Path(entry.paths[0]).parent.name, len(entry.ids))
        for part, entry in progress.plan.trials[trial].entries.items()
    }


def test_each_part_goes_through_its_half_of_the_chain(plan_of: PlanOf) -> None:
    sharp = ops.Sharpen()
    plain = plan_of((sharp,)).plan.trials[0]
    assert plain.entries["train"].key == plain.entries["val"].key
    both = plan_of(chain(train=(ops.Hires(),), test=(sharp,)))
    assert entries(both) == {"train": ("upscale_train", 20), "val": ("train", 20), "test": ("test", 4)}
    assert both.plan.trials[0].entries["val"].key == plain.entries["val"].key, "a half is shared with a plain chain"
    assert both.plan.trials[0].entries["test"].key == plain.entries["test"].key
    assert both.plan.trials[0].spec.preprocess == chain(
        train=(ops.Hires(), ops.Resize(SIZE)), test=(sharp, ops.Resize(SIZE))
    )


def test_both_is_made_of_the_two_entries_it_joins(plan_of: PlanOf) -> None:
    progress = plan_of(chain(train=(ops.Both(), ops.Sharpen()), test=(ops.Sharpen(),)))
    assert entries(progress) == {
        "train": ("train", 20),
        "train_hires": ("upscale_train", 20),
        "val": ("train", 20),
        "test": ("test", 4),
    }
    keys = {part: entry.key for part, entry in progress.plan.trials[0].entries.items()}
    low = plan_of((ops.Sharpen(),)).plan.trials[0].entries["train"].key
    high = plan_of(chain(train=(ops.Hires(), ops.Sharpen()))).plan.trials[0].entries["train"].key
    assert keys["train"] == keys["val"] == low
    assert keys["train_hires"] == high


@pytest.mark.parametrize("first", [ops.Hires(), ops.Both()])
def test_a_trial_sees_the_right_pixels_and_twins_never_part(plan_of: PlanOf, birds: Path, first: ops.Op) -> None:
    progress = plan_of(chain(train=(first, ops.Sharpen()), test=(ops.Unsharp(),)))
    assert run(progress, InlineEngine(), lambda line: None) == 1
    trial, locations = progress.plan.trials[0], progress.plan.locations
    keys = {part: entry.key for part, entry in trial.entries.items()}
    parts = _parts(Job(trial.spec, locations.storage.root, locations.cache.root, "", keys, "", False, ()))
    train, val, test = parts["train"], parts["val"], parts["test"]
    times = 2 if isinstance(first, ops.Both) else 1
    assert (len(train), len(val), len(test)) == (15 * times, 5, 4)
    assert not set(train.ids) & set(val.ids)

    def reference(folder: str, id_: str, *chain: ops.Op) -> np.ndarray:
        return apply(read_image(birds / folder / f"{id_}.png"), (*chain, ops.Resize(SIZE)))

    images, targets = train.batch(np.arange(len(train)))
    labels = progress.plan.tasks[0].record.targets[:20]
    for position, id_ in enumerate(train.ids):
        folder = "train" if times == 2 and position < 15 else "upscale_train"
        np.testing.assert_array_equal(images[position], reference(folder, id_, ops.Sharpen()))
        np.testing.assert_array_equal(targets[position], labels[int(id_[-2:])])
    if times == 2:
        np.testing.assert_array_equal(train.ids[:15], train.ids[15:])
    for part, folder in ((val, "train"), (test, "test")):
        images, _ = part.batch(np.arange(len(part)))
        for position, id_ in enumerate(part.ids):
            np.testing.assert_array_equal(images[position], reference(folder, id_, ops.Unsharp()))
    ids, _ = Trial(locations.storage, trial.spec.fingerprint).logits("val/1")
    assert set(ids) == set(val.ids)


@pytest.mark.parametrize(
    ("preprocess", "problem"),
    [
        ((ops.Hires(),), "4 test images of dacon_birds have no high-resolution version. Write chain(train="),
        (chain(test=(ops.Hires(),)), "4 test images of dacon_birds have no high-resolution version"),
        ((Fitted("nowhere.pt"),), "the model file 'nowhere.pt' cannot be read: No such file or directory"),
    ],
)
def test_what_the_task_or_machine_lacks_is_said(plan_of: PlanOf, preprocess: Preprocess, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        plan_of(preprocess)
    assert any(problem in p for p in caught.value.problems)


def test_a_task_without_high_resolution_versions_says_so(plan_of: PlanOf, layout: Path) -> None:
    with pytest.raises(InputError, match=r"train both.*: Both\(\) reads high-resolution versions, and task"):
        plan_of(chain(train=(ops.Both(),)), task=tasks.DaconSatellite(str(layout)))


def test_a_missing_high_resolution_version_makes_a_bad_image(plan_of: PlanOf, birds: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(birds, copy)
    (copy / "upscale_train/TRAIN_03.png").unlink()
    raw = plan_of((), task=tasks.DaconBirds(str(copy)))
    assert (raw.plan.tasks[0].record.rows["bad"] == "").all(), (
        "high-resolution files are not looked at before a chain asks"
    )
    progress = plan_of(chain(train=(ops.Hires(),)), task=tasks.DaconBirds(str(copy)))
    bad = progress.plan.tasks[0].record.rows.set_index("id")["bad"]
    assert bad[bad != ""].to_dict() == {"TRAIN_03": "high-resolution version is missing"}


def test_expensive_chains_hold_only_the_rows_that_are_needed(plan_of: PlanOf, tmp_path: Path) -> None:
    model = tmp_path / "model.pt"
    model.write_bytes(b"one")
    dear = Fitted(str(model))
    assert {part: count for part, (_, count) in entries(plan_of(chain(test=(dear,)))).items()} == {
        "train": 20,
        "val": 5,
        "test": 4,
    }
    assert entries(plan_of(chain(train=(dear,))))["train"][1] == 15
    assert entries(plan_of((dear,)))["train"][1] == entries(plan_of((dear,)))["val"][1] == 20
    folds = plan_of(chain(test=(dear,)), split=kfold(4))
    assert [entries(folds, i)["val"][1] for i in range(4)] == [20] * 4, "one entry serves every fold"
    assert len({t.entries["val"].key for t in folds.plan.trials}) == 1


def test_an_op_fitted_to_a_fold_has_entries_and_an_identity_of_its_own(plan_of: PlanOf, tmp_path: Path) -> None:
    for fold in range(3):
        (tmp_path / f"detector{fold}.pt").write_bytes(f"weights {fold}".encode())
    one = tmp_path / "one.pt"
    one.write_bytes(b"weights 1")
    per_fold, same = Fitted(str(tmp_path / "detectorFOLD.pt")), Fitted(str(one))
    progress = plan_of((per_fold,), split=kfold(3))
    assert len({t.entries["train"].key for t in progress.plan.trials}) == 3
    assert len({t.spec.fingerprint for t in progress.plan.trials}) == 3
    assert all(t.entries["train"].key == t.entries["val"].key for t in progress.plan.trials)
    assert len({t.spec.op_weights for t in progress.plan.trials}) == 3
    everywhere = plan_of((same,), split=kfold(3))
    assert len({t.entries["train"].key for t in everywhere.plan.trials}) == 1
    assert everywhere.plan.trials[1].spec == progress.plan.trials[1].spec, (
        "the content identifies the file, not its place"
    )
    apart = plan_of(chain(test=(per_fold,)), split=kfold(3))
    assert sum(len(t.entries["val"].ids) for t in apart.plan.trials) == 20
    val_ids = [set(t.entries["val"].ids) for t in apart.plan.trials]
    assert not val_ids[0] & val_ids[1] | val_ids[1] & val_ids[2] | val_ids[0] & val_ids[2]


def test_identity_covers_model_files_and_high_resolution_images(plan_of: PlanOf, birds: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.pt"
    model.write_bytes(b"one")
    before = plan_of((Fitted(str(model)),)).plan.trials[0]
    elsewhere = tmp_path / "other.pt"
    elsewhere.write_bytes(b"one")
    again = plan_of((Fitted(str(elsewhere)),)).plan.trials[0]
    assert (again.spec.fingerprint, again.entries["test"].key) == (before.spec.fingerprint, before.entries["test"].key)
    model.write_bytes(b"two")
    after = plan_of((Fitted(str(model)),)).plan.trials[0]
    assert after.spec.fingerprint != before.spec.fingerprint
    assert after.entries["test"].key != before.entries["test"].key
    copy = tmp_path / "copy"
    shutil.copytree(birds, copy)
    shutil.copy(copy / "upscale_train/TRAIN_01.png", copy / "upscale_train/TRAIN_00.png")
    plans = [
        plan_of(preprocess, task=tasks.DaconBirds(str(root))).plan.trials[0].spec.fingerprint
        for preprocess in ((), chain(train=(ops.Both(),)))
        for root in (birds, copy)
    ]
    assert plans[0] == plans[1]
    assert plans[2] != plans[3]
