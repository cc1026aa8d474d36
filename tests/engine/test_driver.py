"""One suite for both engines: what a sweep runs, what it skips, what it leaves in the store."""

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from swath import Backbone, Recipe, Sweep, asha, grid, losses, ops, tasks
from swath.core.errors import InputError, StoreError
from swath.engine.base import Engine
from swath.engine.driver import run
from swath.engine.inline import InlineEngine
from swath.plan.progress import Progress
from swath.store.storage import Locations
from swath.store.tasks import read_task
from swath.store.trials import Trial
from tests.support.planned import planned_sweep

SweepMaker = Callable[..., Sweep]


def start(sweep: Sweep, store: Path, engine: Engine, retry_failed: bool = False) -> tuple[Progress, int, list[str]]:
    """Plan and run; the progress with fresh outcomes, the number of trials run, what was said."""
    said: list[str] = []
    progress = planned_sweep(sweep, Locations.of(str(store)))
    ran = run(progress, engine, said.append, retry_failed)
    progress.refresh()
    return progress, ran, said


def test_scores_in_the_store_are_those_of_the_stored_logits(
    make_sweep: SweepMaker, tmp_path: Path, engine: Engine
) -> None:
    progress, ran, _ = start(make_sweep(), tmp_path, engine)
    assert ran == 2
    record = read_task(progress.plan.locations.storage, progress.plan.tasks[0].data)
    rows = record.rows.set_index("id")
    for planned in progress.plan.trials:
        trial = Trial(progress.plan.locations.storage, planned.spec.fingerprint)
        outcome = trial.outcome()
        assert outcome is not None
        assert (outcome.state, outcome.epochs) == ("COMPLETE", 3)
        ids, logits = trial.logits("val/3")
        targets = record.targets[[rows.index.get_loc(i) for i in ids]]
        expected = average_precision_score(targets, logits.astype(np.float64), average="macro")
        assert outcome.score == pytest.approx(expected, abs=1e-12)
        assert trial.metrics()["epoch"].tolist() == [1, 2, 3]
        assert set(trial.logits("test")[0]) == set(rows.index[rows["split"] == "test"])
        assert trial.checkpoint() is None


@pytest.mark.ray
def test_inline_and_ray_agree_to_the_bit(make_sweep: SweepMaker, tmp_path: Path, ray_engine: Engine) -> None:
    inline, _, _ = start(make_sweep(), tmp_path / "inline", InlineEngine())
    on_ray, _, _ = start(make_sweep(), tmp_path / "ray", ray_engine)
    assert [e.key for e in inline.plan.entries()] == [e.key for e in on_ray.plan.entries()]
    for entry in inline.plan.entries():
        for shard in sorted((tmp_path / "inline/cache" / entry.key).glob("*.npy")):
            assert shard.read_bytes() == (tmp_path / "ray/cache" / entry.key / shard.name).read_bytes()
    for a, b in zip(inline.plan.trials, on_ray.plan.trials, strict=True):
        one, other = (Trial(p.plan.locations.storage, t.spec.fingerprint) for p, t in ((inline, a), (on_ray, b)))
        for part in ("val/3", "test"):
            np.testing.assert_array_equal(one.logits(part)[1], other.logits(part)[1])


def test_started_again_it_does_nothing_and_a_grown_grid_runs_only_new_cells(
    make_sweep: SweepMaker, tmp_path: Path, engine: Engine
) -> None:
    first, ran, _ = start(make_sweep(), tmp_path, engine)
    assert ran == 2
    finals = {t.spec.fingerprint: (tmp_path / "trials" / t.spec.fingerprint / "trial.json") for t in first.plan.trials}
    written = {f: path.stat().st_mtime_ns for f, path in finals.items()}
    assert start(make_sweep(), tmp_path, engine)[1] == 0
    tiny = Backbone("test_resnet", pretrained=False)
    grown = make_sweep(backbone=grid(tiny, Backbone("test_efficientnet", pretrained=False)))
    progress, ran, _ = start(grown, tmp_path, engine)
    assert ran == 2
    assert {t.cell.backbone.model for t in progress.plan.trials if t.spec.fingerprint not in finals} == {
        "test_efficientnet"
    }
    assert {f: path.stat().st_mtime_ns for f, path in finals.items()} == written


def test_two_sweeps_share_cells_and_caches(make_sweep: SweepMaker, tmp_path: Path) -> None:
    start(make_sweep(name="one"), tmp_path, InlineEngine())
    progress = planned_sweep(
        make_sweep(name="two", preprocess=grid((ops.Sharpen(),), (ops.Grayscale(),))), Locations.of(str(tmp_path))
    )
    assert [t.cell.label for t in progress.lacking()] == ["grayscale"]
    assert {e.chain[0].name for e in progress.cache_needs().entries_to_build()} == {"grayscale"}


def test_a_trial_that_raises_is_failed_and_the_rest_go_on(
    make_sweep: SweepMaker, tmp_path: Path, engine: Engine
) -> None:
    sweep = make_sweep(
        preprocess=(),
        backbone=grid(Backbone("test_vit", pretrained=False), Backbone("test_resnet", pretrained=False)),
        recipe=Recipe(epochs=2, batch_size=8, image_size=20),  # no multiple of test_vit's patches
    )
    progress, ran, _ = start(sweep, tmp_path, engine)
    states = {t.cell.backbone.model: progress.outcomes[t.spec.fingerprint] for t in progress.plan.trials}
    assert ran == 2
    assert states["test_resnet"].state == "COMPLETE"
    assert states["test_vit"].state == "FAILED"
    assert "Error" in states["test_vit"].error
    assert start(sweep, tmp_path, engine)[1] == 0
    assert start(sweep, tmp_path, engine, retry_failed=True)[1] == 1


def scripted(progress: Progress) -> dict[str, list[float]]:
    """Scores by epoch of every trial, read back from the store."""
    return {
        t.label: Trial(progress.plan.locations.storage, t.spec.fingerprint).metrics()["score"].tolist()
        for t in progress.plan.trials
    }


def test_asha_stops_at_rungs_only_and_keeps_the_best_of_each_stratum(
    make_sweep: SweepMaker, tmp_path: Path, engine: Engine
) -> None:
    rates = (3e-3, 1e-3, 1e-4, 1e-5, 1e-6)
    sweep = make_sweep(
        preprocess=(),
        recipe=Recipe(epochs=3, batch_size=8, optimizer="adamw", lr=grid(*rates), image_size=32),
        stop=asha(grace_epochs=1, reduction=2),
    )
    progress, _, _ = start(sweep, tmp_path, engine)
    outcomes = [progress.outcomes[t.spec.fingerprint] for t in progress.plan.trials]
    assert {o.state for o in outcomes} == {"COMPLETE", "STOPPED"}
    assert all(o.epochs == 3 for o in outcomes if o.state == "COMPLETE")
    assert all(
        o.epochs in (1, 2) and o.rule == "asha(grace_epochs=1,reduction=2)" for o in outcomes if o.state == "STOPPED"
    )
    for trial, outcome in zip(progress.plan.trials, outcomes, strict=True):
        stored = Trial(progress.plan.locations.storage, trial.spec.fingerprint)
        ids, logits = stored.logits(f"val/{outcome.epochs}")
        assert len(ids) == len(logits) > 0
        assert len(stored.metrics()) == outcome.epochs
    by_first_rung = {label: scores[0] for label, scores in scripted(progress).items()}
    best = max(by_first_rung, key=lambda label: by_first_rung[label])
    assert progress.outcomes[next(t.spec.fingerprint for t in progress.plan.trials if t.label == best)].epochs > 1
    assert start(sweep, tmp_path, engine)[1] == 0, "stopped under the same rule is done"
    unstopped, ran, _ = start(make_sweep(preprocess=(), recipe=sweep.recipe), tmp_path, engine)
    assert ran == sum(o.state == "STOPPED" for o in outcomes), "without the rule the stopped trials run to the end"
    assert {o.state for o in unstopped.outcomes.values()} == {"COMPLETE"}


def test_further_seeds_run_for_survivors_and_the_baseline_and_never_stop(
    make_sweep: SweepMaker, tmp_path: Path, engine: Engine
) -> None:
    rates = (1e-6, 3e-3, 1e-3, 1e-5)
    sweep = make_sweep(
        preprocess=(),
        recipe=Recipe(epochs=2, batch_size=8, optimizer="adamw", lr=grid(*rates), image_size=32),
        seeds=(0, 1),
        stop=asha(grace_epochs=1, reduction=2),
    )
    progress, _, _ = start(sweep, tmp_path, engine)
    outcome = {(t.cell.label, t.spec.seed): progress.outcomes.get(t.spec.fingerprint) for t in progress.plan.trials}
    cells = {t.cell.label for t in progress.plan.trials}
    survived = {c for c in cells if (o := outcome[c, 0]) and o.state == "COMPLETE"}
    assert "STOPPED" in {o.state for (_, seed), o in outcome.items() if o and seed == 0}
    expected = survived | {"1e-06"}
    assert {c for c in cells if outcome[c, 1] is not None} == expected
    assert {o.state for (_, seed), o in outcome.items() if o and seed == 1} == {"COMPLETE"}
    assert start(sweep, tmp_path, engine)[1] == 0


def test_a_restarted_sweep_judges_by_the_rungs_in_the_store(make_sweep: SweepMaker, tmp_path: Path) -> None:
    recipe = Recipe(epochs=2, batch_size=8, optimizer="adamw", lr=grid(3e-3, 1e-3), image_size=32)
    rule = asha(grace_epochs=1, reduction=3)
    start(make_sweep(preprocess=(), recipe=recipe, stop=rule), tmp_path, InlineEngine())
    hopeless = Recipe(epochs=2, batch_size=8, optimizer="adamw", lr=grid(3e-3, 1e-3, 1e-7), image_size=32)
    progress, ran, _ = start(make_sweep(preprocess=(), recipe=hopeless, stop=rule), tmp_path, InlineEngine())
    assert ran == 1
    late = next(t for t in progress.plan.trials if t.cell.label == "1e-07")
    scores = scripted(progress)
    assert any(s[0] > scores[late.label][0] for s in scores.values()), "one of three goes on; it must not be the best"
    assert progress.outcomes[late.spec.fingerprint].state == "STOPPED"


def test_bad_images_under_one_percent_are_left_out_and_named(
    layout: Path, make_sweep: SweepMaker, tmp_path: Path, engine: Engine
) -> None:
    root = tmp_path / "data"
    rng = np.random.default_rng(1)
    (root / "images").mkdir(parents=True)
    rows = []
    for i in range(210):
        path = root / "images" / f"{i}.png"
        cv2.imwrite(str(path), rng.integers(0, 255, (32, 32, 3)).astype(np.uint8))
        rows.append([f"{i:03d}", f"images/{i}.png", i % 2, (i // 2) % 2])
    pd.DataFrame(rows, columns=["id", "path", "odd", "pair"]).to_csv(root / "train.csv", index=False)
    whole = (root / "images/7.png").read_bytes()
    (root / "images/7.png").write_bytes(whole[: len(whole) // 2])
    sweep = make_sweep(task=tasks.Csv(str(root)), preprocess=(), recipe=Recipe(epochs=1, batch_size=32, image_size=32))
    progress, _, said = start(sweep, tmp_path / "store", engine)
    assert any("007 cannot be decoded" in line and "1 of 210" in line for line in said)
    record = read_task(progress.plan.locations.storage, progress.plan.tasks[0].data)
    assert record.rows.loc[record.rows["bad"] != "", "id"].tolist() == ["007"]
    ids, _ = Trial(progress.plan.locations.storage, progress.plan.trials[0].spec.fingerprint).logits("val/1")
    assert "007" not in ids
    for i in (8, 9):
        (root / f"images/{i}.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="3 of 210 images cannot be used"):
        start(sweep, tmp_path / "store", engine)


def test_an_image_that_goes_away_during_the_build_is_said_and_never_kept(
    layout: Path, make_sweep: SweepMaker, tmp_path: Path, engine: Engine
) -> None:
    data = tmp_path / "data"
    shutil.copytree(layout, data)
    progress = planned_sweep(make_sweep(task=tasks.DaconSatellite(str(data))), Locations.of(str(tmp_path / "store")))
    away = data / "train/TRAIN007.png"
    away.rename(tmp_path / "away.png")
    with pytest.raises(StoreError, match=r"TRAIN007\.png was there when the sweep started"):
        run(progress, engine, lambda line: None)
    (tmp_path / "away.png").rename(away)
    progress, ran, _ = start(make_sweep(task=tasks.DaconSatellite(str(data))), tmp_path / "store", engine)
    assert ran == 2
    assert not (progress.plan.tasks[0].record.rows["bad"] != "").any()


def test_a_single_label_task_trains_with_every_loss(tmp_path: Path, make_sweep: SweepMaker) -> None:
    root = tmp_path / "data"
    rng = np.random.default_rng(2)
    (root / "images").mkdir(parents=True)
    rows = []
    for i in range(60):
        image = rng.integers(0, 100, (32, 32, 3))
        image[:, :, i % 3] += 150
        cv2.imwrite(str(root / "images" / f"{i}.png"), image.astype(np.uint8)[:, :, ::-1])
        rows.append([f"{i:03d}", f"images/{i}.png", ("red", "green", "blue")[i % 3]])
    pd.DataFrame(rows, columns=["id", "path", "colour"]).to_csv(root / "train.csv", index=False)
    sweep = make_sweep(
        task=tasks.Csv(str(root), label_column="colour"),
        preprocess=(),
        loss=grid(losses.BCE(), losses.Focal(), losses.Asymmetric()),
        recipe=Recipe(epochs=6, batch_size=8, optimizer="adamw", lr=3e-3, image_size=32),
    )
    progress, _, _ = start(sweep, tmp_path / "store", InlineEngine())
    scores = {t.cell.label: progress.outcomes[t.spec.fingerprint].score for t in progress.plan.trials}
    assert all(score is not None and score > 0.9 for score in scores.values()), scores
