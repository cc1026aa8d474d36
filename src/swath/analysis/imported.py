"""Models trained elsewhere as members of a sweep's ensembles: their out-of-fold and test probabilities enter the store.

An import is a trial for each fold without a spec of swath's; it takes part in rankings and ensembles, never in effects.
"""

import hashlib
import re
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from swath.core.errors import InputError, raise_if_any
from swath.core.registry import unknown
from swath.store import sweeps as sweeps_
from swath.store import tasks as tasks_
from swath.store.states import State
from swath.store.storage import Storage
from swath.store.sweeps import ListedTrial, SweepRecord
from swath.store.tasks import TaskRecord
from swath.store.trials import Trial, outcome_of

_EDGE = 1e-6
_TOTAL_FROM_ONE = 0.02  # by which the probabilities of a single-label task may miss a sum of 1


def import_model(
    storage: Storage, sweep: str, name: str, oof: str | Path, test: str | Path | None = None, task: str = ""
) -> list[str]:
    """Admit a model's predictions to a sweep.

    Args:
        storage: The store.
        sweep: The sweep; it must have been started once, so that the store knows its images and folds.
        name: What reports call the model.
        oof: csv of an id column and a probability for each label, for every image that validates in the sweep: each
            predicted by a model that did not train on it.
        test: The same for every test image; None makes it a member that cannot be submitted.
        task: Label of the task, where the sweep has several.

    Returns:
        Fingerprints of the trials it became, one per fold.

    Raises:
        InputError: Unknown sweep or task; labels, ids or probabilities that do not fit.
    """
    sweep_record = sweeps_.read_sweep(storage, sweep)
    if sweep_record is None:
        raise InputError(unknown("sweep", sweep, sweeps_.sweep_names(storage)))
    if not re.fullmatch(r"[A-Za-z0-9][\w. -]{0,59}", name):
        raise InputError(f"name {name!r}: use letters, digits, spaces, '_', '-' and '.', at most 60.")
    data = _data(sweep_record, task)
    record = tasks_.read_task(storage, data)
    folds = tasks_.read_folds(storage, data, sweep_record.split)
    validates = np.flatnonzero((folds >= 0) & (record.rows["bad"] == "").to_numpy())
    p_val, problems = _read(Path(oof), record, validates)
    p_test = None
    if test:
        p_test, test_problems = _read(Path(test), record, record.part("test"))
        problems = [*problems, *test_problems]
    raise_if_any(problems)
    link = "sigmoid" if record.kind == "multilabel" else "softmax"
    listed_trials = []
    for fold in range(int(folds.max()) + 1):
        here = folds[validates] == fold
        content = hashlib.sha256(name.encode() + data.encode() + bytes([fold]) + p_val[here].tobytes()).hexdigest()
        trial = Trial(storage, content[:20])
        trial.write_spec({"imported": name, "kind": record.kind, "metric": record.metric, "data": data, "link": link})
        ids = record.rows["id"].to_numpy(str)
        trial.write_logits("val/1", ids[validates[here]], _logits(p_val[here], record.kind))
        if p_test is not None:
            trial.write_logits("test", ids[record.part("test")], _logits(p_test, record.kind))
        trial.finish(outcome_of(State.COMPLETE, pd.DataFrame([{"epoch": 1, "score": float("nan"), "seconds": 0.0}])))
        listed_trials.append(
            ListedTrial(
                fingerprint=content[:20],
                cell=f"import {name}",
                factors={},
                baseline=False,
                data=data,
                fold=fold,
                seed=0,
                epochs=1,
                rungs=(),
            )
        )
    imports = sweeps_.read_imports(storage, sweep)
    others = [t for t in imports if (t.cell, t.data) != (f"import {name}", data)]
    sweeps_.write_imports(storage, sweep, [*others, *listed_trials])
    return [t.fingerprint for t in listed_trials]


def _data(sweep: SweepRecord, task: str) -> str:
    by_label = {t.label: t.data for t in sweep.tasks}
    if task and task not in by_label:
        raise InputError(unknown("task", task, by_label))
    if not task and len(by_label) > 1:
        raise InputError(f"the sweep has {len(by_label)} tasks ({', '.join(by_label)}): name one with --task.")
    return by_label[task] if task else next(iter(by_label.values()))


def _read(path: Path, record: TaskRecord, rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], list[str]]:
    """[len(rows), C] probabilities of a csv, in the order of the rows, and what is wrong with them."""
    empty = np.empty((len(rows), len(record.labels)))
    try:
        table = pd.read_csv(path, dtype={0: str})
    except (OSError, ValueError) as error:
        return empty, [f"{path} cannot be read as csv: {error}"]
    table = table.set_index(table.columns[0])
    ids = record.rows["id"].to_numpy(str)[rows]
    problems = [*_column_problems(path, table, record), *_id_problems(path, table, ids)]
    if problems:
        return empty, problems
    p = table.loc[ids, list(record.labels)].to_numpy(np.float64)
    return p, _probability_problems(path, p, record.kind)


def _probability_problems(path: Path, p: NDArray[np.float64], kind: str) -> list[str]:
    if not (np.isfinite(p).all() and (p >= 0).all() and (p <= 1).all()):
        return [f"{path}: probabilities must be from 0 to 1; apply the sigmoid or softmax first."]
    if kind == "multiclass" and (abs(p.sum(axis=1) - 1) > _TOTAL_FROM_ONE).any():
        return [f"{path}: the probabilities of a row must sum to 1 for this single-label task."]
    return []


def _column_problems(path: Path, table: pd.DataFrame, record: TaskRecord) -> list[str]:
    missing = [label for label in record.labels if label not in table.columns]
    if missing:
        return [f"{path} lacks the columns {missing[:5]}: give an id column and one probability per label."]
    text = [label for label in record.labels if not pd.api.types.is_numeric_dtype(table[label])]
    return [f"{path}: the columns {text[:5]} are no numbers."] if text else []


def _id_problems(path: Path, table: pd.DataFrame, ids: NDArray[np.str_]) -> list[str]:
    if table.index.has_duplicates:
        return [f"{path} has the id {table.index[table.index.duplicated()][0]!r} more than once."]
    missing = ids[~pd.Index(ids).isin(table.index)]
    if len(missing):
        return [f"{path} lacks {len(missing)} of the {len(ids)} images, e.g. {missing[0]!r}: predict all of them."]
    return []


def _logits(p: NDArray[np.float64], kind: str) -> NDArray[np.float16]:
    """What the link turns back into the probabilities."""
    q = np.clip(p, _EDGE, 1 - _EDGE)
    return (logit(q) if kind == "multilabel" else np.log(q)).astype(np.float16)
