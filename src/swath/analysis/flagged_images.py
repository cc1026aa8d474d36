"""Scores of cells on all validation images, and on those that the data audit does not doubt."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from swath.analysis.cells import CellResult, pooled_score
from swath.analysis.results import TaskResults


@dataclass(frozen=True)
class SoundScore:
    """A cell's score without the flagged images.

    Attributes:
        cell: The cell.
        score: Mean over its runs on the other validation images.
    """

    cell: CellResult
    score: float

    @property
    def difference(self) -> float:
        """What leaving the flagged images out adds to the cell's score."""
        return self.score - self.cell.score


@dataclass(frozen=True)
class SoundScores:
    """Cells scored without the flagged images.

    Attributes:
        images: Validation images over all folds.
        flagged: Those of them that are flagged.
        scores: One per cell, in their order; () where every image is flagged.
    """

    images: int
    flagged: int
    scores: tuple[SoundScore, ...]

    @property
    def same_order(self) -> bool:
        """True where the cells keep their order."""
        ordered = sorted(self.scores, key=lambda s: -s.score)
        return [s.cell.cell for s in ordered] == [s.cell.cell for s in self.scores]


def without_flagged(task: TaskResults, cells: Sequence[CellResult], flagged: frozenset[str]) -> SoundScores:
    """Score cells once more; their training images stay what they were.

    Args:
        task: The task.
        cells: Finished cells.
        flagged: Ids of images that are in doubt, whichever part they are in.
    """
    kept = ~task.record.rows["id"].iloc[task.validation_rows].isin(flagged).to_numpy()
    scores = [
        SoundScore(cell, float(np.mean([pooled_score(task, run.probabilities, kept) for run in cell.runs])))
        for cell in (cells if kept.any() else ())
    ]
    return SoundScores(len(kept), int((~kept).sum()), tuple(scores))
