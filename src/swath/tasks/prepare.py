"""A task as a sweep will use it: rows read, files looked at, groups formed, images divided, the data fingerprint."""

import contextlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from swath.config.splits import Split, stratified_half
from swath.config.sweep import Sweep
from swath.config.task import SubmissionForm, Task
from swath.core.description import digest
from swath.core.errors import InputError
from swath.store import file_hashes as contents
from swath.store.storage import Storage
from swath.store.tasks import TaskRecord, read_folds
from swath.tasks.groups import joined

BAD_SHARE_ALLOWED = 0.01


@dataclass(frozen=True)
class TaskPlan:
    """A task as read and looked at.

    Attributes:
        task: The source.
        record: What the store will keep of it.
        data: Data fingerprint.
        paths: Image file of each row of the record.
        digests: Content hash of each row's file.
        folds: Fold that validates on each row, -1 for none.
        hires_paths: High-resolution version of each row's image, "" where it has none.
        hires_digests: Content hash of each of them; empty until a chain reads them.
        notes: What the user should know, and that stops nothing.
    """

    task: Task
    record: TaskRecord
    data: str
    paths: tuple[str, ...]
    digests: tuple[str, ...]
    folds: NDArray[np.int64]
    hires_paths: tuple[str, ...] = ()
    hires_digests: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def fold_count(self) -> int:
        """Number of folds of the split."""
        return int(self.folds.max()) + 1

    def with_hires(self, memory: Path) -> "TaskPlan":
        """The same with the high-resolution images looked at; a damaged one makes its row a bad image."""
        here = [i for i, path in enumerate(self.hires_paths) if path]
        infos = contents.inspect([self.hires_paths[i] for i in here], memory)
        digests = [""] * len(self.paths)
        for i, info in zip(here, infos, strict=True):
            digests[i] = info.digest
        ids = self.record.rows["id"].to_numpy()
        self.record.leave_out(
            {ids[i]: f"high-resolution version {x.problem}" for i, x in zip(here, infos, strict=True) if x.problem}
        )
        return replace(self, hires_digests=tuple(digests))


def plan_task(task: Task, sweep: Sweep, memory: Path, storage: Storage | None = None) -> TaskPlan:
    """Read a task, look at its files, divide its images.

    Args:
        task: The source.
        sweep: Gives the split and the number of training images.
        memory: Folder that remembers content hashes.
        storage: The store. Images that it has divided by this split stay as they are: its trials were trained so.

    Raises:
        InputError: Lists what is wrong with the data.
    """
    images = task.images
    if not all(map(str.strip, images.rows["path"])):
        raise InputError(f"task {task.label}: {(images.rows['path'] == '').sum()} rows have no image path.")
    infos = contents.inspect(images.rows["path"].tolist(), memory)
    task_groups = [images.rows["group"].tolist()] if "group" in images.rows else []
    groups = joined([i.digest for i in infos], *task_groups)
    split = images.rows["split"].to_numpy()
    train = np.flatnonzero(split == "train")
    keep = np.ones(len(split), bool)
    notes = []
    if 0 < sweep.max_train_images < len(train):
        _check_divisible(task, groups[train], 2)
        spread = _spread(images.rows, images.targets)
        keep[train] = stratified_half(spread[train], groups[train], sweep.max_train_images / len(train), 0)
        notes.append(f"{task.label}: {keep[train].sum():,} of {len(train):,} training images are used.")
    if sweep.max_test_images > 0:
        keep[np.flatnonzero(split == "test")[sweep.max_test_images :]] = False
    rows = pd.DataFrame({"id": images.rows["id"], "split": split, "group": groups, "bad": [i.problem for i in infos]})[
        keep
    ].reset_index(drop=True)
    targets = images.targets[keep]
    digests = tuple(i.digest for i, k in zip(infos, keep, strict=True) if k)
    paths = tuple(images.rows["path"][keep])
    record = TaskRecord(
        label=task.label,
        kind=task.kind,
        metric=task.metric,
        labels=images.labels,
        rows=rows,
        targets=targets,
        submission=_submission_form(task, rows),
    )
    note = bad_image_note(record)
    if note:
        notes.append(note)
    strata = [images.rows["stratum"][keep].tolist()] if "stratum" in images.rows else []
    data = digest(
        [
            [task.label, task.kind, task.metric, list(images.labels), record.submission and asdict(record.submission)],
            rows[["id", "split", "group"]].to_numpy().tolist(),
            targets.tobytes().hex(),
            list(digests),
            *strata,
        ]
    )
    folds = np.full(len(rows), -1, np.int64)
    if isinstance(sweep.split, Split) and not sweep.split.problems():
        kept = _kept_folds(storage, data, sweep.split, len(rows)) if storage else None
        folds = _divided(task, sweep.split, rows, _spread(images.rows[keep], targets)) if kept is None else kept
    hires = images.rows["hires_path"][keep] if "hires_path" in images.rows else [""] * len(rows)
    return TaskPlan(
        task=task,
        record=record,
        data=data,
        paths=paths,
        digests=digests,
        folds=folds,
        hires_paths=tuple(hires),
        notes=tuple(notes),
    )


def _kept_folds(storage: Storage, data: str, split: Split, rows: int) -> NDArray[np.int64] | None:
    """The fold that validates on each row, as the store has it; None where it has no split that can be read."""
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError):  # ValueError: no whole parquet file
        kept = read_folds(storage, data, split.canonical())
        return kept if len(kept) == rows else None
    return None


def _divided(task: Task, split: Split, rows: pd.DataFrame, spread: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The fold that validates on each row, -1 for none."""
    train = np.flatnonzero(rows["split"] == "train")
    groups = rows["group"].to_numpy()[train]
    _check_divisible(task, groups, max(2, split.folds))
    folds = np.full(len(rows), -1, np.int64)
    folds[train] = split.validation_folds(spread[train], groups)
    return folds


def _check_divisible(task: Task, groups: NDArray[np.int64], parts: int) -> None:
    group_count = len(np.unique(groups))
    if group_count < parts:
        part_names = "training and validation" if parts == 2 else f"{parts} folds"
        cure = "Add images, or give them finer groups." if parts == 2 else "Add images, or take fewer folds."
        raise InputError(
            f"task {task.label}: {len(groups)} training images in "
            f"{'one group' if group_count == 1 else f'{group_count} groups'} cannot be split into {part_names}. {cure}"
        )


def _spread(rows: pd.DataFrame, targets: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What a split spreads evenly: [N, C] the labels, and a column for each of the source's strata."""
    if "stratum" not in rows:
        return targets
    return np.hstack([targets, pd.get_dummies(rows["stratum"]).to_numpy(np.uint8)])


def _submission_form(task: Task, rows: pd.DataFrame) -> SubmissionForm | None:
    """The form of a submission, without the test images that are not used."""
    form = task.images.submission
    used = set(rows["id"])
    return form and replace(form, ids=tuple(i for i in form.ids if i in used))


def bad_image_note(record: TaskRecord) -> str:
    """What is said of images that cannot be used, "" when all can.

    Raises:
        InputError: One in a hundred or more of them cannot be used.
    """
    bad = record.rows[record.rows["bad"] != ""]
    if bad.empty:
        return ""
    shown = "; ".join(f"{row.id} {row.bad}" for row in bad.head(10).itertuples())
    more = f"; and {len(bad) - 10} more" if len(bad) > 10 else ""
    text = f"{record.label}: {len(bad)} of {len(record.rows):,} images cannot be used: {shown}{more}."
    if len(bad) >= BAD_SHARE_ALLOWED * len(record.rows):
        raise InputError(
            f"{text} A sweep goes on without bad images while they are under {BAD_SHARE_ALLOWED:.0%}: "
            "check the folder the data came from, restore the files, or drop their rows from the csv."
        )
    return f"{text} The sweep goes on without them; a bad test image is submitted with the training prior."
