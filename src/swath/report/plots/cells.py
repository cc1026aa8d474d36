"""Pictures of cells: score against what a cell costs, and which classes the best cell takes for which."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from swath.analysis.analyse import Analysis
from swath.analysis.cells import Floats, confusion_shares
from swath.analysis.costs import costs, front
from swath.core.metrics import METRIC_TITLES
from swath.report.plots.style import GREY, PALETTE, Drawn, drawn, heat, new_figure, plain, text

_COSTS = {"device_s": "device-seconds", "parameters": "parameters", "ms_per_image": "ms per image"}
_NUMBERS_UP_TO = 30
"""Classes; the squares of more are too small for numbers."""


def cost(analysis: Analysis) -> Drawn | None:
    """Score against each cost in which cells differ, with the front of those that are not both dearer and worse."""
    scores = np.array([cell.score for cell in analysis.cells])
    known = {kind: values for kind, values in costs(analysis).items() if _differ(values, scores)}
    if not known:
        return None
    figure = new_figure(4.4)
    grid = figure.subplots(1, len(known), sharey=True, squeeze=False)
    for axes, (kind, values) in zip(grid[0], known.items(), strict=True):
        _cost_panel(axes, values, scores)
        axes.set_xlabel(_COSTS[kind])
    grid[0, 0].set_ylabel(METRIC_TITLES[analysis.task.record.metric])
    return drawn(figure)


def _differ(values: Floats, scores: Floats) -> bool:
    usable = values[(values > 0) & np.isfinite(scores)]
    return len(np.unique(usable)) > 1


def _cost_panel(axes: Axes, values: Floats, scores: Floats) -> None:
    usable = (values > 0) & np.isfinite(scores)
    x, y = values[usable], scores[usable]
    best = front(x, y)
    axes.plot(x, y, "o", color=GREY, markersize=5)
    axes.plot(x[best], y[best], "o--", color=PALETTE[0], markersize=7, linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", rotation=30)
    axes.grid(axis="y", color="#e6e6e6")
    axes.set_axisbelow(True)
    plain(axes)


def confusion(analysis: Analysis) -> Drawn | None:
    """Rows are the truth, columns the prediction, in percent of the row; None where there is no such table."""
    shares = confusion_shares(analysis.task, analysis.cells[0]) if analysis.cells else None
    if shares is None:
        return None
    labels = [text(label, 26) for label in analysis.task.record.labels]
    figure = new_figure(2.2 + max(2.0, min(12.0, 0.32 * len(labels))))
    axes = figure.subplots()
    few = len(labels) <= _NUMBERS_UP_TO
    heat(axes, 100 * shares, 100, lambda v: f"{v:.0f}" if few and v else "")
    axes.set_xticks(np.arange(len(labels)) + 0.5, labels, rotation=40, ha="right")
    axes.set_yticks(np.arange(len(labels)) + 0.5, labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    return drawn(figure)
