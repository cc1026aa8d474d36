"""Rows whose labels were filled across neighbouring columns, found from the labels alone.

In some published label sets a few rows in a hundred have a whole block of neighbouring columns at 1, as a spreadsheet
fills it. Nothing in such a row is forbidden; it is only improbable: neighbours in the table (often in the order of
the alphabet) have little to do with each other, so a run of them has a probability that is a product of small numbers.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PERMUTATIONS = 20
FALSE_SHARE = 0.05
_ROUNDS = 5

Targets = NDArray[np.uint8]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FilledRun:
    """One row's improbable run.

    Attributes:
        row: Of the targets.
        first: Its first column.
        last: Its last column, inclusive.
        surprise: -log probability of going on from the first column to the last.
    """

    row: int
    first: int
    last: int
    surprise: float


def filled_runs(targets: Targets) -> list[FilledRun]:
    """Rows with a run of neighbouring labels far less probable than chance would put side by side.

    A row's surprise is the largest, over its runs of ones, of -sum log P(label j+1 | label j). The chance of each
    step is counted on the rows not under suspicion. How much surprise is too much is read from the same rows under
    random orders of the columns, which keep all that labels have to do with each other and only break their places
    in the table: the threshold is the smallest above which chance orders put at most one row for twenty of ours, and
    at least so high that the steps' own probabilities expect less than one such row in twenty data sets. Both are done
    again without the rows found, until none is added: spoiled rows make their own kind look probable.

    Args:
        targets: [N, C], 0 or 1.

    Returns:
        The runs, most surprising first.
    """
    n, labels = targets.shape
    if n < 20 or labels < 6:
        return []
    rng = np.random.default_rng(0)
    orders = [rng.permutation(labels) for _ in range(PERMUTATIONS)]
    spoiled = _long_runs(targets)
    for _ in range(_ROUNDS):
        surprise = _surprise(targets, ~spoiled)[0]
        chance = np.concatenate(
            [_surprise(targets[~spoiled][:, o], np.ones((~spoiled).sum(), bool))[0] for o in orders]
        )
        now = surprise >= _threshold(surprise, chance, n)
        if (now == spoiled).all():
            break
        spoiled = now
    surprise, ends, lengths = _surprise(targets, ~spoiled)
    rows = np.flatnonzero(spoiled)
    runs = [FilledRun(int(r), int(ends[r] - lengths[r] + 1), int(ends[r]), float(surprise[r])) for r in rows]
    return sorted(runs, key=lambda run: -run.surprise)


def _long_runs(targets: Targets) -> NDArray[np.bool_]:
    """The first suspicion: rows with a run of half their labels and at least a tenth of the columns, and 4."""
    least = max(4, targets.shape[1] // 10)
    longest = _run_lengths(targets).max(axis=1)
    return (longest >= least) & (longest > 0.5 * targets.sum(axis=1))


def _run_lengths(targets: Targets) -> NDArray[np.int64]:
    """[N, C] length of the run of ones that ends in each place."""
    lengths = np.zeros(targets.shape, np.int64)
    for column in range(targets.shape[1]):
        before = lengths[:, column - 1] if column else 0
        lengths[:, column] = np.where(targets[:, column] == 1, before + 1, 0)
    return lengths


def _surprise(targets: Targets, clean: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64]]:
    """Each row's most improbable run: its surprise, last column and length.

    The chance of a step has the label's own frequency as prior, worth one row.
    """
    counted = targets[clean]
    total = counted.sum(axis=0, dtype=np.int64)
    frequency = (total + 0.5) / (len(counted) + 1)
    both = (counted[:, 1:] & counted[:, :-1]).sum(axis=0, dtype=np.int64)
    step = -np.log((both + frequency[1:]) / (total[:-1] + 1))
    best = np.zeros(len(targets))
    ends = np.zeros(len(targets), np.int64)
    current = np.zeros(len(targets))
    for column in range(1, targets.shape[1]):
        goes_on = (targets[:, column] & targets[:, column - 1]) == 1
        current = np.where(goes_on, current + step[column - 1], 0.0)
        more = current > best
        best[more], ends[more] = current[more], column
    lengths = _run_lengths(targets)[np.arange(len(targets)), ends]
    return best, ends, lengths


def _threshold(surprise: Floats, chance: Floats, rows: int) -> float:
    """The least surprise from which on at most `FALSE_SHARE` of the rows are explained by chance orders."""
    floor = float(np.log(rows / FALSE_SHARE))
    ours = np.sort(surprise)[::-1]
    candidates = ours[ours >= floor]
    if not len(candidates):
        return np.inf
    chance = np.sort(chance)
    above = len(chance) - np.searchsorted(chance, candidates, side="left")
    false = (above + 1) / PERMUTATIONS / np.arange(1, len(candidates) + 1)
    allowed = np.flatnonzero(false <= FALSE_SHARE)
    return float(candidates[allowed[-1]]) if len(allowed) else np.inf
