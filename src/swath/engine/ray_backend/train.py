"""A trial of several workers: Ray Train starts them, inside the trial, and they train as a group.

The trial's own process keeps the lease and reports to Tune; it takes each report from the first worker and sends
back Tune's decision. Ray's TuneReportCallback would report, too, but a trial that Tune stops would then wait in `fit()`
for workers that never received the decision.
"""

import contextlib
import tempfile
import threading
import traceback
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any, TypeVar

import ray
from ray import train
from ray.actor import ActorHandle
from ray.exceptions import RayError
from ray.train.torch import TorchTrainer, get_device
from ray.util.placement_group import PlacementGroup, get_current_placement_group, remove_placement_group
from ray.util.queue import Empty, Queue

from swath.config.sweep import TrialResources
from swath.core.errors import SwathError
from swath.core.process import hide_gpus
from swath.engine.base import CRASHES_ALLOWED
from swath.training.job import Job, Report

T = TypeVar("T")
TRIAL_CPUS = 0.1
"""Of the trial's own process, which only waits for reports; each worker gives up as much, so that all fit a machine."""
_POLL_S = 1.0


@dataclass(frozen=True)
class _Failure:
    """What a worker reports before it ends in an error.

    Attributes:
        rank: Of the worker.
        error: In a form that can be pickled.
    """

    rank: int
    error: Exception


class _LostWorkerError(SwathError):
    """A worker's process or node ended without a report."""


class PlacementGroups:
    """The placement groups of workers by their trial. An actor of the driver, which outlives the trials' processes.

    Ray Train gives a group back when its `fit()` ends. Where a trial's process ends before, stopped at the end of a
    wave or killed, the group would keep its CPUs until the driver ends: Ray Train's own cleaner asks Ray's dashboard,
    which a Ray started for one sweep does not have.
    """

    def __init__(self) -> None:
        self._groups: dict[str, PlacementGroup] = {}

    def take(self, trial: str, group: PlacementGroup) -> None:
        """Remember a group."""
        self._groups[trial] = group

    def give_back(self, *trials: str) -> None:
        """Remove the groups of these trials, by default of all, and with them the workers that are still there."""
        for trial in trials or list(self._groups):
            if group := self._groups.pop(trial, None):
                remove_placement_group(group)  # quiet where it is gone


@contextlib.contextmanager
def placement_groups() -> Iterator[ActorHandle]:
    """An actor of `PlacementGroups` for the trials that run in the block."""
    actor: Any = ray.remote(num_cpus=0)(PlacementGroups).remote()
    try:
        yield actor
    finally:
        with contextlib.suppress(RayError):  # where Ray itself went away there is nothing to give back
            ray.get(actor.give_back.remote())
            ray.kill(actor)


def epochs(job: Job, resources: TrialResources, groups: ActorHandle) -> Generator[Report]:
    """Train with several workers, yielding after each epoch; closing the generator stops them.

    Workers that are lost are started again, from the last epoch.

    Args:
        job: The trial.
        resources: What it takes, resolved for this cluster.
        groups: The driver's `PlacementGroups`.
    """
    for left in reversed(range(CRASHES_ALLOWED + 1)):
        ray.get(groups.give_back.remote(job.spec.fingerprint))  # what a process of this trial held that was killed
        try:
            yield from _epochs(job, resources, groups)
            return
        except _LostWorkerError:
            if not left:
                raise


def _epochs(job: Job, resources: TrialResources, groups: ActorHandle) -> Generator[Report]:
    reports, words = (Queue(actor_options={"num_cpus": 0}) for _ in range(2))
    config = {"job": job, "reports": reports, "words": words, "groups": groups}
    fitting = _in_thread(lambda: _fit(config, resources))
    reported: list[_Failure] = []
    stopped = True
    try:
        while (received := _next(reports, fitting)) is not None:
            if isinstance(received, _Failure):
                reported.append(received)
                continue
            yield received
            words.put(True)
        stopped = False
    finally:
        words.put(False)
        if stopped:  # Tune may end this process before `fit()` ends
            ray.get(groups.give_back.remote(job.spec.fingerprint))
        wait([fitting])
        reports.shutdown()
        words.shutdown()
    # When a process is lost, its peers see their connections break, and report it: that is no fault of the trial's.
    failure = fitting.exception()
    silent = set(getattr(failure, "worker_failures", {})) - {f.rank for f in reported}
    if failure and (silent or not reported):
        raise _LostWorkerError(f"its workers were lost {CRASHES_ALLOWED + 1} times: {failure}") from failure
    if reported:
        raise reported[0].error  # the others fail because the first one did


def _in_thread(work: Callable[[], T]) -> Future[T]:
    """What a function returns or raises; it runs in a thread that the end of the process does not wait for."""
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(work())
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return result


def _next(reports: Queue, fitting: Future[None]) -> Report | _Failure | None:
    """What a worker reports next; None when all have ended and everything was received."""
    while True:
        ended = fitting.done()
        try:
            return reports.get(timeout=_POLL_S)
        except Empty:
            if ended:
                return None


def _fit(config: dict[str, Any], resources: TrialResources) -> None:
    with tempfile.TemporaryDirectory(prefix="swath-train-", ignore_cleanup_errors=True) as scratch:
        TorchTrainer(
            _work,
            train_loop_config=config,
            scaling_config=train.ScalingConfig(
                num_workers=resources.workers,
                use_gpu=resources.gpus_per_worker > 0,
                resources_per_worker={"CPU": resources.cpus - TRIAL_CPUS, "GPU": resources.gpus_per_worker},
            ),
            run_config=train.RunConfig(name=config["job"].spec.fingerprint, storage_path=scratch),
        ).fit()


def _work(config: dict[str, Any]) -> None:
    """One worker."""
    import torch

    from swath.models import device
    from swath.training.distributed import WorkerGroup
    from swath.training.trial import train_in_group

    reports, words = config["reports"], config["words"]
    hide_gpus(config["job"].gpus)
    if config["job"].gpus:
        torch.cuda.set_device(get_device())
    context = train.get_context()
    group = WorkerGroup(context.get_world_rank(), context.get_world_size())
    if group.rank == 0:
        ray.get(config["groups"].take.remote(config["job"].spec.fingerprint, get_current_placement_group()))

    def send(report: Report) -> bool:
        reports.put(report)
        return words.get()

    try:
        train_in_group(config["job"], group, send)
    except Exception as error:
        if device.responds():  # else this worker is lost, and all are started again
            reports.put(_Failure(group.rank, _portable(error)))
        raise


def _portable(error: Exception) -> Exception:
    """The error in a form that can be pickled: those of other packages may hold what cannot."""
    if isinstance(error, SwathError):
        return error
    return SwathError(f"{type(error).__name__}: {error}\n{''.join(traceback.format_exception(error))}")
