"""Reading csv files the way every source needs it: all problems collected, ids and labels kept as text."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from swath.core.errors import raise_if_any
from swath.store.paths import absolute


class Reader:
    """Reads the csv files of one folder and collects what is wrong with them.

    Args:
        root: The folder image paths and csv names are relative to.
    """

    def __init__(self, root: str) -> None:
        self.root = Path(absolute(root, "the data folder"))
        self.problems: list[str] = []
        if not self.root.is_dir():
            self.problems.append(
                f"folder {str(root)!r} does not exist (looked at {self.root}). Give the folder that holds the data."
            )

    def tables(self, wanted: dict[str, Sequence[str]]) -> list[pd.DataFrame]:
        """The csv files named, every cell as text.

        Args:
            wanted: File name to the columns it must have.

        Raises:
            InputError: Lists every file and column that is missing, of all files.
        """
        frames = [self._table(name, columns) for name, columns in wanted.items()]
        raise_if_any(self.problems)
        return [frame for frame in frames if frame is not None]

    def _table(self, name: str, columns: Sequence[str]) -> pd.DataFrame | None:
        path = self.root / name
        if not self.root.is_dir():
            return None
        if not path.is_file():
            there = ", ".join(sorted(p.name for p in self.root.glob("*.csv"))) or "no csv file"
            self.problems.append(f"file {name} is missing in {self.root} (found {there}). The task reads it.")
            return None
        try:
            with warnings.catch_warnings():
                # Rows longer than the header would otherwise shift every column by one, or lose their end.
                warnings.simplefilter("error", pd.errors.ParserWarning)
                sep = _separator(path)
                frame = pd.read_csv(
                    path, sep=sep, dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False
                )
        except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
            self.problems.append(
                f"file {path} is no readable csv file: {str(error).strip().rstrip('.')}. "
                "Save it as UTF-8 text with as many fields in a row as in the header, separated by commas, semicolons "
                "or tabs."
            )
            return None
        missing = [c for c in columns if c not in frame.columns]
        if missing:
            found = ", ".join(map(repr, frame.columns[:12]))
            self.problems.append(f"file {path} lacks the column(s) {', '.join(map(repr, missing))}; it has {found}.")
            return None
        return frame

    def paths(self, column: pd.Series, folder: str = "") -> pd.Series:
        """Absolute image paths of a column of paths relative to the root, or a folder of it (`./train/x.jpg`)."""
        base = self.root / folder
        # Not Path.resolve(): that would ask the file system about every part of every path.
        return column.map(lambda p: os.path.normpath(base / str(p)) if p else "")

    def binary(self, name: str, frame: pd.DataFrame, labels: Sequence[str]) -> NDArray[np.uint8]:
        """Label columns as uint8 [N, C]; anything but 0 and 1 is noted as a problem."""
        numbers = frame[list(labels)].apply(pd.to_numeric, errors="coerce").to_numpy(float)
        wrong = ~((numbers == 0) | (numbers == 1))
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            self.problems.append(
                f"{name}: {int(wrong.sum())} label values are neither 0 nor 1, e.g. "
                f"{frame[labels[column]].iloc[row]!r} in column {labels[column]!r}, data row {row + 1}. "
                "A multi-label table holds 0 or 1 for every image and label."
            )
        return np.where(wrong, 0, numbers).astype(np.uint8)

    def unique_ids(self, name: str, ids: pd.Series) -> None:
        """Note it when an id is empty or stands for more than one image."""
        repeated = ids[ids.duplicated() & (ids != "")].unique()
        if len(repeated):
            self.problems.append(
                f"{name}: {len(repeated)} ids stand for more than one row, e.g. {repeated[0]!r}. Ids must be unique "
                "over training and test images: remove or rename the repeated rows."
            )
        if (ids == "").any():
            self.problems.append(f"{name}: {int((ids == '').sum())} rows have an empty id. Give every image its own.")

    def same_ids(self, sample: pd.DataFrame, test: pd.DataFrame, id_column: str) -> None:
        """Note it when the sample submission and the test table name different images, or one twice."""
        self.unique_ids("sample_submission.csv", sample[id_column])
        extra = set(sample[id_column]) ^ set(test[id_column])
        if extra:
            self.problems.append(
                f"sample_submission.csv and test.csv in {self.root} differ in {len(extra)} ids, e.g. "
                f"{sorted(extra)[0]!r}. They must name the same images."
            )


def labels_outside(name: str, text: pd.Series, labels: Sequence[str]) -> list[str]:
    """A sentence when some texts are none of the labels."""
    outside = sorted(set(text) - set(labels))
    if not outside:
        return []
    allowed = ", ".join(map(repr, labels[:30])) + (" ..." if len(labels) > 30 else "")
    shown = ", ".join(map(repr, outside[:5]))
    return [f"{name}: the label(s) {shown} are outside the set. Allowed: {allowed}."]


def _separator(path: Path) -> str:
    """What separates the fields: spreadsheets of half the world write semicolons. The most frequent in the header."""
    with path.open(encoding="utf-8-sig") as file:
        header = file.readline()
    return max(",;\t", key=header.count)
