"""A cell trained on all training images, against the same training by hand."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit

from swath import Recipe, Sweep, kfold, ops, schedules
from swath.analysis.load import read_results
from swath.analysis.submissions.predict import predict
from swath.cli import main as cli
from swath.core.errors import InputError
from swath.engine.driver import run
from swath.engine.inline import InlineEngine
from swath.models.backbones import build
from swath.plan.progress import Progress, read_progress
from swath.plan.records import list_refits
from swath.plan.refit import plan_refit
from swath.preprocess.cache.reader import open_entry
from swath.store.storage import Locations, Storage
from swath.store.sweeps import read_refits
from swath.store.trials import Trial
from swath.training.dataset import Part
from swath.training.losses import criterion
from swath.training.trainer import Objective, Trainer
from tests.support.planned import planned_sweep

SweepMaker = Callable[..., Sweep]
RECIPE = Recipe(epochs=2, batch_size=8, optimizer="adamw", lr=3e-3, image_size=32, tta="flip")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def refit(progress: Progress, label: str) -> tuple[Progress, int]:
    found = read_progress(plan_refit(progress.plan, label))
    list_refits(found.plan)
    ran = run(found, InlineEngine(), lambda line: None)
    found.refresh()
    return found, ran


def by_hand(progress: Progress, cache: Storage) -> torch.Tensor:
    """Train on every training image of the task, predict its test images; nothing of swath's trials or plans."""
    (trial,) = progress.plan.trials
    record, spec = progress.plan.tasks[0].record, trial.spec
    ids = record.rows["id"].to_numpy(str)

    def part(name: str) -> Part:
        entry = open_entry(cache, trial.entries[name].key, None)
        rows = np.flatnonzero(record.rows["split"] == name)
        return Part(entry, entry.rows_of(ids[rows]), ids[rows], record.targets[rows])

    train, test = part("train"), part("test")
    assert (len(train), len(test)) == (48, 12)
    loss = criterion(spec.loss)
    model = build(spec.backbone, 3, 3, 32, spec.random_seed)
    objective = Objective(loss, loss, True, lambda logits, targets: 0.0)
    trainer = Trainer(model, objective, spec.recipe, spec.random_seed, torch.device("cpu"))
    # What validates does not touch training, so any images will do.
    assert [r.epoch for r in trainer.run(train, test)] == [1, 2]
    return trainer.predict(test, tta=True)


def test_a_refit_trains_on_all_images_and_predicts_like_training_by_hand(
    make_sweep: SweepMaker, tmp_path: Path
) -> None:
    progress = planned_sweep(make_sweep(recipe=RECIPE), Locations.of(str(tmp_path)))
    run(progress, InlineEngine(), lambda line: None)
    before = read_results(progress.plan.locations.storage, "study")
    found, ran = refit(progress, "sharpen")
    assert ran == 1
    handle = Trial(progress.plan.locations.storage, found.plan.trials[0].spec.fingerprint)
    outcome = handle.outcome()
    assert outcome is not None
    assert (outcome.state, outcome.epochs) == ("COMPLETE", 2)
    assert outcome.score is not None
    assert np.isnan(outcome.score)
    ids, logits = handle.logits("test")
    expected = by_hand(found, progress.plan.locations.cache).numpy().astype(np.float16)
    np.testing.assert_array_equal(logits, expected)
    of_cell = next(t for t in progress.plan.trials if t.cell.label == "sharpen")
    assert not np.array_equal(logits, progress.plan.handle(of_cell).logits("test")[1])
    # Started again it does nothing; the sweep's ranking has not heard of it, and a sweep started again keeps it.
    assert refit(progress, "sharpen")[1] == 0
    again = planned_sweep(make_sweep(recipe=RECIPE), Locations.of(str(tmp_path)))
    assert run(again, InlineEngine(), lambda line: None) == 0
    after = read_results(progress.plan.locations.storage, "study")
    assert [t.fingerprint for t in after.tasks[0].trials] == [t.fingerprint for t in before.tasks[0].trials]
    assert after.sweep == before.sweep
    assert len(read_refits(progress.plan.locations.storage, "study")) == 1
    frame = pd.read_csv(predict(progress.plan.locations.storage, "study", "refit sharpen", tmp_path / "s.csv"))
    labels = list(found.plan.tasks[0].record.labels)
    np.testing.assert_allclose(frame.set_index("img_id").loc[list(ids), labels], expit(logits), atol=1e-3)
    with pytest.raises(InputError, match="swath refit SCRIPT"):
        predict(progress.plan.locations.storage, "study", "refit raw", tmp_path / "s.csv")


def test_what_watches_validation_images_is_refused_with_the_cure(make_sweep: SweepMaker, tmp_path: Path) -> None:
    watching = replace(RECIPE, epochs=6, early_stop=schedules.EarlyStop(patience=2), schedule=schedules.Plateau())
    progress = planned_sweep(make_sweep(recipe=watching, preprocess=(ops.Sharpen(),)), Locations.of(str(tmp_path)))
    (label,) = {t.cell.label for t in progress.plan.trials}
    with pytest.raises(InputError) as refused:
        plan_refit(progress.plan, label)
    assert len(refused.value.problems) == 2
    assert "early_stop=None" in refused.value.problems[0]
    assert "Plateau" in refused.value.problems[1]
    with pytest.raises(InputError, match="cell 'shrapen'"):
        plan_refit(progress.plan, "shrapen")


def test_every_seed_once_whatever_the_folds_and_the_stopping_rule(make_sweep: SweepMaker, tmp_path: Path) -> None:
    from swath import asha

    sweep = make_sweep(recipe=replace(RECIPE, epochs=6), split=kfold(3), seeds=(0, 1), stop=asha(grace_epochs=1))
    found = read_progress(plan_refit(planned_sweep(sweep, Locations.of(str(tmp_path))).plan, "raw"))
    assert [(t.spec.seed, t.spec.fold, t.rungs()) for t in found.lacking()] == [(0, 0, {}), (1, 0, {})]
    assert set(found.plan.tasks[0].folds) == {-1}


SCRIPT = '''
from swath import Backbone, Recipe, Sweep, grid, holdout, losses, ops, tasks

def little(data: str) -> Sweep:
    """Two cells."""
    return Sweep(
        name="little",
        task=tasks.DaconSatellite(data),
        split=holdout(0.25, seed=0),
        preprocess=grid((), (ops.Sharpen(),)),
        backbone=Backbone("test_resnet", pretrained=False),
        loss=losses.BCE(),
        recipe=Recipe(epochs=1, batch_size=8, optimizer="adamw", lr=3e-3, image_size=32),
    )
'''


def test_the_command_refits_the_best_cell(layout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "little.py"
    script.write_text(SCRIPT)
    options = ["--data", str(layout), "--storage", str(tmp_path / "store"), "--inline", "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit):
        cli.command(["refit", str(script), "best", *options])
    assert "--full" in capsys.readouterr().err
    cli.command(["run", str(script), *options])
    cli.command(["refit", str(script), "best", "--full", *options])
    storage = Storage(str(tmp_path / "store"))
    (task,) = read_results(storage, "little").tasks
    (entry,) = read_refits(storage, "little")
    assert entry.cell == max(task.trials, key=task.score).cell
    words = ["--storage", storage.root, "--out", str(tmp_path / "s.csv")]
    cli.command(["predict", "little", "--ensemble", f"refit {entry.cell}", *words])
    assert len(pd.read_csv(tmp_path / "s.csv")) == 12
