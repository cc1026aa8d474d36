"""Read a sweep's results from the store: its tasks, the state and score of every listed trial. Works while it runs.

A trial is scored from its stored logits at its last epoch, on the images that every finished trial of its fold has.
"""

import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from swath.analysis.imported import imported
from swath.analysis.results import Results, State, TaskResults, TrialResult
from swath.analysis.scores import trial_scores
from swath.core.errors import InputError, StoreError
from swath.core.registry import unknown
from swath.store import sweeps as sweeps_
from swath.store import tasks as tasks_
from swath.store import trials as predictions
from swath.store.keys import trial_key
from swath.store.storage import Storage
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
    entries = [*sweep["trials"], *imported(storage, name)]
    with ThreadPoolExecutor(_READERS) as pool:
        read = list(pool.map(lambda entry: _read_trial(storage, entry, predictions_too), entries))
    labels = Counter(t["label"] for t in sweep["tasks"])
    tasks = []
    for task in sweep["tasks"]:
        label = task["label"] if labels[task["label"]] == 1 else f"{task['label']} {task['data'][:8]}"
        own = [(trial, ids) for trial, ids in read if trial.data == task["data"]]
        if own:
            levels = next((t["factors"] for t in sweep["trials"] if t["baseline"]), {})
            found = _task_results(storage, label, task["data"], sweep["split"], levels, own)
            tasks.append(replace(found, named=sweep.get("named", False)))
    return Results(storage, sweep, tuple(tasks))


def _read_trial(
    storage: Storage, entry: dict[str, Any], predictions_too: bool
) -> tuple[TrialResult, NDArray[np.str_] | None]:
    """The trial with its logits as stored, and their ids."""
    handle = Trial(storage, entry["fingerprint"])
    outcome, rows = handle.outcome(), handle.metrics()
    leased = outcome is None and storage.exists(trial_key(handle.fingerprint, "lease.json"))
    begun = storage.exists(trial_key(handle.fingerprint, "spec.json"))
    state: State = outcome.state if outcome else "UNFINISHED" if leased or len(rows) else "NOT RUN"
    spec = handle.spec() if begun else {}
    ids, logits, problem = None, None, ""
    if predictions_too and outcome and state in ("COMPLETE", "STOPPED"):
        try:
            ids, logits = handle.final_logits(outcome, spec)
        except (FileNotFoundError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            files = " or ".join(f"{part}.npz" for part in predictions.final_parts(outcome, spec))
            problem = f"its predictions {files} cannot be read: {type(error).__name__}"
            state = "UNREADABLE" if state == "COMPLETE" else state
    trial = TrialResult(
        **{k: entry[k] for k in ("fingerprint", "cell", "factors", "baseline", "data", "fold", "seed")},
        epochs_planned=entry["epochs"],
        rungs=tuple(entry["rungs"]),
        state=state,
        outcome=outcome,
        problem=problem,
        at_work=handle.leased_elsewhere() if leased else "",
        spec=spec,
        metrics=rows,
        storage=storage,
        val_logits=logits,
        scores={},
        **{k: entry[k] for k in ("phase", "exempt", "final", "passes") if k in entry},
    )
    return trial, ids


def read_trial(storage: Storage, entry: dict[str, Any]) -> TrialResult:
    """One listed trial, without its validation predictions."""
    return _read_trial(storage, entry, predictions_too=False)[0]


def _task_results(
    storage: Storage,
    label: str,
    data: str,
    split: str,
    baseline_levels: dict[str, str],
    read: list[tuple[TrialResult, NDArray[np.str_] | None]],
) -> TaskResults:
    record = tasks_.read_task(storage, data)
    folds = tasks_.read_folds(storage, data, split)
    validation: dict[int, NDArray[np.int64]] = {}
    notes: list[str] = []
    for fold in sorted({trial.fold for trial, _ in read}):
        with_ids = [(trial, ids) for trial, ids in read if trial.fold == fold and ids is not None]
        validation[fold] = _common_rows(record, with_ids, notes) if with_ids else np.empty(0, np.int64)
    trials = tuple(_scored(record, validation[trial.fold], trial, ids) for trial, ids in read)
    return TaskResults(label, data, record, folds, baseline_levels, trials, validation, tuple(notes))


def _common_rows(
    record: TaskRecord, read: list[tuple[TrialResult, NDArray[np.str_]]], notes: list[str]
) -> NDArray[np.int64]:
    """Row numbers of the images that all of these trials were validated on, in the record's order."""
    rows = pd.Index(record.rows["id"])
    found = [(trial, rows.get_indexer(pd.Index(ids))) for trial, ids in read]
    seen = np.zeros(len(rows), np.int64)
    for trial, at in found:
        if (at < 0).any() or len(np.unique(at)) != len(at):
            raise StoreError(
                f"trial {trial.fingerprint} ({trial.cell}) has validation predictions of images that its task record "
                f"{trial.data} does not list once each. Delete the trial from the store and run the sweep again."
            )
        seen[at] += 1
    common = np.flatnonzero(seen == len(found))
    dropped = int((seen > 0).sum()) - len(common)
    if dropped:
        if len(common) < _SHARED_IMAGES * (seen > 0).sum():
            raise StoreError(
                f"trials of {record.label}, fold {read[0][0].fold}, were validated on different images: only "
                f"{len(common)} of {(seen > 0).sum()} are common to all. Delete the odd trials and run the sweep again."
            )
        notes.append(f"{dropped} validation images are left out: not every finished trial has predictions of them.")
    return common


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
