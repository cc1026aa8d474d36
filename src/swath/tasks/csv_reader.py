"""Reading csv files the way every source needs it: all problems collected, ids and labels kept as text."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from swath.core.errors import InputError, raise_if_any
from swath.store.paths import absolute


def data_folder(root: str) -> Path:
    """The folder that image paths and csv names of a task are relative to, as an absolute path.

    Raises:
        InputError: It does not exist.
    """
    folder = Path(absolute(root, "the data folder"))
    if not folder.is_dir():
        raise InputError(
            f"folder {str(root)!r} does not exist (looked at {folder}). Give the folder that holds the data."
        )
    return folder


def read_tables(
    root: Path, required_columns: dict[str, Sequence[str]], problems: Sequence[str] = ()
) -> list[pd.DataFrame]:
    """Csv files of a folder, every cell as text.

    Args:
        root: The folder.
        required_columns: File name to the columns it must have.
        problems: What is wrong already; raised before what is wrong with the files.

    Raises:
        InputError: Lists every file and column that is missing, of all files.
    """
    read = [_read_table(root, name, columns) for name, columns in required_columns.items()]
    raise_if_any([*problems, *(problem for _, table_problems in read for problem in table_problems)])
    return [frame for frame, _ in read]


def _read_table(root: Path, name: str, columns: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """A table and [], or an empty one and what is wrong with it."""
    path = root / name
    if not path.is_file():
        csv_names = ", ".join(sorted(p.name for p in root.glob("*.csv"))) or "no csv file"
        return pd.DataFrame(), [f"file {name} is missing in {root} (found {csv_names}). The task reads it."]
    try:
        with warnings.catch_warnings():
            # Rows longer than the header would otherwise shift every column by one, or lose their end.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            sep = _separator(path)
            frame = pd.read_csv(path, sep=sep, dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False)
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        return pd.DataFrame(), [
            f"file {path} is no readable csv file: {str(error).strip().rstrip('.')}. "
            "Save it as UTF-8 text with as many fields in a row as in the header, separated by commas, semicolons "
            "or tabs."
        ]
    missing = [c for c in columns if c not in frame.columns]
    if missing:
        column_names = ", ".join(map(repr, frame.columns[:12]))
        return frame, [f"file {path} lacks the column(s) {', '.join(map(repr, missing))}; it has {column_names}."]
    return frame, []


def image_paths(root: Path, column: pd.Series, folder: str = "") -> pd.Series:
    """Absolute image paths of a column of paths relative to the root, or a folder of it (`./train/x.jpg`)."""
    base = root / folder
    # Not Path.resolve(): that would ask the file system about every part of every path.
    return column.map(lambda p: os.path.normpath(base / str(p)) if p else "")


def binary_targets(name: str, frame: pd.DataFrame, labels: Sequence[str]) -> tuple[NDArray[np.uint8], list[str]]:
    """Label columns as targets[N, C], and a sentence when a value is neither 0 nor 1."""
    numbers = frame[list(labels)].apply(pd.to_numeric, errors="coerce").to_numpy(float)
    wrong = ~((numbers == 0) | (numbers == 1))
    targets = np.where(wrong, 0, numbers).astype(np.uint8)
    if not wrong.any():
        return targets, []
    row, column = np.argwhere(wrong)[0]
    return targets, [
        f"{name}: {int(wrong.sum())} label values are neither 0 nor 1, e.g. "
        f"{frame[labels[column]].iloc[row]!r} in column {labels[column]!r}, data row {row + 1}. "
        "A multi-label table holds 0 or 1 for every image and label."
    ]


def id_problems(name: str, ids: pd.Series) -> list[str]:
    """Sentences when an id stands for more than one image, or is empty."""
    problems = []
    repeated = ids[ids.duplicated() & (ids != "")].unique()
    if len(repeated):
        problems.append(
            f"{name}: {len(repeated)} ids stand for more than one row, e.g. {repeated[0]!r}. Ids must be unique "
            "over training and test images: remove or rename the repeated rows."
        )
    if (ids == "").any():
        problems.append(f"{name}: {int((ids == '').sum())} rows have an empty id. Give every image its own.")
    return problems


def sample_problems(root: Path, sample: pd.DataFrame, test: pd.DataFrame, id_column: str) -> list[str]:
    """Sentences when the sample submission and the test table name different images, or one twice."""
    problems = id_problems("sample_submission.csv", sample[id_column])
    extra = set(sample[id_column]) ^ set(test[id_column])
    if extra:
        problems.append(
            f"sample_submission.csv and test.csv in {root} differ in {len(extra)} ids, e.g. "
            f"{sorted(extra)[0]!r}. They must name the same images."
        )
    return problems


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
