"""An engine whose trials report scripted scores: scheduling is tested without training."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from swath.config.trial_spec import TrialSpec
from swath.engine.base import Listener
from swath.engine.inline import InlineEngine
from swath.store import tasks as tasks_
from swath.store.storage import Storage
from swath.store.trials import Trial, outcome_of
from swath.training.job import Job, Report

Score = Callable[[TrialSpec, int], float]


class ScriptedEngine(InlineEngine):
    """Writes what a trial writes, in the jobs' order; `ran` collects (spec, last epoch, state)."""

    def __init__(self, score: Score) -> None:
        self.score = score
        self.ran: list[tuple[TrialSpec, int, str]] = []
        self.waves: list[int] = []

    def train(self, jobs: Sequence[Job], listener: Listener) -> None:
        self.waves.append(len(jobs))
        for job in jobs:
            listener.started(job.spec.fingerprint)
            self.ran.append((job.spec, *self._trial(job, listener)))

    def _trial(self, job: Job, listener: Listener) -> tuple[int, str]:
        storage, spec = Storage(job.storage), job.spec
        trial = Trial(storage, spec.fingerprint)
        trial.begin(spec)
        record = tasks_.read_task(storage, spec.data)
        folds = tasks_.read_folds(storage, spec.data, spec.split.canonical())
        val = np.flatnonzero(folds == spec.fold)
        rows = []
        for epoch in range(1, spec.recipe.epochs + 1):
            score = self.score(spec, epoch)
            if np.isinf(score):
                trial.finish(outcome_of("FAILED", pd.DataFrame(rows), error="scripted"))
                listener.decide(Report(spec.fingerprint, epoch - 1, float("nan"), "FAILED", error="scripted"))
                return epoch - 1, "FAILED"
            rows.append({"epoch": epoch, "score": score, "seconds": 1.0})
            trial.write_metrics(pd.DataFrame(rows))
            final = epoch == spec.recipe.epochs
            if final or epoch in job.keep_epochs:
                logits = score * record.targets[val] + np.random.default_rng(epoch).random((len(val), 3))
                trial.write_logits(f"val/{epoch}", record.rows["id"].to_numpy(str)[val], logits.astype(np.float16))
            if final:
                trial.finish(outcome_of("COMPLETE", pd.DataFrame(rows)))
            if not listener.decide(Report(spec.fingerprint, epoch, score, "COMPLETE" if final else "RUNNING")):
                return epoch, "STOPPED"
        return spec.recipe.epochs, "COMPLETE"
