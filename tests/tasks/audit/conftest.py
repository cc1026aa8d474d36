from collections.abc import Callable

import pytest

from swath import Sweep, holdout
from swath.config.task import Task
from swath.tasks.audit.run import audit, audited_task
from swath.tasks.prepare import plan_task
from tests.support.planted_data import Audited, Planted, plant


@pytest.fixture(scope="session")
def run_audit(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Task], Audited]:
    def run(task: Task) -> Audited:
        memory = tmp_path_factory.mktemp("memory")
        plan = plan_task(task, Sweep("audited", task, holdout(0.25, seed=0)), memory)
        scanned = audited_task(plan, lambda line: None)
        return Audited(audit(plan, scanned, lambda line: None), scanned)

    return run


@pytest.fixture(scope="session")
def synthetic_root(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("synthetic"))


@pytest.fixture(scope="session")
def planted(synthetic_root: str, tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return plant(synthetic_root, tmp_path_factory.mktemp("planted"))
