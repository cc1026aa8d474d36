"""Submissions with the scores that the competition gave them, beside their validation scores."""

import numpy as np
from scipy.stats import spearmanr

from swath.analysis.results import Results
from swath.analysis.submissions.history import submissions
from swath.report.format import escape, interval_text, score_text, table
from swath.report.plots.submissions import PICTURE


def submissions_section(results: Results) -> list[str]:
    """A table of the submissions that were scored, and whether validation ordered them as the competition did."""
    scored = [s for s in submissions(results.storage, results.name) if s.public is not None or s.private is not None]
    if not scored:
        return []
    rows = [
        [
            escape(s.name),
            s.written,
            score_text(s.score),
            interval_text(s.low, s.high) if s.low is not None and s.high is not None else "",
            score_text(s.public),
            score_text(s.private),
        ]
        for s in scored
    ]
    headers = ["submission", "written", "validation, cross-fitted", "95 % interval", "public", "private"]
    parts = ["## Submissions", table(headers, rows, "ll")]
    both = [(s.score, s.public) for s in scored if s.score is not None and s.public is not None]
    if len(both) > 1:
        parts.append(f"![Public score against validation]({PICTURE}.png)")
    if len(both) > 2:
        rho = float(spearmanr(*zip(*both, strict=True)).statistic)  # type: ignore[attr-defined]
        if np.isfinite(rho):
            parts.append(
                f"Rank correlation of validation and public scores over {len(both)} submissions: {rho:.2f} (Spearman)."
            )
    return parts
