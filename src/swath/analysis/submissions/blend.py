"""Mixing submission files, whoever made them: weighted means of probabilities or of ranks, or a vote over labels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from swath.analysis.ensembles.rules import ranks
from swath.core.errors import InputError, raise_if_any
from swath.store.storage import write_atomic


def blend(files: Sequence[str | Path], out: str | Path, weights: Sequence[float] = (), by_rank: bool = False) -> Path:
    """Mix submissions of one competition into one more, in the form and row order of the first.

    Columns of numbers are averaged; a file whose one answer column holds text is a vote for each row, ties going to
    the file named first.

    Args:
        files: Two or more csv files with the same id column, ids and columns, rows in any order.
        out: The csv file to write.
        weights: One per file, 0 or more, not all 0; () weighs all alike. Only their ratios matter.
        by_rank: Average the ranks of the rows within each column, scaled to 0..1, instead of the numbers.

    Raises:
        InputError: Lists what does not fit.
    """
    shares = np.array(weights or [1.0] * len(files), dtype=np.float64)
    problems = []
    if len(files) < 2:
        problems.append(f"{len(files)} file to blend: give two or more.")
    if len(shares) != len(files):
        problems.append(f"{len(shares)} weights for {len(files)} files: give one for each.")
    if not np.isfinite(shares).all() or (shares < 0).any() or not shares.any():
        problems.append(f"weights {', '.join(f'{w:g}' for w in shares)}: give numbers of 0 or more, not all 0.")
    raise_if_any(problems)
    tables = _aligned(files)
    path = Path(out)
    first = tables[0]
    text = [t.shape[1] == 1 and not pd.api.types.is_numeric_dtype(t.iloc[:, 0]) for t in tables]
    if all(text):
        if by_rank:
            raise InputError("labels as text have no ranks: leave the option --rank out.")
        mixed = _vote(tables, shares)
    else:
        _check_numbers(files, tables)
        total = np.zeros(first.shape)
        for table, share in zip(tables, shares / shares.sum(), strict=True):
            values = table.to_numpy(np.float64)
            total += share * (ranks(values) if by_rank else values)
        mixed = pd.DataFrame(total, index=first.index, columns=first.columns)
    write_atomic(path, mixed.to_csv(float_format="%.6f", lineterminator="\n").encode())
    return path


def _aligned(files: Sequence[str | Path]) -> list[pd.DataFrame]:
    """The tables by id, with the rows and columns of the first in its order."""
    tables, problems = [], []
    for file in files:
        try:
            table = pd.read_csv(file, dtype={0: str})
        except (OSError, ValueError) as error:
            problems.append(f"{file} cannot be read as csv: {error}. Give submission files.")
            continue
        if table.shape[1] < 2:
            problems.append(f"{file} has {table.shape[1]} column: a submission has an id and one or more answers.")
            continue
        table = table.set_index(table.columns[0])
        if table.index.has_duplicates:
            repeated = table.index[table.index.duplicated()][0]
            problems.append(f"{file} has the id {repeated!r} more than once.")
        tables.append(table)
    raise_if_any(problems)
    first = tables[0]
    for file, table in zip(files[1:], tables[1:], strict=True):
        if set(table.columns) != set(first.columns) or table.index.name != first.index.name:
            odd = sorted({*table.columns, str(table.index.name)} ^ {*first.columns, str(first.index.name)})
            problems.append(f"{file} and {files[0]} differ in the columns {odd[:5]}: blend files of one competition.")
        elif set(table.index) != set(first.index):
            odd = sorted(set(table.index) ^ set(first.index))
            problems.append(f"{file} and {files[0]} differ in {len(odd)} ids, e.g. {odd[0]!r}.")
    raise_if_any(problems)
    return [table.loc[first.index, list(first.columns)] for table in tables]


def _check_numbers(files: Sequence[str | Path], tables: Sequence[pd.DataFrame]) -> None:
    problems = []
    for file, table in zip(files, tables, strict=True):
        odd = [c for c in table.columns if not pd.api.types.is_numeric_dtype(table[c])]
        if odd:
            problems.append(f"{file}: the columns {odd[:5]} hold text; all files must hold numbers, or all one label.")
        elif not np.isfinite(table.to_numpy(np.float64)).all():
            problems.append(f"{file} has values that are not numbers.")
    raise_if_any(problems)


def _vote(tables: Sequence[pd.DataFrame], shares: np.ndarray) -> pd.DataFrame:
    """For each row the label with the most weight behind it."""
    answers = pd.concat([t.iloc[:, 0] for t in tables], axis=1).to_numpy(object)
    chosen = []
    for row in answers:
        weight: dict[str, float] = {}
        for label, share in zip(row, shares, strict=True):
            weight[label] = weight.get(label, 0.0) + float(share)
        chosen.append(max(weight, key=lambda label: weight[label]))
    return pd.DataFrame({tables[0].columns[0]: chosen}, index=tables[0].index)
