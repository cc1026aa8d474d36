"""Which trial goes on and which stops: jobs of trials that run together, ASHA's decision on each report, the end."""

import math
from collections.abc import Sequence

import pandas as pd

from swath.config.stopping import Asha, Rungs
from swath.engine.base import Engine
from swath.engine.progress import SweepProgress
from swath.plan.progress import Progress
from swath.plan.trials import PlannedTrial, rule_of
from swath.store.states import State
from swath.store.trials import Trial, outcome_of
from swath.training.job import Job, Report


class TrialScheduler:
    """A listener for some trials of a wave.

    Args:
        progress: The plan and how far it is.
        wave: All trials of the wave; those of a competing wave fill the rungs, finished before or not.
        ours: The trials to run.

    Attributes:
        ended: Fingerprints of the trials that ended here, in whatever state.
        elsewhere: Fingerprints of the trials that another driver turned out to be at work on, or to have finished.
    """

    def __init__(self, progress: Progress, wave: Sequence[PlannedTrial], ours: Sequence[PlannedTrial]) -> None:
        self.ended: set[str] = set()
        self.elsewhere: set[str] = set()
        plan = self._plan = progress.plan
        self._outcomes = progress.outcomes
        self._trials = {t.spec.fingerprint: t for t in ours}
        stop = None if ours[0].phase == 2 else plan.sweep.stop
        looked_at = wave if stop else ours
        tables = {
            t.spec.fingerprint: table for t, table in zip(looked_at, plan.read(looked_at, Trial.metrics), strict=True)
        }
        self._rungs = _rungs(wave, tables, stop) if stop else None
        self._progress = SweepProgress(
            total=len(self._outcomes.keys() | {t.spec.fingerprint for t in progress.lacking()} | self._trials.keys()),
            epochs_left=sum(t.spec.recipe.epochs - len(tables[f]) for f, t in self._trials.items()),
            metrics={t.record.label: t.record.metric for t in plan.tasks},
        )
        for trial in plan.trials:
            outcome = self._outcomes.get(trial.spec.fingerprint)
            if outcome and trial.spec.fingerprint not in self._trials:
                score = math.nan if outcome.score is None else outcome.score
                self._progress.before(outcome.state, trial.spec.task, trial.label, score)

    def run(self, engine: Engine) -> None:
        """Run the trials; those in neither `ended` nor `elsewhere` afterwards ended without a report."""
        engine.train([self._job(t) for t in self._trials.values()], self)

    def _job(self, trial: PlannedTrial) -> Job:
        locations = self._plan.locations
        return Job(
            spec=trial.spec,
            storage=locations.storage.root,
            cache=locations.cache.root,
            local_cache=str(locations.local_cache or ""),
            entries={part: entry.key for part, entry in (trial.features or trial.entries).items()},
            features=bool(trial.features),
            weights_file=trial.weights_file,
            keep_epochs=tuple(trial.rungs()),
            seen=self._outcomes.get(trial.spec.fingerprint),
            commit=self._plan.commit,
            described={
                "cell": trial.cell.label,
                **trial.cell.factors,
                "seed": trial.spec.seed,
                "fold": trial.spec.fold,
            },
        )

    def started(self, fingerprint: str) -> None:
        """Show the trial as running."""
        self._progress.started(self._trials[fingerprint].label)

    def decide(self, report: Report) -> bool:
        """Count a report, record it at its rung; False stops the trial, with its final state written."""
        trial = self._trials[report.fingerprint]
        if report.state == State.ELSEWHERE:
            self.elsewhere.add(report.fingerprint)
            self._progress.left(trial.label)
            return True
        if report.epoch and report.state != State.FAILED and not report.repeated:
            self._progress.epoch()
        if report.state != State.RUNNING:
            self._end(trial, report.state, report.score, report.epoch, f"  {report.error}" if report.error else "")
            return True
        if self._goes_on(trial, report):
            return True
        self._finish(trial, State.STOPPED, rule=rule_of(self._plan.sweep.stop))
        self._end(trial, State.STOPPED, report.score, report.epoch, f" of {trial.spec.recipe.epochs}, at its rung")
        return False

    def _goes_on(self, trial: PlannedTrial, report: Report) -> bool:
        rung = trial.rungs().get(report.epoch)
        if self._rungs is None or rung is None:
            return True
        self._rungs.record(trial.stratum, report.fingerprint, rung, report.score)
        return trial.exempt or self._rungs.goes_on(trial.stratum, report.fingerprint, rung)

    def crashed(self, fingerprint: str, error: str) -> None:
        """Give a trial whose process was lost its final state."""
        trial = self._trials[fingerprint]
        epochs = self._finish(trial, State.FAILED, error=error[-4000:])
        self._end(trial, State.FAILED, math.nan, epochs, f"  {error.strip().splitlines()[-1]}")

    def _finish(self, trial: PlannedTrial, state: State, error: str = "", rule: str = "") -> int:
        handle = self._plan.handle(trial)
        outcome = outcome_of(state, handle.metrics(), error=error, rule=rule, commit=self._plan.commit)
        handle.finish(outcome)
        return outcome.epochs

    def _end(self, trial: PlannedTrial, state: State, score: float, epochs: int, note: str) -> None:
        self.ended.add(trial.spec.fingerprint)
        skipped = trial.spec.recipe.epochs - epochs
        self._progress.ended(state, trial.spec.task, trial.label, score, epochs, skipped, note)


def _rungs(wave: Sequence[PlannedTrial], tables: dict[str, pd.DataFrame], rule: Asha) -> Rungs:
    """The rungs as the trials of a wave left them, so that a restarted sweep judges by all that is known."""
    rungs = Rungs(rule)
    for trial in wave:
        table = tables[trial.spec.fingerprint]
        if not table.empty:
            at = trial.rungs()
            for epoch, score in zip(table["epoch"].tolist(), table["score"].tolist(), strict=True):
                if epoch in at:
                    rungs.record(trial.stratum, trial.spec.fingerprint, at[epoch], score)
    return rungs
