"""Scores on record beside the sweep's own: does the order of the cells come out again?"""

import math

from swath.analysis.analyse import Analysis
from swath.analysis.published import PublishedCell, PublishedScores, published_scores
from swath.analysis.results import Results
from swath.report.format import escape, score_text, table


def published_section(results: Results, analysis: Analysis, mark: str) -> list[str]:
    """Every cell with a score on record, in the order of the sweep's list, finished or not; [] without any."""
    found = published_scores(results.sweep.published, analysis)
    if not found.cells:
        return []
    columns = max(len(cell.published) for cell in found.cells)
    rows = [
        [
            escape(cell.cell),
            score_text(cell.score) if cell.score is not None else ", ".join(cell.states).lower(),
            _place(cell.place),
            *_on_record(cell, columns),
            _place(cell.published_place),
        ]
        for cell in found.cells
    ]
    headers = ["cell", "here, validation", "rank here", *(["public", "private"] if columns > 1 else ["published"])]
    return [
        f"{mark} Beside the published scores",
        table([*headers, "rank published"], rows, "l" + "r" * (len(headers))),
        _note(found),
    ]


def _place(place: int | None) -> str:
    return "" if place is None else str(place)


def _on_record(cell: PublishedCell, columns: int) -> list[str]:
    missing = [math.nan] * (columns - len(cell.published))
    return [score_text(score) for score in (*cell.published, *missing)]


def _note(found: PublishedScores) -> str:
    text = (
        "Published scores are from test images that were never shown, ours from validation images of the training "
        "part: compare the order and the differences, not the scores."
    )
    if math.isfinite(found.correlation):
        text += f" Rank correlation over {found.compared} cells: {found.correlation:.2f} (Spearman)."
    return text
