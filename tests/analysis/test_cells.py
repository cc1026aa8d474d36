import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score

from swath.analysis import cells
from swath.analysis import score_intervals as image_intervals
from swath.analysis.results import TaskResults
from swath.store.storage import Storage
from tests.support.fake_store import FakeTask, FakeTrial, Study, write_study


def test_a_cell_is_the_mean_over_its_seeds(scenes_task: TaskResults):
    found = {c.cell: c for c in cells.cell_results(scenes_task)}
    assert len(found) == 7  # the stopped cell has no finished run
    for cell in found.values():
        own = [t for t in scenes_task.trials if t.cell == cell.cell]
        scores = [scenes_task.score(t) for t in own if t.state == "COMPLETE"]
        assert cell.score == pytest.approx(np.mean(scores), abs=1e-12)
        assert cell.sd == (pytest.approx(np.std(scores, ddof=1), abs=1e-12) if len(scores) == 2 else None)
        assert cell.seeds_planned == 2
        assert cell.device_s == sum(t.device_s for t in own)
        assert cell.epochs == 4
    assert len(found["raw / resnet18 / focal"].runs) == 1
    assert found["raw / resnet18 / focal"].device_s == 40 + 10  # the failed seed's epoch counts, too
    assert [c.baseline for c in found.values()].count(True) == 1
    ranked = [c.score for c in cells.cell_results(scenes_task)]
    assert ranked == sorted(ranked, reverse=True)


def test_groups_are_left_out_whole_and_all_seeds_together(scenes_task: TaskResults):
    """Tukey's jackknife written out, and its interval on the scale of the logit."""
    best = next(c for c in cells.cell_results(scenes_task) if len(c.runs) == 2)
    targets, groups = scenes_task.targets(0), scenes_task.groups(0)
    members = [t.probabilities for t in best.trials]
    units = groups.max() + 1
    assert best.blocks == units == 30
    left = []
    for g in range(units):
        rows = groups != g
        left.append(np.mean([average_precision_score(targets[rows, c], p[rows, c]) for p in members for c in range(4)]))
    squares = (np.array(left) - np.mean(left)) ** 2 * (units - 1) / units
    variance = squares.sum()
    df = 2 * variance**2 / ((squares**2).sum() - variance**2 / units)
    half = stats.t.ppf(0.975, df) * variance**0.5 / (best.score * (1 - best.score))
    odds = best.score / (1 - best.score) * np.exp([-half, half])
    assert (best.low, best.high) == pytest.approx(tuple(odds / (1 + odds)), abs=1e-9)


def test_large_tasks_leave_nothing_out(scenes_task: TaskResults, monkeypatch):
    assert cells.blocks_of(scenes_task) == 30
    monkeypatch.setattr(image_intervals, "_LARGE", 60 * 4 - 1)
    assert cells.blocks_of(scenes_task) == 0
    assert cells.cell_results(scenes_task)[0].blocks == 0  # influence values: test_cells_large.py


@pytest.fixture
def folded(tmp_path) -> Study:
    """Three folds; the second seed was stopped on one of them."""
    trials = [
        FakeTrial(seed=seed, fold=fold, state="STOPPED" if (seed, fold) == (1, 2) else "COMPLETE")
        for seed in (0, 1)
        for fold in range(3)
    ]
    return write_study(Storage(str(tmp_path)), [FakeTask(folds=3)], {"scenes": trials})


def test_a_run_is_finished_on_every_fold(folded: Study):
    task = folded.read().tasks[0]
    (run,) = cells.finished_runs(task)
    assert run.seed == 0
    assert [t.fold for t in run.trials] == [0, 1, 2]
    assert run.score == pytest.approx(np.mean([task.score(t) for t in run.trials]), abs=1e-12)
    assert run.probabilities.shape == (120, 4)
    assert cells.pooled_score(task, run.probabilities) == pytest.approx(run.score, abs=1e-12)
    assert cells.positives(task).tolist() == task.record.targets[:120].sum(axis=0).tolist()


def test_label_scores_leave_out_what_cannot_be_scored(tmp_path):
    task = FakeTask(labels=("water", "trees", "never", "pavement"))
    task.record.targets[:, 2] = 0
    study = write_study(Storage(str(tmp_path)), [task], {"scenes": [FakeTrial(seed=0), FakeTrial(seed=1)]}, rule="")
    found = study.read().tasks[0]
    (cell,) = cells.cell_results(found)
    scores = cells.label_scores(found, cell)
    assert np.isnan(scores).tolist() == [False, False, True, False]
    expected = np.mean([average_precision_score(found.targets(0)[:, 0], t.probabilities[:, 0]) for t in cell.trials])
    assert scores[0] == pytest.approx(expected, abs=1e-12)
    assert np.nanmean(scores) == pytest.approx(cell.score, abs=1e-12)
