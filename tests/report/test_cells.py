import numpy as np
import pytest
from fake_store import FakeTask, FakeTrial, Study, write_study
from sklearn.metrics import average_precision_score

from swath import metrics
from swath.paths import Storage
from swath.report import cells
from swath.report.results import TaskResults


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


def test_groups_are_resampled_whole(tmp_path):
    """With two groups only three samples can be drawn, so the interval's ends are known."""
    task = FakeTask(group_size=30)  # groups 0 and 2 validate
    study = write_study(Storage(str(tmp_path)), [task], {"scenes": [FakeTrial(quality=0.7)]}, rule="")
    found = study.read().tasks[0]
    groups = found.groups(0)
    assert sorted(np.unique(groups)) == [0, 1]
    p, targets = found.trials[0].probabilities, found.targets(0)

    def score(rows):
        return np.mean([average_precision_score(targets[rows, c], p[rows, c]) for c in range(4)])

    whole = score(np.arange(60))
    possible = [whole, score(groups == 0), score(groups == 1)]
    (cell,) = cells.cell_results(found)
    assert cell.low == pytest.approx(2 * whole - max(possible), abs=1e-12)
    assert cell.high == pytest.approx(2 * whole - min(possible), abs=1e-12)


def test_the_interval_is_the_basic_bootstrap_of_all_seeds_together(scenes_task: TaskResults):
    best = next(c for c in cells.cell_results(scenes_task) if len(c.runs) == 2)
    rng = np.random.default_rng(1)
    targets, groups = scenes_task.targets(0), scenes_task.groups(0)
    members = [t.probabilities for t in best.trials]
    drawn = []
    for _ in range(400):
        picked = rng.integers(0, groups.max() + 1, groups.max() + 1)
        rows = np.concatenate([np.flatnonzero(groups == g) for g in picked])
        drawn.append(np.mean([metrics.score("map", "multilabel", targets[rows], p[rows]) for p in members]))
    high, low = 2 * best.score - np.percentile(drawn, [2.5, 97.5])
    assert best.low == pytest.approx(low, abs=0.015)
    assert best.high == pytest.approx(high, abs=0.015)
    assert best.low < best.score < best.high


def test_large_tasks_get_fewer_replicates(scenes_task: TaskResults, monkeypatch):
    assert cells.replicates_of(scenes_task) == 1000
    monkeypatch.setattr(cells, "_LARGE", 60 * 4 - 1)
    assert cells.replicates_of(scenes_task) == 0
    assert cells.cell_results(scenes_task)[0].replicates == 0  # influence values: test_cells_large.py


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
