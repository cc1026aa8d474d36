"""Trials on Ray begin in processes forked on their node, by a server that outlives the sweep."""

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

from swath import Backbone, Recipe, Sweep
from swath.config.sweep import TrialResources
from swath.core.errors import InputError
from swath.engine import in_process as alone
from swath.engine.base import Engine, Listener, Probe
from swath.engine.driver import run
from swath.engine.ray_backend import warm_processes as warm
from swath.engine.ray_backend.engine import RayEngine
from swath.store.storage import Locations
from swath.training.job import Job
from tests.support.planned import planned_sweep

SweepMaker = Callable[..., Sweep]


class Watched(RayEngine):
    """Remembers the process that each trial trained in, and that one's parent."""

    parents: set[int]

    def __init__(self, store: Path) -> None:
        super().__init__(TrialResources(cpus=1))
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
            progress = planned_sweep(make_sweep(seeds=(seed,)), Locations.of(str(tmp_path)))
            assert run(progress, engine, lambda line: None) == 2
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
def test_drivers_of_one_code_share_the_server_that_was_started_for_the_first(ray_engine: RayEngine) -> None:
    import ray

    ray_engine.get_ready(2)
    key = ray_engine._key
    addresses = set()
    for _ in range(2):
        with RayEngine(TrialResources(cpus=1)) as engine:
            (host,) = engine._hosts(2)
            addresses.add(ray.get(host.address.remote()))

    def as_trial() -> int:
        from swath.engine.ray_backend.warm_processes import own_process

        process = own_process(key, 0.0)
        assert process is not None
        return process.call(os.getppid)

    # Tune gives the actors of trials an environment of their own.
    task = ray.remote(num_cpus=0, runtime_env={"env_vars": {"PL_DISABLE_FORK": "1"}})(as_trial)
    server = ray.get(host.call.remote(os.getppid))
    assert ray.get(task.remote()) == server
    assert len(addresses) == 1


def test_other_code_another_environment_and_an_installation_are_other_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "site-packages"
    packages.mkdir()
    monkeypatch.syspath_prepend(str(packages))
    (tmp_path / "swath").mkdir()
    file = tmp_path / "swath" / "train.py"
    file.write_text("epochs = 1")

    def key(environment: str = "{}") -> str:
        return warm.code_key(environment, tmp_path / "swath")

    first = key()
    assert key() == first
    assert key('{"working_dir": "gcs://other.zip"}') != first
    file.write_text("epochs = 2")
    edited = key()
    assert edited != first
    (packages / "torch-9.dist-info").mkdir()
    assert key() != edited


@pytest.mark.ray
def test_a_trial_that_was_given_a_gpu_which_a_fork_cannot_reach_trains_in_its_own_process(
    ray_engine: RayEngine,
) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("here it can be reached")
    import ray

    key = ray_engine._key

    def found(gpus: float) -> bool:
        from swath.engine.ray_backend.warm_processes import own_process

        return own_process(key, gpus) is not None

    task = ray.remote(num_cpus=0)(found)
    assert ray.get(task.remote(0.0))
    assert not ray.get(task.remote(1.0))


@pytest.mark.ray
def test_weights_are_looked_for_in_a_forked_process(
    make_sweep: SweepMaker, tmp_path: Path, ray_engine: RayEngine
) -> None:
    import ray

    weights = tmp_path / "broken.safetensors"
    weights.write_bytes(b"no weights")
    backbone = Backbone("test_resnet", weights=str(weights))
    (host,) = ray_engine._hosts(1)
    assert "broken.safetensors" in ray.get(host.call.remote(alone.probe, Probe(backbone, 32)))
    progress = planned_sweep(
        make_sweep(backbone=backbone, recipe=Recipe(epochs=1, image_size=32)), Locations.of(str(tmp_path / "store"))
    )
    with pytest.raises(InputError, match=r"broken\.safetensors"):
        run(progress, ray_engine, lambda line: None)
    assert not (tmp_path / "store" / "cache").exists(), "before anything is built"
