import numpy as np
import pytest

from swath.analysis.analyse import analyse
from swath.report.plots import cells as cell_plots
from swath.report.plots.cells import cost, front
from swath.store.storage import Storage
from tests.support.fake_store import FakeTask, FakeTrial, write_study


def test_the_front_is_what_nothing_beats():
    rng = np.random.default_rng(0)
    for _ in range(50):
        x, y = rng.integers(1, 6, (2, 12)).astype(float)
        beaten = [
            any(x[j] <= x[i] and y[j] >= y[i] and (x[j] < x[i] or y[j] > y[i]) for j in range(12)) for i in range(12)
        ]
        found = front(x, y)
        assert sorted(found) == [i for i in range(12) if not beaten[i]]
        assert (np.diff(x[found]) >= 0).all()


def test_costs_in_which_cells_do_not_differ_are_not_drawn(tmp_path, monkeypatch: pytest.MonkeyPatch):
    drawn: list[int] = []
    monkeypatch.setattr(cell_plots, "_cost_panel", lambda axes, values, scores: drawn.append(len(values)))
    trials = [FakeTrial(), FakeTrial(loss="focal", epochs=6)]
    study = write_study(Storage(str(tmp_path / "a")), [FakeTask()], {"scenes": trials}, rule="")
    assert cost(analyse(study.read().tasks[0])) is not None
    assert drawn == [2]  # device-seconds; parameters and milliseconds were not measured
    alike = [FakeTrial(), FakeTrial(loss="focal")]
    study = write_study(Storage(str(tmp_path / "b")), [FakeTask()], {"scenes": alike}, rule="")
    assert cost(analyse(study.read().tasks[0])) is None
