"""Trials added after a report: it was a look at the sweep, and the next verdicts pay for it."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats

from swath.analysis.analyse import analyse
from swath.analysis.effects.intervals import Estimate
from swath.analysis.effects.paired_effects import Effect
from swath.analysis.load import read_results
from swath.analysis.results import TaskResults
from swath.report.write import write_report
from swath.store.looks import read_looks
from swath.store.storage import Storage
from tests.support.fake_store import CHAINS, LOSSES, FakeTask, FakeTrial, Study, write_study


def study(folder: Path, seeds: int, **more: str) -> Study:
    """Sharpening helps, the loss does nothing; written again with more seeds, as a sweep that goes on."""
    trials = [
        FakeTrial(p, loss=n, seed=s, quality=0.6 + 0.3 * (p != "raw"), **more)  # type: ignore[arg-type]
        for s, p, n in itertools.product(range(seeds), CHAINS, LOSSES)
    ]
    return write_study(Storage(str(folder)), [FakeTask(train=600)], {"scenes": trials}, rule="")


def effects(task: TaskResults) -> dict[str, Effect]:
    """Effects by factor; each has one level."""
    return {e.factor: e for e in analyse(task).effects.effects}


def half(e: Estimate, level: float) -> float:
    """Half an interval of a level by its formula: Student's t of each variance's own degrees of freedom."""
    tail = (1 - level) / 2
    by_images = stats.t.isf(tail, e.image_df) ** 2 * e.image_variance
    return float((by_images + stats.t.isf(tail, e.df) ** 2 * e.seed_variance) ** 0.5)


def test_a_report_is_a_look_and_the_next_with_more_seeds_pays_for_it(tmp_path: Path) -> None:
    store, out = tmp_path / "store", tmp_path / "report"
    first = study(store, seeds=3)
    assert first.read().tasks[0].looks == 1
    for _ in range(2):  # the same seeds again are the same look
        text = write_report(first.storage, "study", out).read_text()
        assert "this is look" not in " ".join(text.split())
        assert [look.seeds for look in read_looks(first.storage, "study")] == [(0, 1, 2)]
        assert first.read().tasks[0].looks == 1

    study(store, seeds=4)
    task = read_results(first.storage, "study").tasks[0]
    assert task.looks == 2
    paid, free = effects(task), effects(replace(task, looks=1))
    assert free["preprocess"].adjusted_p < 1 / 6 < free["loss"].adjusted_p
    for factor in ("preprocess", "loss"):
        now, before = paid[factor], free[factor]
        assert now.adjusted_p == pytest.approx(min(1, 6 * before.adjusted_p))
        assert now.equivalence_p == pytest.approx(min(1, 6 * before.equivalence_p))
        assert now.estimate is not None
        assert before.estimate is not None
        assert now.estimate.p == before.estimate.p  # the comparison's own
        assert before.estimate.high - before.estimate.difference == pytest.approx(half(before.estimate, 0.95))
        assert now.estimate.high - now.estimate.difference == pytest.approx(half(now.estimate, 1 - 0.05 / 6))
        assert now.estimate.low < before.estimate.low < before.estimate.high < now.estimate.high

    text = " ".join(write_report(first.storage, "study", out).read_text().split())
    assert "Trials were added after a report had given verdicts; this is look 2." in text
    assert "p is multiplied by 6" in text
    assert "intervals of effects hold 99.17 %" in text
    kept = json.loads((out / "report.json").read_text())["tasks"][0]["effects"]
    assert {f["factor"]: f["levels"][0]["p"] for f in kept} == pytest.approx(
        {f: min(1, 6 * e.adjusted_p) for f, e in free.items()}
    )
    assert [look.seeds for look in read_looks(first.storage, "study")] == [(0, 1, 2), (0, 1, 2, 3)]


def test_a_report_without_intervals_is_no_look(tmp_path: Path) -> None:
    written = study(tmp_path / "store", seeds=1, streams="common")
    assert {e.verdict for e in effects(written.read().tasks[0]).values()} == {"no interval"}
    write_report(written.storage, "study", tmp_path / "report")
    assert read_looks(written.storage, "study") == ()
