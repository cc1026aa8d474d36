"""Read a sweep's results from the store: its tasks, the state and score of every listed trial. Works while it runs.

A trial is scored from its stored logits at its last epoch, on the images that every finished trial of its fold has.
"""

import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from swath.analysis.results import Results, TaskResults, TrialResult
from swath.analysis.scores import trial_scores
from swath.analysis.searches.space import spaces
from swath.core.errors import InputError, StoreError
from swath.core.registry import unknown
from swath.store import sweeps as sweeps_
from swath.store import tasks as tasks_
from swath.store import trials as predictions
from swath.store.looks import looks_at
from swath.store.states import State
from swath.store.storage import Storage
from swath.store.sweeps import ListedTrial
from swath.store.tasks import TaskRecord
from swath.store.trials import Trial

_READERS = 16
_SHARED_IMAGES = 0.9  # trials of one fold differ by single bad images; less in common is a damaged store


def read_results(storage: Storage, name: str, predictions_too: bool = True) -> Results:
    """Read a sweep, finished or not.

    Args:
        storage: The store.
        name: The sweep's name.
        predictions_too: False reads states and epochs only, which is quick; no trial has scores then.

    Raises:
        InputError: The store has no sweep of that name.
        StoreError: Trials of one fold were validated on different images.
    """
    sweep = sweeps_.read_sweep(storage, name)
    if sweep is None:
        names = sweeps_.sweep_names(storage)
        if not names:
            raise InputError(f"there are no sweeps in {storage.root}, so none called {name!r}. Give --storage.")
        raise InputError(f"{unknown('sweep', name, names)} These are the sweeps in {storage.root}; see --storage.")
    listed_trials = [*sweep.trials, *sweeps_.read_imports(storage, name)]
    with ThreadPoolExecutor(_READERS) as pool:
        read = list(pool.map(lambda listed: _read_trial(storage, listed, predictions_too), listed_trials))
    labels = Counter(t.label for t in sweep.tasks)
    baseline_levels = next((t.factors for t in sweep.trials if t.baseline), {})
    looks = looks_at(storage, sweep)
    tasks = []
    for task in sweep.tasks:
        label = task.label if labels[task.label] == 1 else f"{task.label} {task.data[:8]}"
        of_task = [(trial, ids) for trial, ids in read if trial.data == task.data]
        if of_task:
            task_results = _task_results(storage, label, task.data, sweep.split, of_task)
            searches = spaces(sweep.search, {trial.cell for trial, _ in of_task})
            of_sweep = {"named": sweep.named, "matters": sweep.matters, "looks": looks, "searches": searches}
            tasks.append(replace(task_results, baseline_levels=baseline_levels, **of_sweep))
    return Results(storage, sweep, tuple(tasks))


def _read_trial(
    storage: Storage, listed: ListedTrial, predictions_too: bool
) -> tuple[TrialResult, NDArray[np.str_] | None]:
    """The trial with its logits as stored, and their ids."""
    handle = Trial(storage, listed.fingerprint)
    outcome, rows = handle.outcome(), handle.metrics()
    leased = outcome is None and handle.has_lease()
    state = outcome.state if outcome else State.UNFINISHED if leased or len(rows) else State.NOT_RUN
    spec = handle.spec() if handle.has_begun() else {}
    ids, logits, problem = None, None, ""
    if predictions_too and outcome and state in (State.COMPLETE, State.STOPPED):
        try:
            ids, logits = handle.final_logits(outcome, spec)
        except (FileNotFoundError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            files = " or ".join(f"{part}.npz" for part in predictions.final_parts(outcome, spec))
            problem = f"its predictions {files} cannot be read: {type(error).__name__}"
            state = State.UNREADABLE if state == State.COMPLETE else state
    trial = TrialResult(
        fingerprint=listed.fingerprint,
        cell=listed.cell,
        factors=listed.factors,
        baseline=listed.baseline,
        data=listed.data,
        fold=listed.fold,
        seed=listed.seed,
        epochs_planned=listed.epochs,
        rungs=listed.rungs,
        state=state,
        outcome=outcome,
        problem=problem,
        at_work=handle.leased_elsewhere() if leased else "",
        spec=spec,
        metrics=rows,
        storage=storage,
        val_logits=logits,
        scores={},
        phase=listed.phase,
        exempt=listed.exempt,
        final=listed.final,
        passes=listed.passes,
    )
    return trial, ids


def read_trial(storage: Storage, listed: ListedTrial) -> TrialResult:
    """One listed trial, without its validation predictions."""
    return _read_trial(storage, listed, predictions_too=False)[0]


def _task_results(
    storage: Storage,
    label: str,
    data: str,
    split: str,
    read: list[tuple[TrialResult, NDArray[np.str_] | None]],
) -> TaskResults:
    record = tasks_.read_task(storage, data)
    folds = tasks_.read_folds(storage, data, split)
    validation: dict[int, NDArray[np.int64]] = {}
    notes: list[str] = []
    for fold in sorted({trial.fold for trial, _ in read}):
        with_ids = [(trial, ids) for trial, ids in read if trial.fold == fold and ids is not None]
        validation[fold], dropped = _common_rows(record, with_ids) if with_ids else (np.empty(0, np.int64), 0)
        if dropped:
            notes.append(f"{dropped} validation images are left out: not every finished trial has predictions of them.")
    return TaskResults(
        label=label,
        data=data,
        record=record,
        folds=folds,
        baseline_levels={},
        trials=tuple(_scored(record, validation[trial.fold], trial, ids) for trial, ids in read),
        validation=validation,
        notes=tuple(notes),
    )


def _common_rows(record: TaskRecord, read: list[tuple[TrialResult, NDArray[np.str_]]]) -> tuple[NDArray[np.int64], int]:
    """Row numbers of the images that all of these trials were validated on, in the record's order.

    Also the number of images that only some of them were validated on.
    """
    rows = pd.Index(record.rows["id"])
    positions = [(trial, rows.get_indexer(pd.Index(ids))) for trial, ids in read]
    seen = np.zeros(len(rows), np.int64)
    for trial, at in positions:
        if (at < 0).any() or len(np.unique(at)) != len(at):
            raise StoreError(
                f"trial {trial.fingerprint} ({trial.cell}) has validation predictions of images that its task record "
                f"{trial.data} does not list once each. Delete the trial from the store and run the sweep again."
            )
        seen[at] += 1
    common = np.flatnonzero(seen == len(positions))
    dropped = int((seen > 0).sum()) - len(common)
    if len(common) < _SHARED_IMAGES * (seen > 0).sum():
        raise StoreError(
            f"trials of {record.label}, fold {read[0][0].fold}, were validated on different images: only "
            f"{len(common)} of {(seen > 0).sum()} are common to all. Delete the odd trials and run the sweep again."
        )
    return common, dropped


def _scored(
    record: TaskRecord, rows: NDArray[np.int64], trial: TrialResult, ids: NDArray[np.str_] | None
) -> TrialResult:
    """The trial with its logits on the common images, and its scores."""
    if ids is None or trial.val_logits is None:
        return trial
    order = pd.Index(ids).get_indexer(pd.Index(record.rows["id"].to_numpy()[rows]))
    logits = trial.val_logits[order]
    return replace(
        trial, val_logits=logits, scores=trial_scores(record.kind, trial.spec["link"], record.targets[rows], logits)
    )
