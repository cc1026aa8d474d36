"""Picture of a search: the score along each parameter with its band and the points, and the best so far."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from swath.analysis.analyse import Analysis
from swath.analysis.searches.slices import Slice
from swath.analysis.searches.summary import SearchResult
from swath.core.metrics import METRIC_TITLES
from swath.report.plots.style import GREY, PALETTE, Drawn, colours, drawn, new_figure, plain, text, whole_ticks

_COLUMNS = 3
_CELLS_SHOWN = 7


def searches(analysis: Analysis) -> Drawn | None:
    """A row of panels or more for each searched space; None where no point has finished."""
    panels = [(result, one) for result in analysis.searches if result.points for one in (*_numeric(result), None)]
    if not panels:
        return None
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(0.6 + 3.6 * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, (result, one) in zip(grid.flat, panels, strict=False):
        if one is None:
            _best(axes, result)
        else:
            _slice(axes, result, one)
        axes.grid(axis="y", color="#e6e6e6")
        axes.set_axisbelow(True)
        plain(axes)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    figure.supylabel(METRIC_TITLES[analysis.task.record.metric], fontsize=11)
    handles = [Line2D([], [], color=GREY, marker="o", linestyle="", label="a point, at its other values")]
    if any(one for _, one in panels):
        label = "averaged over what else was searched, 95 % band"
        handles.append(Line2D([], [], color=PALETTE[0], linewidth=2, label=label))
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    return drawn(figure)


def _numeric(result: SearchResult) -> list[Slice]:
    return [one for one in result.slices if one.kind != "choice"]


def _slice(axes: Axes, result: SearchResult, one: Slice) -> None:
    x = np.array(one.values, float)
    axes.fill_between(x, one.low, one.high, color=PALETTE[0], alpha=0.15, linewidth=0)
    axes.plot(x, one.mean, color=PALETTE[0], linewidth=2)
    tried = [float(p.values[one.name]) for p in result.points]
    axes.plot(tried, [p.score for p in result.points], "o", color=GREY, markersize=5)
    if one.kind == "loguniform":
        axes.set_xscale("log")
    elif one.kind == "integers":
        whole_ticks(axes)
    axes.set_xlabel(text(one.name + (": no change shown" if one.flat else "")))


def _best(axes: Axes, result: SearchResult) -> None:
    shown = [best for best in result.best if best.best][:_CELLS_SHOWN]
    points = {p.cell: p.score for p in result.points}
    for best, colour in zip(shown, colours(len(shown)), strict=True):
        axes.step(range(1, best.asked + 1), best.scores, where="post", color=colour, linewidth=2)
        if len(result.best) > 1:
            axes.annotate(text(best.origin, 28), (best.asked, best.scores[-1]), fontsize=8, ha="right", va="bottom")
        else:
            axes.plot(best.number, points[best.best.cell], "o", color=colour, markersize=7) if best.best else None
    whole_ticks(axes)
    axes.set_xlabel("best so far, by number of points")
