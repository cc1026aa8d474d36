"""A preprocessing on a task, for one fold: weight files found and hashed, rows chosen, cache entries named."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from swath.config.chains import Chain, Ops, Preprocess, for_test, for_train, label, unsized
from swath.config.ops import Both, Hires, Op
from swath.core.description import digest
from swath.core.errors import InputError
from swath.preprocess.cache.entry import EntryPlan
from swath.preprocess.chain_identity import NO_WEIGHTS, Weights
from swath.store import file_hashes as contents
from swath.store.paths import absolute
from swath.tasks.prepare import TaskPlan


@dataclass(frozen=True)
class ChainPlan:
    """What a trial takes from its preprocessing.

    Attributes:
        preprocess: The chain without the places of its model files: with the two hashes its identity.
        op_weights: SHA-256 of the model file of each op, train chain first; () when none has any.
        hires: Hash over the high-resolution images, where the chain reads them, else "".
        entries: Its cache entries: `train` (training rows through the train chain; with `train_hires` beside it, their
            high-resolution versions, when it begins with `Both`), `val` (training rows through the test chain) and,
            where there are test images, `test`.
    """

    preprocess: Preprocess
    op_weights: tuple[str, ...]
    hires: str
    entries: dict[str, EntryPlan]


def plan_chain(task: TaskPlan, preprocess: Preprocess, fold: int) -> ChainPlan:
    """Plan a finished preprocessing (`chains.finished`) that has no problems.

    Entries of cheap chains hold every row of their part, so that sweeps and splits share them; entries of chains with
    an expensive op only the rows that some fold needs, or, where a model belongs to a fold, that fold.
    """
    train, test = for_train(preprocess), for_test(preprocess)
    both_ways = train == test
    fitted = {half: fitted_to_folds(half, task.fold_count) for half in (train, test)}
    train_rows = _rows(task, "train", train, fold, fitted[train], both_ways)
    if train and isinstance(train[0], Both):
        entries = {
            "train": _entry(task, "train", train[1:], fold, train_rows),
            "train_hires": _entry(task, "train", (Hires(), *train[1:]), fold, train_rows),
        }
    else:
        entries = {"train": _entry(task, "train", train, fold, train_rows)}
    entries["val"] = _entry(task, "train", test, fold, _rows(task, "val", test, fold, fitted[test], both_ways))
    entries["test"] = _entry(task, "test", test, fold, _rows(task, "test", test, fold, fitted[test], both_ways))
    hashes = [w.sha256 for half in (train, test) for w in chain_weights(half, fold)]
    anonymous = Chain(train=tuple(op.without_file() for op in train), test=tuple(op.without_file() for op in test))
    return ChainPlan(
        anonymous.train if both_ways else anonymous,
        tuple(hashes) if any(hashes) else (),
        digest(list(task.hires_digests)) if reads_hires(preprocess) else "",
        {part: entry for part, entry in entries.items() if entry.ids},
    )


def _entry(task: TaskPlan, part: str, half: Ops, fold: int, rows: NDArray[np.int64]) -> EntryPlan:
    hires = bool(half) and isinstance(half[0], Hires)
    paths, digests = (task.hires_paths, task.hires_digests) if hires else (task.paths, task.digests)
    weights = chain_weights(half, fold)
    return EntryPlan(
        part=part,
        chain=half,
        paths=tuple(paths[i] for i in rows),
        ids=tuple(task.record.rows["id"].to_numpy()[rows]),
        digests=tuple(digests[i] for i in rows),
        weights=weights if any(w.sha256 for w in weights) else (),
    )


def _rows(task: TaskPlan, part: str, half: Ops, fold: int, fitted: bool, both_ways: bool) -> NDArray[np.int64]:
    """Rows of the task's table that an entry holds."""
    split = task.record.rows["split"].to_numpy()
    if part == "test":
        return np.flatnonzero(split == "test")
    if both_ways or not any(op.expensive for op in half):
        return np.flatnonzero(split == "train")
    if part == "val":
        return np.flatnonzero(task.folds == fold if fitted else task.folds >= 0)
    trains = task.folds != fold if fitted or task.fold_count == 1 else np.ones(len(split), bool)
    return np.flatnonzero((split == "train") & trains)


def reads_hires(preprocess: Preprocess) -> bool:
    """True if any half starts from high-resolution images."""
    halves = (for_train(preprocess), for_test(preprocess))
    return any(half and isinstance(half[0], Hires | Both) for half in halves)


def fitted_to_folds(half: Ops, folds: int) -> bool:
    """True if some op has another model file on another fold."""
    return any(len({op.weight_file(fold) for fold in range(folds)}) > 1 for op in half)


def chain_weights(half: Ops, fold: int) -> tuple[Weights, ...]:
    """The model file of each op on a fold."""
    return tuple(op_weights(op, fold) for op in half)


def op_weights(op: Op, fold: int) -> Weights:
    """The model file of an op on a fold, with the hash of its content.

    Raises:
        InputError: The file does not exist.
    """
    given = op.weight_file(fold)
    if not given:
        released = op.weight_sha256()
        return Weights("", released) if released else NO_WEIGHTS
    file = absolute(given, f"the model file of {op.canonical()}")
    try:
        stat = Path(file).stat()
        return Weights(file, _sha256(file, stat.st_size, stat.st_mtime_ns))
    except OSError as error:
        raise InputError(
            f"{op.canonical()}: the model file {given!r} cannot be read: {error.strerror}. Give the path of a file "
            "that every node can read."
        ) from error


@cache
def _sha256(file: str, size: int, mtime_ns: int) -> str:  # a changed file is another call
    return contents.file_sha256(file)


def chain_problems_on(task: TaskPlan, preprocess: Preprocess) -> Iterator[str]:
    """Sentences about what a preprocessing needs and the task, or this machine, does not have."""
    for half, part in ((for_train(preprocess), "train"), (for_test(preprocess), "test")):
        for op in half:
            for fold in range(task.fold_count):
                try:
                    op_weights(op, fold)
                except InputError as error:
                    yield from error.problems
        if half and isinstance(half[0], Hires | Both):
            yield from _hires_problems(task, preprocess, half[0], part)


def _hires_problems(task: TaskPlan, preprocess: Preprocess, op: Op, part: str) -> Iterator[str]:
    name, where = type(op).__name__, f"preprocess={label(unsized(preprocess))}"
    if not any(task.hires_paths):
        yield (
            f"{where}: {name}() reads high-resolution versions, and task {task.record.label} has none (no hires_path). "
            f"Leave {name}() out, or use a task that has them, such as tasks.DaconBirds."
        )
        return
    split = task.record.rows["split"].to_numpy()
    lacks = np.array([not path for path in task.hires_paths])
    lacking = {s: int((lacks & (split == s)).sum()) for s in ("train", "test")}
    if part == "test" and lacking["test"]:
        yield (
            f"{where}: {lacking['test']:,} test images of {task.record.label} have no high-resolution version. Write "
            "chain(train=(ops.Hires(), ...), test=(...)): validation images then go through what test images go "
            "through, too."
        )
    if lacking["train"]:
        first = task.record.rows["id"].to_numpy()[np.flatnonzero(lacks & (split == "train"))[0]]
        yield (
            f"{where}: {lacking['train']:,} training images of {task.record.label} have no high-resolution version, "
            f"e.g. {first}. Give every training image one, or leave {name}() out."
        )
