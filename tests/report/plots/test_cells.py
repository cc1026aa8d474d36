import pytest

from swath.analysis.analyse import analyse
from swath.report.plots import cells as cell_plots
from swath.report.plots.cells import cost
from swath.store.storage import Storage
from tests.support.fake_store import FakeTask, FakeTrial, write_study


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
