"""Processes that share a GPU, or have none: children of a fork server, and trials on Ray with a share each."""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from swath import Backbone, Recipe, Sweep
from swath.config.sweep import TrialResources
from swath.engine.base import Listener
from swath.engine.in_process import can_train
from swath.engine.ray_backend.engine import SETTINGS, RayEngine
from swath.engine.ray_backend.warm_processes import WarmProcess
from swath.plan.progress import Progress
from swath.training.job import Job, Report
from tests.support import forked_calls
from tests.support.fork_servers import started
from tests.support.gpu_trials import EVERYTHING, carry_out, jobs_of, only, reason

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(180)]

Note = Callable[[str, object], None]
SweepMaker = Callable[..., Sweep]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a fork server."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        process, address = started(folder)
        yield address
        process.kill()
        process.wait()


def test_children_of_a_fork_server_use_the_gpu_at_once(address: str, record_property: Note) -> None:
    first, second = WarmProcess(address), WarmProcess(address)
    try:
        assert first.call(can_train, 1.0)
        for process in (first, second, first):
            total, name = process.call(forked_calls.sum_on_gpu, 1000)
            assert (total, name) == (499500.0, torch.cuda.get_device_name())
    finally:
        first.end()
        second.end()
    record_property("measured", "two children, one GPU")


def test_a_trial_without_a_gpu_leaves_no_context(
    address: str, make_sweep: SweepMaker, tmp_path: Path, record_property: Note
) -> None:
    (job,) = jobs_of(make_sweep(preprocess=()), tmp_path)
    process = WarmProcess(address)
    try:
        reports, has_context = process.call(forked_calls.trained, replace(job, gpus=0.0))
    finally:
        process.end()
    record_property("measured", f"context: {has_context}")
    assert reports[-1].state == "COMPLETE", reports[-1].error
    assert not has_context


class Starts:
    """A listener that notes what it hears and passes it on."""

    def __init__(self, inner: Listener) -> None:
        self._inner = inner
        self.running = 0
        self.most = 0

    def started(self, fingerprint: str) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        self._inner.started(fingerprint)

    def decide(self, report: Report) -> bool:
        self.running -= report.state != "RUNNING"
        return self._inner.decide(report)

    def crashed(self, fingerprint: str, error: str) -> None:
        self.running -= 1
        self._inner.crashed(fingerprint, error)


class CountingEngine(RayEngine):
    """Ray, and the most trials that ran at a time."""

    most = 0

    def train(self, jobs: Sequence[Job], listener: Listener) -> None:
        starts = Starts(listener)
        super().train(jobs, starts)
        self.most = max(self.most, starts.most)


@pytest.fixture(scope="module")
def on_ray() -> Iterator[Callable[[Sweep, Path, float], tuple[Progress, int]]]:
    """Carries out a sweep with a share of the GPU for each trial; the most trials that ran at a time."""
    os.environ.update(SETTINGS)
    import ray

    ray.init(address="local", num_cpus=4, num_gpus=1, include_dashboard=False, log_to_driver=False)

    def carried_out(sweep: Sweep, store: Path, gpus: float) -> tuple[Progress, int]:
        with CountingEngine(TrialResources(cpus=1, gpus=gpus)) as engine:
            return carry_out(sweep, store, engine), engine.most

    yield carried_out
    ray.shutdown()


OnRay = Callable[[Sweep, Path, float], tuple[Progress, int]]


def test_a_sweep_on_ray_with_half_a_gpu_for_each_trial_is_that_in_one_process(
    make_sweep: SweepMaker, tmp_path: Path, on_ray: OnRay, record_property: Note
) -> None:
    sweep = make_sweep(preprocess=(), recipe=EVERYTHING, seeds=(0, 1))
    progress, most = on_ray(sweep, tmp_path / "ray", 0.5)
    alone = carry_out(sweep, tmp_path / "alone")
    off = 0.0
    for planned in progress.plan.trials:
        outcome, handle = progress.outcomes[planned.spec.fingerprint], progress.plan.handle(planned)
        assert outcome.state == "COMPLETE", reason(outcome)
        assert set(handle.metrics()["device"]) == {torch.cuda.get_device_name()}
        here = alone.plan.handle(planned).logits("test")[1].astype(float)
        off = max(off, float(np.abs(handle.logits("test")[1].astype(float) - here).max()))
    record_property("measured", f"{most} at once, logits differ by {off:.1e} at most")
    assert off <= 1e-2


def test_trials_that_share_a_gpu_keep_to_their_shares(
    make_sweep: SweepMaker, tmp_path: Path, on_ray: OnRay, record_property: Note
) -> None:
    share, total = 0.02, torch.cuda.get_device_properties(0).total_memory
    recipe = Recipe(epochs=6, batch_size=32, image_size=512)  # 3 to 5 GB in one pass
    sweep = make_sweep(preprocess=(), backbone=Backbone("resnet18", pretrained=False), recipe=recipe, seeds=(0, 1))
    progress, most = on_ray(sweep, tmp_path, share)
    tables = []
    for planned in progress.plan.trials:
        outcome = progress.outcomes[planned.spec.fingerprint]
        assert outcome.state == "COMPLETE", reason(outcome)
        tables.append(progress.plan.handle(planned).metrics())
    peak = max(float(table["peak_memory_bytes"].max()) for table in tables)
    sizes = [table["micro_batch"].tolist() for table in tables]
    record_property(
        "measured", f"{most} at once, {peak / 2**30:.2f} of {share * total / 2**30:.2f} GiB, images {sizes}"
    )
    assert most == 2
    assert peak <= share * total
    assert all(size < 32 for one in sizes for size in one)


def test_a_trial_on_ray_without_a_gpu_trains_on_the_cpu(
    make_sweep: SweepMaker, tmp_path: Path, on_ray: OnRay, record_property: Note
) -> None:
    progress, _ = on_ray(make_sweep(preprocess=()), tmp_path, 0.0)
    handle, outcome = only(progress)
    devices = set(handle.metrics()["device"])
    record_property("measured", ", ".join(devices))
    assert outcome.state == "COMPLETE", reason(outcome)
    assert devices == {"cpu"}
