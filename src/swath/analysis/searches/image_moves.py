"""How the scores of cells move together when the validation images are drawn again."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from swath.analysis.cells import CellResult
from swath.analysis.image_variance import FoldEvidence
from swath.analysis.results import TaskResults

Floats = NDArray[np.float64]


def image_moves(
    task: TaskResults, cells: Sequence[CellResult], evidence: Sequence[FoldEvidence], draws: int, seed: int = 0
) -> Floats | None:
    """Draws [draws, N] of what other images would change in the score of each of N cells.

    Args:
        task: The task.
        cells: The cells.
        evidence: What was read of the task's trials, fold by fold.
        draws: How many.
        seed: Of the draws.

    Returns:
        None where a trial of a cell is not in the evidence: trials that a stopping rule might have ended are not.
    """
    rng = np.random.default_rng(seed)
    moves = np.zeros((draws, len(cells)))
    numbers = {trial.fingerprint: number for number, trial in enumerate(task.trials)}
    for found in evidence:
        fold = task.trials[int(found.trials[0])].fold
        places = {int(number): at for at, number in enumerate(found.trials)}
        weights = np.zeros((len(found.trials), len(cells)))
        for column, cell in enumerate(cells):
            for at in _places(cell, fold, numbers, places):
                weights[at, column] = 1 / (len(cell.runs) * len(task.validation))
        if not np.allclose(weights.sum(axis=0) * len(task.validation), 1):
            return None
        moves += _drawn(found, rng, draws) @ weights
    return moves if evidence and np.isfinite(moves).all() else None


def _places(cell: CellResult, fold: int, numbers: Mapping[str, int], places: Mapping[int, int]) -> list[int]:
    of_fold = [numbers[t.fingerprint] for t in cell.trials if t.fold == fold]
    return [places[number] for number in of_fold if number in places]


def _drawn(found: FoldEvidence, rng: np.random.Generator, draws: int) -> Floats:
    """Changes [draws, t] of the trials' scores in one fold, with the covariance of `FoldEvidence.variance`."""
    if found.drawn is not None:
        whole = found.drawn[np.isfinite(found.drawn).all(axis=1)]
        return (whole - whole.mean(axis=0))[rng.integers(len(whole), size=draws)]
    groups = found.derivative.shape[1]
    if groups < 2:
        return np.full((draws, len(found.trials)), np.nan)
    larger = np.sqrt(groups / (groups - 1))
    return larger * rng.standard_normal((draws, groups)) @ found.derivative.T.astype(np.float64)
