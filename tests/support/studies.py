"""Sweeps written once and read by many tests."""

import pytest

from swath.analysis.results import TaskResults
from swath.store.storage import Storage
from tests.support.fake_store import FakeTask, FakeTrial, Study, scene_trials, write_study


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """One multi-label task, all states; a bad test image."""
    storage = Storage(str(tmp_path_factory.mktemp("scenes")))
    task = FakeTask(bad=("scenes0125",))
    return write_study(storage, [task], {"scenes": scene_trials()})


@pytest.fixture(scope="session")
def scenes_task(scenes: Study) -> TaskResults:
    return scenes.read().tasks[0]


@pytest.fixture(scope="session")
def two_tasks(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A multi-label and a single-label task in one sweep, everything finished."""
    storage = Storage(str(tmp_path_factory.mktemp("two")))
    birds = FakeTask("birds", "multiclass", "macro_f1", ("owl", "wren", "kite"), bad=("birds0121",), columns=("label",))
    trials = [
        FakeTrial(loss=loss, seed=seed, quality=q, epochs=3)
        for seed in (0, 1)
        for loss, q in (("bce", 1.0), ("focal", 1.4))
    ]
    return write_study(storage, [FakeTask(), birds], {"scenes": trials, "birds": trials}, rule="")
