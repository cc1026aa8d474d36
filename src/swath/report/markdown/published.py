"""Scores on record beside the sweep's own: does the order of the cells come out again?"""

import numpy as np
from scipy.stats import spearmanr

from swath.analysis.analyse import Analysis
from swath.analysis.results import Results, TaskResults
from swath.report.format import escape, score_text, table

_ORDER_FROM = 3  # cells below which a rank correlation says nothing


def published_section(results: Results, analysis: Analysis, mark: str) -> list[str]:
    """Every cell with a score on record, in the order of the sweep's list, finished or not; [] without any."""
    task = analysis.task
    cells = {t.cell for t in task.trials}
    published = {c: s for c, s in results.sweep.published.items() if c in cells}
    if not published:
        return []
    validation_scores = {cell.cell: cell.score for cell in analysis.cells}
    several = any(len(scores) > 1 for scores in published.values())
    rows = [
        [
            escape(cell),
            score_text(validation_scores[cell]) if cell in validation_scores else _state(task, cell),
            _rank(validation_scores, list(published), cell),
            *(score_text(s) for s in (*scores, *([float("nan")] * (several and len(scores) < 2)))),
            _rank({c: s[-1] for c, s in published.items() if c in validation_scores}, list(published), cell),
        ]
        for cell, scores in published.items()
    ]
    headers = ["cell", "here, validation", "rank here", *(["public", "private"] if several else ["published"])]
    return [
        f"{mark} Beside the published scores",
        table([*headers, "rank published"], rows, "l" + "r" * (len(headers))),
        _note(validation_scores, published),
    ]


def _state(task: TaskResults, cell: str) -> str:
    states = dict.fromkeys(t.state for t in task.trials if t.cell == cell)
    return ", ".join(states).lower()


def _rank(scores: dict[str, float], cells: list[str], cell: str) -> str:
    """Its place among the cells that both lists score; 1 is the best, equals share a place."""
    known = [scores[c] for c in cells if c in scores]
    return str(1 + sum(s > scores[cell] for s in known)) if cell in scores else ""


def _note(validation_scores: dict[str, float], published: dict[str, tuple[float, ...]]) -> str:
    both = [cell for cell in published if np.isfinite(validation_scores.get(cell, np.nan))]
    text = (
        "Published scores are from test images that were never shown, ours from validation images of the training "
        "part: compare the order and the differences, not the scores."
    )
    if len(both) >= _ORDER_FROM:
        rho = float(spearmanr([validation_scores[c] for c in both], [published[c][-1] for c in both]).statistic)  # type: ignore[attr-defined]
        if np.isfinite(rho):
            text += f" Rank correlation over {len(both)} cells: {rho:.2f} (Spearman)."
    return text
