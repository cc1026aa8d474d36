"""Ensembles that keep a bound on what predicting an image costs, against brute force."""

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from swath.analysis.ensembles.cross_fit import ensembles, named_ensemble
from swath.analysis.ensembles.pool import Pool
from swath.analysis.ensembles.rules import (
    PATIENCE,
    PICKS,
    best,
    best_per_level,
    everyone,
    greedy,
    greedy_counts,
    top,
    weighted,
)
from swath.analysis.submissions.predict import predict
from swath.cli import main as cli
from swath.core.errors import InputError
from swath.report.write import write_results
from swath.store.storage import Storage
from swath.store.trials import Trial
from tests.analysis.ensembles.test_rules import macro_ap, make_view
from tests.support.fake_store import FakeTask, FakeTrial, write_study

COSTS = (1.0, 5.0, 2.0, 8.0, 3.0, 9.0)  # by quality, the worst first
RULES = (best, everyone, greedy, weighted, lambda v: top(v, 3), lambda v: best_per_level(v, "backbone"))


def cost(members) -> float:
    return sum(COSTS[m] for m in set(members))


@pytest.mark.parametrize("bound", [9.0, 11.0, 14.0, 20.0, 28.0])
def test_every_rule_keeps_the_bound_and_leaves_nothing_out_that_fits(bound: float):
    view = replace(make_view(), costs=COSTS, bound=bound)
    for rule in RULES:
        assert cost(rule(view).members) <= bound
    taken = everyone(view).members
    affordable = [s for k in range(1, 7) for s in itertools.combinations(range(6), k) if cost(s) <= bound]
    assert tuple(sorted(taken)) in affordable
    assert not any(set(taken) < set(other) for other in affordable)
    singles = [macro_ap(view.targets, view.probabilities[m]) for m in range(6)]
    assert top(view, 1).members == (int(np.argmax(singles)),)
    kept = [m for m in view.order if m in taken]
    assert top(view, 2).members == tuple(kept[:2])


def naive_greedy(view) -> list[int]:
    """Every addition tried, and dropped when the set of members then costs more than the bound."""
    order = [m for m in view.order.tolist() if COSTS[m] <= view.bound]
    start, picks = [], []
    for m in order[:5]:
        start += [m] if cost([*start, m]) <= view.bound else []
    scores = [view.score(view.probabilities[start[:k]].mean(axis=0)) for k in range(1, len(start) + 1)]
    picks = start[: int(np.argmax(scores)) + 1]
    best_score, best_length = max(scores), len(picks)
    while len(picks) < PICKS and len(picks) - best_length < PATIENCE:
        tried = {
            m: view.score(view.probabilities[[*picks, m]].mean(axis=0))
            for m in order
            if cost([*picks, m]) <= view.bound
        }
        picks.append(max(tried, key=lambda m: tried[m]))
        if tried[picks[-1]] > best_score:
            best_score, best_length = tried[picks[-1]], len(picks)
    return np.bincount(picks[:best_length], minlength=6).tolist()


@pytest.mark.parametrize(("bound", "seed"), [(9.0, 0), (12.0, 1), (17.0, 2), (100.0, 3)])
def test_bounded_greedy_is_greedy_among_what_fits(bound: float, seed: int):
    view = replace(make_view(metric="macro_f1", seed=seed), costs=COSTS, bound=bound)
    assert greedy_counts(view).tolist() == naive_greedy(view)


def test_many_candidates_share_one_bag_under_a_bound():
    view = make_view(candidates=14)
    view = replace(view, costs=(2.0,) * 14, bound=7.0)
    assert 1 <= np.count_nonzero(greedy_counts(view)) <= 3


@pytest.fixture
def study(tmp_path: Path) -> Storage:
    """Two folds and two seeds of two cells; the better costs 30 ms a fold, the other 4; a third was not measured."""
    trials = [
        FakeTrial(chain, seed=seed, fold=fold, quality=quality)
        for chain, quality in (("raw", 0.8), ("grayscale|sharpen", 1.5))
        for seed in (0, 1)
        for fold in (0, 1)
    ]
    trials += [FakeTrial(loss="focal", fold=fold, quality=2.0) for fold in (0, 1)]
    task = FakeTask(folds=2)
    found = write_study(Storage(str(tmp_path)), [task], {"scenes": trials}, rule="")
    for trial in trials:
        handle = Trial(found.storage, trial.spec(task).fingerprint)
        if trial.loss == "bce":
            handle.write_metrics(handle.metrics().assign(ms_per_image=4.0 if trial.preprocess == "raw" else 30.0))
    return found.storage


def test_folds_count_and_unmeasured_runs_are_no_candidates(study: Storage, tmp_path: Path):
    from swath.analysis.load import read_results

    results = read_results(study, "study")
    (task,) = results.tasks
    cheap = Pool.of(task, 20.0)
    assert {run.cell for run in cheap.runs} == {"raw / resnet18 / bce"}
    assert [run.ms_per_image for run in cheap.runs] == [8.0, 8.0]
    for name, bound, members in (("all", 16.0, 2), ("all", 15.9, 1), ("all", 76.0, 3), ("all", 136.0, 4)):
        found = next(e for e in ensembles(Pool.of(task, bound)) if e.name == name)
        assert (len(found.members), found.ms_per_image <= bound) == (members, True)
        assert len(named_ensemble(Pool.of(task, bound), name).members) == members
    assert any("focal" in run.cell for run in Pool.of(task).runs)
    with pytest.raises(InputError, match="the cheapest takes 8 ms"):
        Pool.of(task, 7.9)
    write_results(results, tmp_path / "out", 20.0)
    assert "only ensembles of 20 ms or less" in (tmp_path / "out" / "leaderboard.md").read_text()


def test_predict_and_report_take_the_bound(study: Storage, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "s.csv"
    words = ["predict", "study", "--storage", study.root, "--out", str(out), "--max-ms-per-image"]
    cli.command([*words, "16"])
    cheap = pd.read_csv(out)
    predict(study, "study", "raw / resnet18 / bce", tmp_path / "cell.csv")
    assert cheap.equals(pd.read_csv(tmp_path / "cell.csv")), "the two cheap runs are all that fits"
    for named in ("grayscale|sharpen / resnet18 / bce", "raw / resnet18 / focal"):
        with pytest.raises(InputError, match="members of"):
            predict(study, "study", named, out, max_ms=20.0)
    assert math.isinf(make_view().bound)
    with pytest.raises(SystemExit):
        cli.command([*words, "-1"])
    assert "above 0" in capsys.readouterr().err
