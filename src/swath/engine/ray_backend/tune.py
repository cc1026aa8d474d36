"""Trials on Ray Tune: reused actors, one thin scheduler around the driver's decision. No Tune checkpoints.

A trial's state is in swath's own store, so Tune keeps nothing that grows with the number of trials.
"""

import dataclasses
import functools
import os
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from ray import tune
from ray.actor import ActorHandle
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from swath.config.sweep import TrialResources
from swath.core.errors import SwathError
from swath.engine.base import CRASHES_ALLOWED, Listener
from swath.engine.in_process import train_alone
from swath.engine.ray_backend import warm_processes as warm
from swath.engine.ray_backend.trackers import Tracking, folder_name
from swath.training.job import Job, Report


class _Unpickled:
    """Tune pickles its scheduler and callbacks into snapshots; swath resumes from its own store and needs none."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Scheduler(_Unpickled, FIFOScheduler):
    """Hands every report to the driver and stops the trials that it decides to stop."""

    def __init__(self, listener: Listener) -> None:
        super().__init__()
        self._listener = listener

    def on_trial_result(self, tune_controller: TuneController, trial: TuneTrial, result: dict[str, Any]) -> str:
        # Tune has spread `numbers` over the result; they are for trackers alone.
        report = Report(**{f.name: result[f.name] for f in dataclasses.fields(Report) if f.name in result})
        return TrialScheduler.CONTINUE if self._listener.decide(report) else TrialScheduler.STOP


class _Events(_Unpickled, tune.Callback):
    """Reports to the driver what runs, and what was lost for good; a scheduler also sees losses that are made good."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def on_trial_start(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        self._listener.started(trial.config["trial"]["fingerprint"])

    def on_trial_error(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        error_text = Path(trial.error_file).read_text() if trial.error_file else ""
        fingerprint = trial.config["trial"]["fingerprint"]
        self._listener.crashed(fingerprint, f"{error_text}its process was lost {CRASHES_ALLOWED + 1} times")


def _run(
    config: dict[str, Any], jobs: dict[str, Job], resources: TrialResources, groups: ActorHandle | None, key: str
) -> None:
    """A trial, in its actor; `groups` is None where it has one worker."""
    # A stopped trial may be slow to let go of its lease on an object store; by default Ray would give up on it after
    # two seconds and take the next trial of this actor with it.
    os.environ.setdefault("TUNE_FUNCTION_THREAD_TIMEOUT_S", "600")
    job = jobs[config["trial"]["fingerprint"]]
    if groups is not None:
        from swath.engine.ray_backend import train as workers
        from swath.training.trial import run_trial

        run_trial(job, _report, functools.partial(workers.epochs, resources=resources, groups=groups))
    elif process := warm.own_process(key, resources.gpus_per_worker):
        try:
            process.call(train_alone, job, hear=_report)
        except SwathError:  # it was lost, or its GPU was: a trial's own failure is in its last report
            process.end()
            warm.own_process.cache_clear()
            raise
    else:
        train_alone(job, _report)


def _report(report: Report) -> None:
    # Trackers take `timesteps_total` for the step; Tune's own count starts at 1 again after a restart.
    tune.report({**dataclasses.asdict(report), "timesteps_total": report.epoch})


def train(
    jobs: Sequence[Job],
    listener: Listener,
    *,
    resources: TrialResources,
    trials_at_once: int,
    tracking: Tracking,
    key: str,
) -> None:
    """Run all jobs, as many at once as the resources of the cluster allow.

    Args:
        jobs: In the order they should start.
        listener: Notified of a crash only after a trial's process was lost more than `CRASHES_ALLOWED` times.
        resources: What each takes, resolved for this cluster.
        trials_at_once: Trials of several workers that the cluster has room for; 0 leaves the counting to Tune.
        tracking: Experiment trackers that get the trials as well.
        key: The driver's `warm.code_key`.
    """
    by_fingerprint = {job.spec.fingerprint: job for job in jobs}
    descriptions = [{"fingerprint": fingerprint, **job.described} for fingerprint, job in by_fingerprint.items()]
    with (
        tempfile.TemporaryDirectory(prefix="swath-tune-", ignore_cleanup_errors=True) as scratch,
        _placement_groups(resources) as groups,
    ):
        trainable = tune.with_parameters(_run, jobs=by_fingerprint, resources=resources, groups=groups, key=key)
        tuner = tune.Tuner(
            tune.with_resources(trainable, _tune_resources(resources)),
            param_space={"trial": tune.grid_search(descriptions)},
            tune_config=tune.TuneConfig(
                reuse_actors=True,
                scheduler=_Scheduler(listener),
                max_concurrent_trials=trials_at_once or None,
                trial_name_creator=lambda trial: folder_name(trial.config["trial"]),
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name="sweep",
                storage_path=scratch,
                verbose=0,
                callbacks=[_Events(listener), *tracking.callbacks()],
                failure_config=tune.FailureConfig(max_failures=CRASHES_ALLOWED),
            ),
        )
        tuner.fit()


def _placement_groups(resources: TrialResources) -> AbstractContextManager[ActorHandle | None]:
    """The actor of the placement groups of workers; none where trials train in their own processes."""
    if resources.workers > 1:
        from swath.engine.ray_backend.train import placement_groups

        return placement_groups()
    return nullcontext()


def _tune_resources(resources: TrialResources) -> dict[str, float]:
    """Of the trial's own process; workers take theirs when it starts them."""
    if resources.workers > 1:
        from swath.engine.ray_backend.train import TRIAL_CPUS

        return {"cpu": TRIAL_CPUS}
    return {"cpu": resources.cpus, "gpu": resources.gpus_per_worker}
