"""A trial of several workers: Ray Train starts them, inside the trial, and they train as a team.

The trial's own process keeps the lease and speaks with Tune; it takes each report from the first worker and hands
back Tune's word. Ray's TuneReportCallback would report, too, but a trial that Tune stops would then wait in `fit()`
for workers that were never told.
"""

import tempfile
import threading
import traceback
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from ray import train
from ray.train.torch import TorchTrainer, get_device
from ray.util.queue import Empty, Queue

from swath.engine.base import CRASHES_ALLOWED, PerTrial
from swath.errors import SwathError
from swath.trial_job import Job, Report

TRIAL_CPUS = 0.1
"""Of the trial's own process, which only listens; each worker gives up as much, so that all fit a machine."""
_POLL_S = 1.0


@dataclass(frozen=True)
class _Failure:
    """What a worker says before it ends in an error.

    Attributes:
        rank: Of the worker.
        error: As it can travel.
    """

    rank: int
    error: Exception


class _LostWorkerError(SwathError):
    """A worker's process or node went away without a word."""


def epochs(job: Job, per_trial: PerTrial) -> Generator[Report]:
    """Train with several workers, yielding after each epoch; closing the generator stops them.

    Workers that are lost are started again, from the last epoch.
    """
    for left in reversed(range(CRASHES_ALLOWED + 1)):
        try:
            yield from _epochs(job, per_trial)
            return
        except _LostWorkerError:
            if not left:
                raise


def _epochs(job: Job, per_trial: PerTrial) -> Generator[Report]:
    reports, words = (Queue(actor_options={"num_cpus": 0}) for _ in range(2))
    failures: list[Exception] = []
    fitting = threading.Thread(target=_fit, args=(job, per_trial, reports, words, failures), daemon=True)
    fitting.start()
    told: list[_Failure] = []
    try:
        while (heard := _next(reports, fitting)) is not None:
            if isinstance(heard, _Failure):
                told.append(heard)
                continue
            yield heard
            words.put(True)
    finally:
        words.put(False)
        fitting.join()
        reports.shutdown()
        words.shutdown()
    # When a process is lost, its peers see their connections break, and say so: that is no fault of the trial's.
    silent = {rank for error in failures for rank in getattr(error, "worker_failures", {})} - {f.rank for f in told}
    if failures and (silent or not told):
        raise _LostWorkerError(f"its workers were lost {CRASHES_ALLOWED + 1} times: {failures[0]}") from failures[0]
    if told:
        raise told[0].error  # the others fail because the first one did


def _next(reports: Queue, fitting: threading.Thread) -> Report | _Failure | None:
    """What a worker says next; None when all have ended and everything was heard."""
    while True:
        ended = not fitting.is_alive()
        try:
            return reports.get(timeout=_POLL_S)
        except Empty:
            if ended:
                return None


def _fit(job: Job, per_trial: PerTrial, reports: Queue, words: Queue, failures: list[Exception]) -> None:
    try:
        with tempfile.TemporaryDirectory(prefix="swath-train-", ignore_cleanup_errors=True) as scratch:
            TorchTrainer(
                _work,
                train_loop_config={"job": job, "reports": reports, "words": words},
                scaling_config=train.ScalingConfig(
                    num_workers=per_trial.workers,
                    use_gpu=per_trial.gpus > 0,
                    resources_per_worker={"CPU": per_trial.cpus - TRIAL_CPUS, "GPU": per_trial.gpus},
                ),
                run_config=train.RunConfig(name=job.spec.fingerprint, storage_path=scratch),
            ).fit()
    except Exception as error:
        failures.append(error)


def _work(config: dict[str, Any]) -> None:
    """One worker."""
    import torch

    from swath.team import Team
    from swath.trial import train_in_team

    reports, words = config["reports"], config["words"]
    if torch.cuda.is_available():
        torch.cuda.set_device(get_device())
    context = train.get_context()
    team = Team(context.get_world_rank(), context.get_world_size())

    def tell(report: Report) -> bool:
        reports.put(report)
        return words.get()

    try:
        train_in_team(config["job"], team, tell)
    except Exception as error:
        reports.put(_Failure(team.rank, _portable(error)))
        raise


def _portable(error: Exception) -> Exception:
    """The error as it can travel: those of other packages may hold what cannot be pickled."""
    if isinstance(error, SwathError):
        return error
    return SwathError(f"{type(error).__name__}: {error}\n{''.join(traceback.format_exception(error))}")
