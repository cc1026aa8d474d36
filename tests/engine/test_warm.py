"""Trials on Ray begin in processes forked on their node, by a server that outlives the sweep."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

from swath import Backbone, Recipe, Sweep
from swath.engine.base import Engine, Listener
from swath.engine.cluster import RayEngine
from swath.engine.drive import run
from swath.errors import InputError
from swath.places import Places
from swath.plan import make_plan
from swath.sweep import Resources
from swath.trial_job import Job

SweepMaker = Callable[..., Sweep]


class Watched(RayEngine):
    """Remembers the process that each trial trained in, and that one's parent."""

    parents: set[int]

    def __init__(self, store: Path) -> None:
        super().__init__(Resources(cpus=1))
        self._store, self.parents, self.pids = store, set(), set()

    def train(self, jobs: Sequence[Job], listener: Listener) -> None:
        inner = listener.decide

        def decide(report):  # type: ignore[no-untyped-def]
            for lease in self._store.glob("trials/*/lease.json"):
                pid = json.loads(lease.read_text())["pid"]
                self.pids.add(pid)
                self.parents.add(psutil.Process(pid).ppid())
            return inner(report)

        listener.decide = decide  # type: ignore[method-assign]
        super().train(jobs, listener)


@pytest.mark.ray
def test_two_sweeps_train_in_children_of_one_server(make_sweep: SweepMaker, tmp_path: Path, ray_engine: Engine) -> None:
    parents, pids = [], []
    for seed in (1, 2):
        with Watched(tmp_path) as engine:
            plan = make_plan(make_sweep(seeds=(seed,)), Places.of(str(tmp_path)))
            assert run(plan, engine, lambda line: None) == 2
        parents.append(engine.parents)
        pids.append(engine.pids)
    assert parents[0] == parents[1]
    assert len(parents[0]) == 1
    (server,) = parents[0]
    assert "fork_server" in " ".join(psutil.Process(server).cmdline())
    assert not pids[0] & pids[1]
    deadline = time.monotonic() + 20  # Tune ends its actors after the sweep, and their processes end with them
    while any(map(psutil.pid_exists, pids[0] | pids[1])):
        assert time.monotonic() < deadline, "trials' processes end with the sweep"
        time.sleep(0.1)


@pytest.mark.ray
def test_other_code_or_another_runtime_environment_is_another_server(ray_engine: Engine) -> None:
    import ray

    from swath.engine import warm

    def key() -> str:
        from swath.engine.warm import code_key

        return code_key()

    here = warm.code_key()
    task = ray.remote(num_cpus=0)(key)
    assert ray.get(task.remote()) == here
    assert ray.get(task.options(runtime_env={"env_vars": {"ANOTHER": "1"}}).remote()) != here


@pytest.mark.ray
def test_a_trial_that_was_given_a_gpu_which_a_fork_cannot_reach_trains_in_its_own_process(ray_engine: Engine) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("here it can be reached")
    import ray

    def found(gpus: float) -> bool:
        from swath.engine.warm import own_process

        return own_process(gpus) is not None

    task = ray.remote(num_cpus=0)(found)
    assert ray.get(task.remote(0.0))
    assert not ray.get(task.remote(1.0))


@pytest.mark.ray
def test_weights_are_looked_for_in_a_forked_process(make_sweep: SweepMaker, tmp_path: Path, ray_engine: Engine) -> None:
    weights = tmp_path / "broken.safetensors"
    weights.write_bytes(b"no weights")
    sweep = make_sweep(backbone=Backbone("test_resnet", weights=str(weights)), recipe=Recipe(epochs=1, image_size=32))
    plan = make_plan(sweep, Places.of(str(tmp_path / "store")))
    with pytest.raises(InputError, match=r"broken\.safetensors"):
        run(plan, ray_engine, lambda line: None)
    assert not (tmp_path / "store" / "cache").exists(), "before anything is built"
