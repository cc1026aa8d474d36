"""A submission file in exactly the sample's columns and row order, from an ensemble of the sweep's trials."""

import contextlib
import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from swath.analysis.cells import cell_results, finished_runs
from swath.analysis.ensembles.cross_fit import ensemble_names, named_ensemble
from swath.analysis.ensembles.pool import Pool
from swath.analysis.ensembles.rules import RANKS, Average, ranks
from swath.analysis.load import read_results, read_trial
from swath.analysis.results import Results, TaskResults, TrialResult
from swath.analysis.submissions.history import Submission, record_submission
from swath.core.errors import InputError, StoreError
from swath.core.registry import unknown
from swath.store.states import State
from swath.store.storage import Storage, write_atomic
from swath.store.sweeps import read_refits
from swath.store.tasks import TaskRecord

Floats = NDArray[np.float64]
REFIT = "refit "
"""Stands before the label of a cell to name its refits."""


def predict(
    storage: Storage, name: str, ensemble: str, out: str | Path, task: str = "", max_ms: float = math.inf
) -> Path:
    """Average the test predictions of an ensemble's members and write them in the sample's form.

    Args:
        storage: The store.
        name: The sweep.
        ensemble: `best`, `single`, `top3`, `greedy`, ...; the label of a cell: the average over its finished seeds;
            `refit ` and a label: the average over its refits; or
            the path of an `ensembles.json` and the name of one in it, `FILE:best`.
        out: The csv file to write.
        task: Label of the task; may be left out where the sweep has one.
        max_ms: The most milliseconds that all members together may take for an image.

    Returns:
        The file written.

    Raises:
        InputError: Unknown sweep, task or ensemble; no test images; nothing finished; a member without predictions.
    """
    results = read_results(storage, name)
    of = _task(results, task)
    if of.record.submission is None:
        raise InputError(
            f"task {of.label} has no test images and no sample submission, so there is nothing to predict. "
            "Give the task a test table (test.csv and sample_submission.csv) and run the sweep again."
        )
    recipe = _within(_members(of, name, ensemble, max_ms), ensemble, max_ms)
    frame = submission(of.record, *_average(of, recipe))
    path = Path(out)
    content = frame.to_csv(index=False, float_format="%.6f", lineterminator="\n").encode()
    write_atomic(path, content)
    with contextlib.suppress(OSError):  # a store that may only be read still serves for predictions
        record_submission(storage, name, content, replace(recipe.promise, name=ensemble, metric=of.record.metric))
    return path


def submission(record: TaskRecord, ids: NDArray[np.str_], p: Floats) -> pd.DataFrame:
    """The table of a submission file.

    Args:
        record: The task, with its sample form.
        ids: [N] test images that were predicted.
        p: [N, C] their probabilities.

    Raises:
        StoreError: A usable test image of the sample has no prediction, or the form's columns are not understood.
    """
    form = record.submission
    assert form is not None
    form_ids = pd.Index(form.ids)
    bad = form_ids.isin(record.rows["id"][record.rows["bad"] != ""])
    at = pd.Index(ids).get_indexer(form_ids)
    absent = form_ids[(at < 0) & ~bad]
    if len(absent):
        raise StoreError(
            f"{len(absent)} test images of {record.label} have no predictions in the store, e.g. {absent[0]!r}, and "
            "are not known to be unreadable. Delete the members' trials from the store and run the sweep again."
        )
    rows = np.where(bad[:, None], record.prior(), p[np.where(bad, 0, at)] if len(p) else 0.0)
    return pd.DataFrame({form.id_column: form.ids, **_answers(record, form.columns, rows)})


def _answers(record: TaskRecord, columns: Sequence[str], p: Floats) -> dict[str, NDArray]:
    """The columns after the id: probabilities by label, or the most probable label as text."""
    number = {label: i for i, label in enumerate(record.labels)}
    if all(column in number for column in columns):
        return {column: p[:, number[column]] for column in columns}
    if len(columns) == 1 and record.kind == "multiclass":
        return {columns[0]: np.array(record.labels, dtype=object)[p.argmax(axis=1)]}
    raise StoreError(
        f"the sample submission of {record.label} has the columns {', '.join(columns)}; understood are the labels, or "
        "one column of a multiclass task that takes the label as text."
    )


def _task(results: Results, label: str) -> TaskResults:
    by_label = {task.label: task for task in results.tasks}
    if label in by_label:
        return by_label[label]
    if label:
        raise InputError(unknown("task", label, by_label))
    if len(by_label) != 1:
        raise InputError(
            f"sweep {results.name!r} has {len(by_label)} tasks ({', '.join(by_label)}): name one with --task."
        )
    return results.tasks[0]


@dataclass(frozen=True)
class _Recipe:
    """What is averaged: trials with their weights, and how; and its validation score, where there is one."""

    trials: tuple[TrialResult, ...]
    weights: tuple[float, ...]
    average: Average
    promise: Submission = Submission("", "")


def _members(task: TaskResults, sweep: str, ensemble: str, max_ms: float) -> _Recipe:
    if ensemble.startswith(REFIT):
        return _refitted(task, sweep, ensemble.removeprefix(REFIT))
    runs = finished_runs(task)
    if not runs:
        counts = ", ".join(f"{n} {state}" for state, n in task.counts().items())
        raise InputError(
            f"no trial of {task.label} is COMPLETE ({counts}), so there is nothing to predict with. Finish the sweep."
        )
    file, _, name = ensemble.rpartition(":")
    if file.endswith(".json"):
        return _from_file(task, Path(file), name)
    pool = Pool.of(task, max_ms)
    names = ensemble_names(pool)
    if ensemble in names:
        chosen = named_ensemble(pool, ensemble)
        members = [(run.trials, weight) for run, weight in zip(chosen.members, chosen.weights, strict=True)]
        return _recipe(members, chosen.average, _promise(chosen.score, chosen.low, chosen.high))
    of_cell = [run for run in runs if run.cell == ensemble]
    if of_cell:
        score = float(np.mean([run.score for run in of_cell]))
        return _recipe([(run.trials, 1 / len(of_cell)) for run in of_cell], "probabilities", _promise(score))
    states = [f"seed {t.seed} {t.state}" for t in task.trials if t.cell == ensemble]
    if states:
        raise InputError(f"cell {ensemble!r} has no finished seed: {', '.join(states)}. Choose another or finish it.")
    raise InputError(unknown("ensemble or cell", ensemble, [*names, *dict.fromkeys(run.cell for run in runs)]))


def _refitted(task: TaskResults, sweep: str, cell: str) -> _Recipe:
    """The finished refits of a cell, alike."""
    storage = task.trials[0].storage
    trials = [read_trial(storage, listed) for listed in read_refits(storage, sweep) if listed.data == task.data]
    finished = [t for t in trials if t.state == State.COMPLETE]
    of_cell = [t for t in finished if t.cell == cell]
    if not of_cell:
        cells = dict.fromkeys(t.cell for t in finished)
        known = unknown("refitted cell", cell, cells) if cells else f"no cell of {sweep!r} was refitted."
        raise InputError(f'{known} Train it first: swath refit SCRIPT "{cell}" --full')
    return _recipe([([t], 1 / len(of_cell)) for t in of_cell], "probabilities")


def best_cell(results: Results, known: Collection[str]) -> str:
    """Label of the best cell among some.

    Raises:
        InputError: The sweep has several tasks, or none of these cells has finished.
    """
    if len(results.tasks) > 1:
        raise InputError(f"sweep {results.name!r} has {len(results.tasks)} tasks: name a cell instead of `best`.")
    ranked = [cell.cell for task in results.tasks for cell in cell_results(task) if cell.cell in known]
    if not ranked:
        raise InputError("no cell of the sweep has finished, so none is best. Name a cell, or finish the sweep.")
    return ranked[0]


def _within(recipe: _Recipe, name: str, max_ms: float) -> _Recipe:
    """The recipe, if its members keep the bound: one that was named was not chosen by it."""
    cost = sum(trial.last("ms_per_image") for trial in recipe.trials)
    if max_ms < math.inf and not cost <= max_ms:
        known = "an unknown time" if math.isnan(cost) else f"{cost:.3g} ms"
        raise InputError(
            f"--max-ms-per-image {max_ms:g}: the members of {name!r} take {known} for an image. Name a cheaper one, or "
            "`best`, `greedy`, ..., which choose within the bound."
        )
    return recipe


def _promise(score: float | None, low: float | None = None, high: float | None = None) -> Submission:
    """The validation score with its interval; numbers that are not finite become None."""
    known = (x if x is not None and math.isfinite(x) else None for x in (score, low, high))
    return Submission("", "", **dict(zip(("score", "low", "high"), known, strict=True)))


def _recipe(
    members: Sequence[tuple[Sequence[TrialResult], float]], average: Average, promise: Submission = _Recipe.promise
) -> _Recipe:
    """The fold models of a run share its weight."""
    pairs = [(trial, weight / len(trials)) for trials, weight in members for trial in trials]
    return _Recipe(tuple(t for t, _ in pairs), tuple(w for _, w in pairs), average, promise)


def _from_file(task: TaskResults, file: Path, name: str) -> _Recipe:
    """An ensemble as a report wrote it into ensembles.json."""
    try:
        content = json.loads(file.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"{file} is no ensembles.json: {error}. Give the file that `swath report` wrote.") from error
    entries = content.get(task.label, content)
    if name not in entries:
        raise InputError(f"{file}: {unknown('ensemble', name, entries)}")
    entry = entries[name]
    if entry["data"] != task.data:
        raise InputError(
            f"ensemble {name!r} of {file} was chosen on other data ({entry['data']}) than this sweep's ({task.data}). "
            "Write the report again, or give the sweep and storage it came from."
        )
    by_fingerprint = {t.fingerprint: t for t in task.trials}
    gone = [f for member in entry["members"] for f in member["trials"] if f not in by_fingerprint]
    if gone:
        raise InputError(f"{file}: the sweep no longer has {len(gone)} of its trials, e.g. {gone[0]}; report again.")
    members = [([by_fingerprint[f] for f in m["trials"]], m["weight"]) for m in entry["members"]]
    interval = entry.get("interval") or (None, None)
    return _recipe(members, entry["average"], _promise(entry.get("cross_fit_score"), *interval))


def _average(task: TaskResults, recipe: _Recipe) -> tuple[NDArray[np.str_], Floats]:
    """Ids [N] and averages [N, C] over the members, on the test images that all of them predicted."""
    frames: list[pd.DataFrame] = []
    problems = []
    for trial in recipe.trials:
        name = f"trial {trial.fingerprint} ({trial.cell}, seed {trial.seed})"
        cure = "Delete the trial and run the sweep again, or choose an ensemble without it."
        try:
            ids, p = trial.test_probabilities()
        except FileNotFoundError:
            problems.append(f"{name} has no test predictions in the store. {cure}")
            continue
        if not np.isfinite(p).all():
            problems.append(f"{name} has test predictions that are not numbers. {cure}")
        frames.append(pd.DataFrame(p, index=pd.Index(ids)))
    if problems:
        raise InputError(problems)
    common = frames[0].index
    for frame in frames[1:]:
        common = common[common.isin(frame.index)]
    total = np.zeros((len(common), len(task.record.labels)))
    for frame, weight in zip(frames, recipe.weights, strict=True):
        p = frame.loc[common].to_numpy(np.float64)
        total += weight * (ranks(p) if recipe.average == RANKS else p)
    return common.to_numpy(str), total
