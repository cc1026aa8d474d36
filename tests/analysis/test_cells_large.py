"""Intervals of many images: from influence values instead of leaving images out, and the same."""

import pytest

from swath.analysis import cells
from swath.analysis import score_intervals as image_intervals
from swath.store.storage import Storage
from tests.support.fake_store import FakeTask, FakeTrial, write_study


def test_large_tasks_have_the_interval_of_the_jackknife(tmp_path, monkeypatch: pytest.MonkeyPatch):
    trials = [FakeTrial(seed=s, fold=f) for s in (0, 1) for f in (0, 1)]
    study = write_study(Storage(str(tmp_path)), [FakeTask(train=1200, folds=2)], {"scenes": trials}, rule="")
    task = study.read().tasks[0]
    (drawn,) = cells.cell_results(task)
    monkeypatch.setattr(image_intervals, "_LARGE", 10)
    (found,) = cells.cell_results(task)
    assert (drawn.blocks, found.blocks) == (600, 0)
    assert found.high - found.low == pytest.approx(drawn.high - drawn.low, rel=0.1)
    assert (found.low, found.high) == pytest.approx((drawn.low, drawn.high), abs=0.01)
