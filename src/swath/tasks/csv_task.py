"""Your own data: csv tables with an id, a path and the label(s)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from swath.config.task import Images, Kind, SubmissionForm, Task, one_hot
from swath.core.errors import raise_if_any
from swath.tasks.csv_reader import (
    binary_targets,
    data_folder,
    id_problems,
    image_paths,
    labels_outside,
    read_tables,
)


@dataclass(frozen=True)
class Csv(Task):
    """A csv table of training images and, if there is one, of test images.

    Give `label_column` for a single-label task (text), or leave it empty for a multi-label task (0/1 columns).

    Attributes:
        root: Folder that csv names and image paths are relative to.
        train: Name of the training table.
        test: Name of the test table (same id and path columns), "" for none.
        id_column: Column of unique ids; "" takes the file name without its ending.
        path_column: Column of image paths.
        label_column: Column that holds the label as text; "" for multi-label.
        label_columns: The 0/1 columns of a multi-label task; () takes all columns not named elsewhere.
        labels_allowed: The label set of a single-label task; () takes it from the training table.
        group_column: Column of groups that a split keeps together, "" for none.
        hires_column: Column of paths to higher-resolution versions, "" for none.
        title: The task's name on reports and in the store.
    """

    name: ClassVar[str] = "csv"
    root: str = "data"
    train: str = "train.csv"
    test: str = ""
    id_column: str = "id"
    path_column: str = "path"
    label_column: str = ""
    label_columns: tuple[str, ...] = ()
    labels_allowed: tuple[str, ...] = ()
    group_column: str = ""
    hires_column: str = ""
    title: str = "csv"

    @property
    def label(self) -> str:
        """The title."""
        return self.title

    @property
    def kind(self) -> Kind:  # type: ignore[override]
        """`multiclass` with a label column, else `multilabel`."""
        return "multiclass" if self.label_column else "multilabel"

    @property
    def metric(self) -> str:  # type: ignore[override]
        """`macro_f1` for single-label tasks, `map` for multi-label ones."""
        return "macro_f1" if self.label_column else "map"

    def read(self) -> Images:
        root = data_folder(self.root)
        places = [c for c in (self.id_column, self.path_column, self.group_column, self.hires_column) if c]
        answer = [self.label_column] if self.label_column else list(self.label_columns)
        required_columns: dict[str, Sequence[str]] = {self.train: places + answer}
        if self.test:
            required_columns[self.test] = [c for c in (self.id_column, self.path_column) if c]
        train, *tests = read_tables(root, required_columns)
        if self.label_column:
            labels = self.labels_allowed or tuple(sorted(set(train[self.label_column]) - {""}))
            problems = labels_outside(self.train, train[self.label_column], labels)
            targets = one_hot(train[self.label_column], labels)
        else:
            labels = self.label_columns or tuple(c for c in train.columns if c not in places)
            targets, problems = binary_targets(self.train, train, labels)
        parts = [self._rows(root, train, "train"), *(self._rows(root, test, "test") for test in tests)]
        rows = pd.concat(parts, ignore_index=True)
        raise_if_any([*problems, *id_problems(" and ".join(required_columns), rows["id"])])
        padded = np.concatenate([targets, np.zeros((len(rows) - len(train), len(labels)), np.uint8)])
        return Images(rows, labels, padded, self._submission(parts[1], labels) if tests else None)

    def _rows(self, root: Path, table: pd.DataFrame, split: str) -> pd.DataFrame:
        paths = table[self.path_column]
        ids = table[self.id_column] if self.id_column else paths.str.replace(r"^.*/|\.[^.]*$", "", regex=True)
        rows = pd.DataFrame({"id": ids, "path": image_paths(root, paths), "split": split})
        for column, name in ((self.group_column, "group"), (self.hires_column, "hires_path")):
            if column:
                values = table[column] if column in table else pd.Series([""] * len(table))
                rows[name] = list(image_paths(root, values) if name == "hires_path" else values)
        return rows

    def _submission(self, test: pd.DataFrame, labels: tuple[str, ...]) -> SubmissionForm:
        columns = (self.label_column,) if self.label_column else labels
        return SubmissionForm(self.id_column or "id", tuple(test["id"]), columns)
