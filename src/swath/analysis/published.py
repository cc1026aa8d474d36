"""Scores on record beside the sweep's own: places of the cells in both lists, and how well the lists agree."""

from dataclasses import dataclass

import numpy as np

from swath.analysis.analyse import Analysis
from swath.analysis.rank_correlation import rank_correlation
from swath.store.states import State


@dataclass(frozen=True)
class PublishedCell:
    """A cell with a score on record. Places are among the cells that have both scores; equals share one.

    Attributes:
        cell: Its label.
        published: Its scores on record: one, or public and private.
        score: The sweep's own; None while no seed has finished.
        states: Of its trials, each once.
        place: Its place by the sweep's own score, 1 for the best; None without one.
        published_place: Its place by the last score on record; None without a score of the sweep's own.
    """

    cell: str
    published: tuple[float, ...]
    score: float | None
    states: tuple[State, ...]
    place: int | None
    published_place: int | None


@dataclass(frozen=True)
class PublishedScores:
    """A task's cells with a score on record.

    Attributes:
        cells: In the order of the sweep's list, finished or not.
        compared: Number of them that have a score of the sweep's own, too.
        correlation: Spearman's, of both scores of these; NaN where it says nothing.
    """

    cells: tuple[PublishedCell, ...]
    compared: int
    correlation: float


def published_scores(on_record: dict[str, tuple[float, ...]], analysis: Analysis) -> PublishedScores:
    """Compare a task's cells with scores on record.

    Args:
        on_record: Scores by the label of the cell, of any task's cells.
        analysis: The task.
    """
    trials = analysis.task.trials
    labels = {t.cell for t in trials}
    published = {cell: scores for cell, scores in on_record.items() if cell in labels}
    own = {cell.cell: cell.score for cell in analysis.cells if cell.cell in published}
    last = {cell: scores[-1] for cell, scores in published.items() if cell in own}
    cells = tuple(
        PublishedCell(
            cell=cell,
            published=scores,
            score=own.get(cell),
            states=tuple(dict.fromkeys(t.state for t in trials if t.cell == cell)),
            place=_place(own, cell),
            published_place=_place(last, cell),
        )
        for cell, scores in published.items()
    )
    both = [cell for cell in published if np.isfinite(own.get(cell, np.nan))]
    correlation = rank_correlation([own[cell] for cell in both], [last[cell] for cell in both])
    return PublishedScores(cells, len(both), correlation)


def _place(scores: dict[str, float], cell: str) -> int | None:
    return 1 + sum(score > scores[cell] for score in scores.values()) if cell in scores else None
