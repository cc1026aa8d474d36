"""Competition scores of submissions against their validation scores."""

import numpy as np

from swath.analysis.results import Results
from swath.analysis.submissions.history import submissions
from swath.core.metrics import METRIC_TITLES
from swath.report.plots.style import GREY, PALETTE, Drawn, drawn, new_figure, plain

PICTURE = "submissions"


def submissions_plot(results: Results) -> Drawn | None:
    """Public scores against cross-fitted validation scores; None for fewer than two."""
    both = [s for s in submissions(results.storage, results.name) if s.score is not None and s.public is not None]
    if len(both) < 2:
        return None
    figure = new_figure(5.2)
    axes = figure.subplots()
    x = np.array([s.score for s in both], dtype=np.float64)
    y = np.array([s.public for s in both], dtype=np.float64)
    low = x - np.array([s.score if s.low is None else s.low for s in both], dtype=np.float64)
    high = np.array([s.score if s.high is None else s.high for s in both], dtype=np.float64) - x
    axes.errorbar(x, y, xerr=np.stack([low, high]).clip(0), fmt="o", color=PALETTE[0], ecolor=GREY, capsize=3)
    for s in both:
        axes.annotate(s.name, (s.score or 0, s.public or 0), xytext=(5, 5), textcoords="offset points", fontsize=9)
    ends = [min(x.min(), y.min()), max(x.max(), y.max())]
    axes.plot(ends, ends, "--", color=GREY, linewidth=1)
    axes.set_xlabel(f"validation {METRIC_TITLES.get(both[0].metric, 'score')}, cross-fitted (95 % interval)")
    axes.set_ylabel("public score")
    axes.grid(color="#e6e6e6")
    plain(axes)
    return drawn(figure)
