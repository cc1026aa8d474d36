import numpy as np
import pytest
from fake_store import FakeTask, FakeTrial, write_study

from swath.paths import Storage
from swath.report.factors import factor_results
from swath.report.results import TaskResults


def test_levels_are_compared_in_matched_cells(scenes_task: TaskResults):
    """By hand: every combination of the other factors and the seed, where both levels are COMPLETE."""
    scores = {
        (t.factors["preprocess"], t.factors["backbone"], t.factors["loss"], t.seed): scenes_task.score(t)
        for t in scenes_task.trials
        if t.state == "COMPLETE"
    }
    preprocess, backbone, loss = factor_results(scenes_task)
    # Not: raw/vit/focal (stopped, not run), raw/resnet18/focal seed 1 (failed), sharpened vit/focal seed 1 (running).
    matched = [
        ("resnet18", "bce", 0),
        ("resnet18", "bce", 1),
        ("resnet18", "focal", 0),
        ("vit", "bce", 0),
        ("vit", "bce", 1),
    ]
    raw = np.array([scores["raw", b, n, s] for b, n, s in matched])
    sharp = np.array([scores["grayscale|sharpen", b, n, s] for b, n, s in matched])
    assert (preprocess.matched, preprocess.possible, preprocess.paired) == (5, 8, False)
    base, level = preprocess.levels
    assert (base.level, base.baseline, base.difference, base.better) == ("raw", True, 0, 0)
    assert base.score == pytest.approx(raw.mean(), abs=1e-12)
    assert level.score == pytest.approx(sharp.mean(), abs=1e-12)
    assert level.difference == pytest.approx(100 * (sharp - raw).mean(), abs=1e-9)
    assert level.better == (sharp > raw).sum()
    assert len(preprocess.trials) == 10
    # loss: raw/resnet18 seed 0, sharpened resnet18 both seeds, sharpened vit seed 0.
    assert (backbone.matched, loss.matched) == (5, 4)


def write_losses(tmp_path, states: dict[tuple[str, str], str | None], **more) -> TaskResults:
    """Cells of preprocess x loss in given states."""
    trials = [FakeTrial(preprocess=p, loss=n, state=s, **more) for (p, n), s in states.items()]
    return write_study(Storage(str(tmp_path)), [FakeTask()], {"scenes": trials}).read().tasks[0]


def test_without_a_full_match_levels_are_paired_with_the_baseline(tmp_path):
    trials = [
        FakeTrial(backbone="a", loss="bce", quality=0.5),
        FakeTrial(backbone="b", loss="bce", quality=1.5),
        FakeTrial(backbone="c", loss="bce", state="STOPPED"),
        FakeTrial(backbone="a", loss="focal", quality=0.5),
        FakeTrial(backbone="b", loss="focal", state="STOPPED"),
        FakeTrial(backbone="c", loss="focal", state=None),
    ]
    task = write_study(Storage(str(tmp_path)), [FakeTask()], {"scenes": trials}).read().tasks[0]
    backbone, loss = factor_results(task)
    assert (backbone.matched, backbone.possible, backbone.paired) == (0, 2, True)
    assert [(x.level, x.matched, x.better) for x in backbone.levels] == [("a", 1, 0), ("b", 1, 1)]
    by_cell = {t.cell: task.score(t) for t in task.trials}
    gain = by_cell["raw / b / bce"] - by_cell["raw / a / bce"]
    assert backbone.levels[1].difference == pytest.approx(100 * gain, abs=1e-9)
    assert (loss.matched, loss.possible) == (1, 3)


def test_no_match_at_all_is_said(tmp_path):
    states = {("raw", "bce"): "COMPLETE", ("raw", "focal"): "STOPPED"}
    (loss,) = factor_results(write_losses(tmp_path, states))
    assert (loss.levels, loss.matched, loss.paired) == ((), 0, True)


def test_different_budgets_never_match_unless_epochs_are_the_factor(tmp_path):
    trials = [
        FakeTrial(loss="bce", epochs=3, extra={"epochs": "3"}),
        FakeTrial(loss="focal", epochs=4, extra={"epochs": "4"}),
        FakeTrial(loss="bce", epochs=4, extra={"epochs": "4"}),
    ]
    task = write_study(Storage(str(tmp_path)), [FakeTask()], {"scenes": trials}, rule="").read().tasks[0]
    loss, epochs = factor_results(task)
    assert (loss.factor, loss.matched) == ("loss", 1)
    assert (epochs.factor, epochs.matched) == ("epochs", 1)
    # The same cells without the factor that says so: nothing equal is left to compare.
    for trial in trials:
        trial.extra = {}
    del trials[2]
    other = write_study(Storage(str(tmp_path / "other")), [FakeTask()], {"scenes": trials}, rule="").read().tasks[0]
    (loss,) = factor_results(other)
    assert (loss.matched, loss.levels) == (0, ())
