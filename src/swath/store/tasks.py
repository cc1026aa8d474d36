"""What the store keeps of a task."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from swath.config.task import SubmissionForm
from swath.core.errors import StoreError
from swath.store.json_files import SCHEMA, read_record, write_record
from swath.store.layout import task_key
from swath.store.parquet import read_frame
from swath.store.storage import Storage


@dataclass(frozen=True)
class TaskRecord:
    """What the store keeps of a task, so that a report needs no data folder.

    Attributes:
        label: The task's label.
        kind: `multilabel` or `multiclass`.
        metric: `map` or `macro_f1`.
        labels: In order.
        rows: Per image `id`, `split`, `group` (index from 0) and `bad` (why it could not be used, "" if fine).
        targets: uint8 [len(rows), C].
        submission: Form of a submission file; None where there is nothing to submit.
    """

    label: str
    kind: str
    metric: str
    labels: tuple[str, ...]
    rows: pd.DataFrame
    targets: NDArray[np.uint8]
    submission: SubmissionForm | None

    def part(self, split: str) -> NDArray[np.int64]:
        """Row numbers of the usable images of `train` or `test`."""
        return np.flatnonzero((self.rows["split"] == split) & (self.rows["bad"] == ""))

    def leave_out(self, reasons: dict[str, str]) -> None:
        """Mark images as unusable, by id and why; a reason that is known already stays."""
        bad = self.rows["bad"]
        self.rows["bad"] = bad.where(bad != "", self.rows["id"].map(reasons).fillna(""))

    def prior(self) -> NDArray[np.float64]:
        """[C] share of each label among the usable training images: the row of a test image that cannot be read."""
        return self.targets[self.part("train")].mean(axis=0)


@dataclass(frozen=True)
class _TaskFile:
    """The content of task.json; the rows and targets of a record are in table.parquet beside it."""

    label: str
    kind: str
    metric: str
    labels: tuple[str, ...]
    submission: SubmissionForm | None
    schema: int = SCHEMA


def write_task(storage: Storage, data: str, record: TaskRecord) -> None:
    """Keep a task's record under its data fingerprint; task.json last."""
    table = pd.concat(
        [record.rows.reset_index(drop=True), pd.DataFrame(record.targets, columns=_target_columns(record.labels))],
        axis=1,
    )
    storage.write(task_key(data, "table.parquet"), table.to_parquet(index=False))
    file = _TaskFile(record.label, record.kind, record.metric, record.labels, record.submission)
    write_record(storage, task_key(data, "task.json"), file)


def read_task(storage: Storage, data: str) -> TaskRecord:
    """The record kept under a data fingerprint."""
    key = task_key(data, "task.json")
    file = read_record(storage, key, _TaskFile)
    if file is None:
        raise StoreError(f"{storage.root} has no {key}: the sweep that wrote it did not get that far. Run it again.")
    table = read_frame(storage.read(task_key(data, "table.parquet")))
    columns = _target_columns(file.labels)
    return TaskRecord(
        label=file.label,
        kind=file.kind,
        metric=file.metric,
        labels=file.labels,
        rows=table.drop(columns=columns),
        targets=table[columns].to_numpy(np.uint8),
        submission=file.submission,
    )


def bad_images(storage: Storage, data: str) -> dict[str, str]:
    """Ids of a kept task's unusable images, and why; empty for a task that is not kept."""
    raw = storage.read_or_none(task_key(data, "table.parquet"))
    if raw is None:
        return {}
    rows = read_frame(raw, ["id", "bad"])
    return dict(rows[rows["bad"] != ""].itertuples(index=False, name=None))


def _target_columns(labels: tuple[str, ...]) -> list[str]:
    return [f"target:{label}" for label in labels]


def write_folds(storage: Storage, data: str, split: str, folds: NDArray[np.int64]) -> None:
    """Keep a split: for each row of the task's table the fold that validates on it, -1 for none."""
    storage.write(task_key(data, f"splits/{split}.parquet"), pd.DataFrame({"fold": folds}).to_parquet(index=False))


def read_folds(storage: Storage, data: str, split: str) -> NDArray[np.int64]:
    """A kept split, one fold number per row of the task's table; FileNotFoundError where there is none."""
    raw = storage.read(task_key(data, f"splits/{split}.parquet"))
    return read_frame(raw, ["fold"])["fold"].to_numpy(np.int64)
