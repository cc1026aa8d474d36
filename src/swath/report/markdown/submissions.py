"""Submissions with the scores that the competition gave them, beside their validation scores."""

import math

from swath.analysis.results import Results
from swath.analysis.submissions.history import score_correlation, submissions, with_both_scores
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
    found = ["## Submissions", table(headers, rows, "ll")]
    both = with_both_scores(scored)
    if len(both) > 1:
        found.append(f"![Public score against validation]({PICTURE}.png)")
    rho = score_correlation(scored)
    if math.isfinite(rho):
        found.append(
            f"Rank correlation of validation and public scores over {len(both)} submissions: {rho:.2f} (Spearman)."
        )
    return found
