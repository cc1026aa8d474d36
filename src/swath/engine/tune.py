"""Trials on Ray Tune: reused actors, one thin scheduler around the driver's decision. No Tune checkpoints.

A trial's state is in swath's own store, so Tune keeps nothing that grows with the number of trials.
"""

import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from ray import tune
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from swath.engine.base import Decide
from swath.trial_job import Job, Report

CRASHES_ALLOWED = 2
"""How often a trial whose process or node was lost is started again from its last epoch."""


class _Driver(FIFOScheduler):
    """Hands every report to the driver and stops what it says."""

    def __init__(self, decide: Decide, crashed: Callable[[str, str], None]) -> None:
        super().__init__()
        self._decide = decide
        self._crashed = crashed

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its scheduler into snapshots, and swath resumes from its own store."""
        return {}

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> str:
        report = Report(**{f.name: result[f.name] for f in dataclasses.fields(Report)})
        return TrialScheduler.CONTINUE if self._decide(report) else TrialScheduler.STOP

    def on_trial_error(self, tune_controller: Any, trial: TuneTrial) -> None:
        error = trial.get_error()
        self._crashed(trial.config["fingerprint"], f"{type(error).__name__}: {error}" if error else "process lost")


def _run(config: dict[str, Any], jobs: dict[str, Job]) -> None:
    from swath.trial import run_trial

    run_trial(jobs[config["fingerprint"]], lambda report: tune.report(dataclasses.asdict(report)))


def train(
    jobs: Sequence[Job], decide: Decide, crashed: Callable[[str, str], None], resources: dict[str, float]
) -> None:
    """Run all jobs, as many at once as the resources of the cluster allow.

    Args:
        jobs: In the order they should start.
        decide: See `engine.base`.
        crashed: Hears of a trial whose process was lost more than `CRASHES_ALLOWED` times.
        resources: Of one trial, `{"cpu": 1, "gpu": 0.5}`.
    """
    by_fingerprint = {job.spec.fingerprint: job for job in jobs}
    trainable = tune.with_resources(tune.with_parameters(_run, jobs=by_fingerprint), resources)
    with tempfile.TemporaryDirectory(prefix="swath-tune-", ignore_cleanup_errors=True) as scratch:
        tuner = tune.Tuner(
            trainable,
            param_space={"fingerprint": tune.grid_search(list(by_fingerprint))},
            tune_config=tune.TuneConfig(reuse_actors=True, scheduler=_Driver(decide, crashed)),
            run_config=tune.RunConfig(
                name="sweep",
                storage_path=scratch,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=CRASHES_ALLOWED),
            ),
        )
        tuner.fit()
