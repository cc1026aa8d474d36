"""The driver: caches, then the trials the store lacks, in one or two waves. The same for every engine."""

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from swath import predictions
from swath.asha import Asha, Rungs
from swath.engine.base import Engine
from swath.engine.progress import BuildProgress, SweepProgress
from swath.errors import InputError, raise_if_any
from swath.plan import Plan, PlannedTrial, TaskPlan, bad_image_note, rule_of
from swath.predictions import Outcome, Trial
from swath.preprocess import cache as caches
from swath.trial_job import Job, Report

_WAIT_S = 3.0


def run(plan: Plan, engine: Engine, say: Callable[[str], None], retry_failed: bool = False) -> int:
    """Carry out what the store lacks.

    Args:
        plan: From `make_plan`.
        engine: Inline or Ray.
        say: Hears lines for the user.
        retry_failed: Run failed trials again.

    Returns:
        Number of trials that were run.

    Raises:
        InputError: Too many images cannot be decoded, or a backbone's weights cannot be had.
    """
    lacking = plan.lacking(retry_failed)
    backbones = {replace(t.spec.backbone, weights=t.weights_file) for t in lacking if t.spec.backbone.pretrained}
    raise_if_any(engine.probe(sorted(backbones, key=lambda b: b.canonical())) if backbones else ())
    _build_caches(plan, engine, say)
    _write_records(plan)
    ran: set[str] = set()
    for further in (False, True):
        wave = [t for t in plan.trials if plan.is_further_seed(t) == further]
        ran |= _run_wave(plan, engine, say, wave, retry_failed)
    return len(ran)


def _build_caches(plan: Plan, engine: Engine, say: Callable[[str], None]) -> None:
    """Build what is missing, then leave out the images that turned out not to decode."""
    cache = plan.places.cache
    for entry in plan.entries_to_build():
        shards = caches.missing_shards(cache, entry)
        rows = entry.shards()
        if shards:
            engine.build(cache, entry, shards, BuildProgress(entry.describe(), sum(len(rows[i]) for i in shards)).built)
        caches.finish(cache, entry)
    problems = []
    for task in plan.tasks:
        try:
            note = _leave_out_bad(plan, task)
        except InputError as error:
            problems += error.problems
            continue
        if note and note not in plan.notes:
            say(note)
    raise_if_any(problems)


def _leave_out_bad(plan: Plan, task: TaskPlan) -> str:
    rows = task.record.rows
    for entry in {e.key: e for t in plan.trials if t.spec.data == task.data for e in t.entries.values()}.values():
        bad = caches.bad_images(plan.places.cache, entry.key)
        found = rows["id"].map(bad).fillna("")
        rows["bad"] = rows["bad"].where(rows["bad"] != "", found)
    return bad_image_note(task.record)


def _write_records(plan: Plan) -> None:
    storage = plan.places.storage
    for task in plan.tasks:
        predictions.write_task(storage, task.data, task.record)
        predictions.write_folds(storage, task.data, plan.sweep.split.canonical(), task.folds)
    stop = plan.sweep.stop
    predictions.write_sweep(
        storage,
        plan.sweep.name,
        {
            "name": plan.sweep.name,
            "tasks": [
                {"data": t.data, "label": t.record.label, "labels": t.record.labels, "metric": t.record.metric}
                for t in plan.tasks
            ],
            "split": plan.sweep.split.canonical(),
            "rule": rule_of(stop),
            "seeds": plan.sweep.seeds,
            "notes": plan.notes,
            "trials": [
                {
                    "fingerprint": t.spec.fingerprint,
                    "cell": t.cell.label,
                    "factors": t.cell.factors,
                    "baseline": t.cell.baseline,
                    "data": t.spec.data,
                    "fold": t.spec.fold,
                    "seed": t.spec.seed,
                    "epochs": t.spec.recipe.epochs,
                    "rungs": stop.rungs(t.spec.recipe.epochs) if stop else [],
                }
                for t in plan.trials
            ],
        },
    )


def _run_wave(
    plan: Plan, engine: Engine, say: Callable[[str], None], wave: list[PlannedTrial], retry_failed: bool
) -> set[str]:
    """Run what the store lacks of a wave; trials that another driver is at work on are waited for."""
    ran: set[str] = set()
    here = {t.spec.fingerprint for t in wave}
    waited = False
    while True:
        plan.refresh()
        lacking = [t for t in plan.lacking(retry_failed) if t.spec.fingerprint in here - ran]
        if not lacking:
            return ran
        elsewhere = {t.label: who for t in lacking if (who := _handle(plan, t).leased_elsewhere())}
        ours = [t for t in lacking if t.label not in elsewhere]
        if ours:
            _Wave(plan, wave, ours).run(engine)
            ran |= {t.spec.fingerprint for t in ours}
            continue
        if not waited:
            say(f"waiting for {len(elsewhere)} trials that {', '.join(sorted(set(elsewhere.values())))} is at work on")
            waited = True
        time.sleep(_WAIT_S)


def _handle(plan: Plan, trial: PlannedTrial) -> Trial:
    return Trial(plan.places.storage, trial.spec.fingerprint)


class _Wave:
    """Trials that run together, and the decisions about them."""

    def __init__(self, plan: Plan, wave: list[PlannedTrial], ours: list[PlannedTrial]) -> None:
        self._plan = plan
        self._trials = {t.spec.fingerprint: t for t in ours}
        competing = plan.sweep.stop is not None and not plan.is_further_seed(ours[0])
        self._rungs = _rungs_from_store(plan, wave, plan.sweep.stop) if competing and plan.sweep.stop else None
        done = {t.spec.fingerprint: len(_handle(plan, t).metrics()) for t in ours}
        self._progress = SweepProgress(
            total=len(plan.outcomes.keys() | {t.spec.fingerprint for t in plan.lacking()} | self._trials.keys()),
            epochs_left=sum(t.spec.recipe.epochs - done[f] for f, t in self._trials.items()),
            metrics={t.record.label: t.record.metric for t in plan.tasks},
        )
        for trial in plan.trials:
            outcome = plan.outcomes.get(trial.spec.fingerprint)
            if outcome and trial.spec.fingerprint not in self._trials:
                score = math.nan if outcome.score is None else outcome.score
                self._progress.before(outcome.state, trial.spec.task, trial.label, score)

    def run(self, engine: Engine) -> None:
        """Run the trials; every one of them has a final state after."""
        engine.train([self._job(t) for t in self._trials.values()], self)
        for fingerprint, trial in self._trials.items():
            if _handle(self._plan, trial).outcome() is None:
                self.crashed(fingerprint, "the trial ended without a result")

    def _job(self, trial: PlannedTrial) -> Job:
        places = self._plan.places
        stop = self._plan.sweep.stop
        return Job(
            spec=trial.spec,
            storage=places.storage.root,
            cache=places.cache.root,
            local_cache=str(places.local_cache or ""),
            entries={part: entry.key for part, entry in trial.entries.items()},
            weights_file=trial.weights_file,
            keep_epochs=stop.rungs(trial.spec.recipe.epochs) if stop else (),
        )

    def started(self, fingerprint: str) -> None:
        """Show the trial as running."""
        self._progress.started(self._trials[fingerprint].label)

    def decide(self, report: Report) -> bool:
        """Count a report, record it at its rung; False stops the trial, with its final state written."""
        trial = self._trials[report.fingerprint]
        epochs = trial.spec.recipe.epochs
        if report.epoch and report.state != "FAILED":
            self._progress.epoch()
        if report.state != "RUNNING":
            self._end(trial, report.state, report.score, report.epoch, f"  {report.error}" if report.error else "")
            return True
        if not self._rungs or report.epoch not in self._rungs.rule.rungs(epochs):
            return True
        self._rungs.record(trial.stratum, report.fingerprint, report.epoch, report.score)
        exempt = self._rungs.rule.exempt == "baseline" and trial.cell.baseline
        if exempt or self._rungs.goes_on(trial.stratum, report.fingerprint, report.epoch):
            return True
        handle = _handle(self._plan, trial)
        rows = handle.metrics()
        handle.finish(
            Outcome(
                state="STOPPED",
                epochs=report.epoch,
                score=report.score,
                rule=rule_of(self._plan.sweep.stop),
                device_s=float(rows["seconds"].sum()),
            )
        )
        self._end(trial, "STOPPED", report.score, report.epoch, f" of {epochs}, at its rung")
        return False

    def crashed(self, fingerprint: str, error: str) -> None:
        """Give a trial whose process was lost its final state."""
        trial = self._trials[fingerprint]
        handle = _handle(self._plan, trial)
        rows = handle.metrics()
        seconds = 0.0 if rows.empty else float(rows["seconds"].sum())
        handle.finish(Outcome("FAILED", len(rows), None, error=error[-4000:], device_s=seconds))
        self._end(trial, "FAILED", math.nan, len(rows), f"  {error.strip().splitlines()[-1]}")

    def _end(self, trial: PlannedTrial, state: str, score: float, epochs: int, note: str) -> None:
        skipped = trial.spec.recipe.epochs - epochs
        self._progress.ended(state, trial.spec.task, trial.label, score, epochs, skipped, note)


def _rungs_from_store(plan: Plan, wave: list[PlannedTrial], rule: Asha) -> Rungs:
    """The rungs as the trials of a wave left them, so that a restarted sweep judges by all that is known."""
    with ThreadPoolExecutor(16) as pool:
        tables = list(pool.map(lambda t: _handle(plan, t).metrics(), wave))
    rungs = Rungs(rule)
    for trial, table in zip(wave, tables, strict=True):
        epochs = rule.rungs(trial.spec.recipe.epochs)
        for row in table.itertuples():
            if row.epoch in epochs:
                rungs.record(trial.stratum, trial.spec.fingerprint, int(row.epoch), float(row.score))  # type: ignore[arg-type]
    return rungs
