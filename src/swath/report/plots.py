"""Pictures of a report, as PNG bytes: cell scores by factor level; and what all pictures share.

Drawn with matplotlib's object interface, which keeps no global state and needs no display.
"""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from swath.metrics import METRIC_TITLES
from swath.report.analysis import Analysis
from swath.report.factors import FactorResult

_DPI, _WIDTH_IN = 100, 12.0
# Okabe and Ito's palette for every kind of colour vision, without its yellow, which is faint on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#8a8a8a"
_LEVELS_SHOWN = 40


def factors(analysis: Analysis) -> bytes | None:
    """Score of every finished cell by level of each factor, with the level's mean over matched cells."""
    shown = [f for f in analysis.factors if len(analysis.task.factors[f.factor]) <= _LEVELS_SHOWN]
    if not analysis.cells or not shown:
        return None
    counts = [len(analysis.task.factors[f.factor]) for f in shown]
    height = 1.3 + sum(0.38 * n + 0.55 for n in counts)
    figure = new_figure(height)
    grid = figure.subplots(len(shown), 1, sharex=True, squeeze=False, height_ratios=[n + 0.6 for n in counts])
    for axes, factor in zip(grid[:, 0], shown, strict=True):
        _level_dots(axes, analysis, factor)
    grid[-1, 0].set_xlabel(
        f"validation {METRIC_TITLES[analysis.task.record.metric]} of a finished cell, mean over seeds"
    )
    marker = {"marker": "o", "linestyle": "", "markersize": 7}
    bar = {"marker": "|", "linestyle": "", "markersize": 15, "markeredgewidth": 3}
    handles = [
        Line2D([], [], color=PALETTE[0], alpha=0.75, label="matched cell", **marker),
        Line2D([], [], color=GREY, markerfacecolor="white", label="cell without a match", **marker),
        Line2D([], [], color=PALETTE[1], label="mean over matched cells", **bar),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    return png(figure)


def _level_dots(axes: Axes, analysis: Analysis, factor: FactorResult) -> None:
    levels = analysis.task.factors[factor.factor]
    base = analysis.task.baseline_level(factor.factor)
    means = {level.level: level.score for level in factor.levels}
    # Pairs with the baseline may cover different cells from level to level; only equal numbers make means compare.
    comparable = len({level.matched for level in factor.levels}) == 1
    for at, level in enumerate(levels):
        cells = [c for c in analysis.cells if c.factors.get(factor.factor) == level and np.isfinite(c.score)]
        # A little height tells cells of equal score apart; the order of the scores decides it, so it is repeatable.
        lift = 0.18 * np.resize([-1.0, 0.0, 1.0, -0.5, 0.5], len(cells))
        for cell, up in zip(cells, lift, strict=True):
            matched = any(t.fingerprint in factor.trials for t in cell.trials)
            look = {"color": PALETTE[0], "alpha": 0.75} if matched else {"color": GREY, "markerfacecolor": "white"}
            axes.plot(cell.score, at + up, "o", markersize=7, **look)  # type: ignore[arg-type]
        if not cells:
            axes.text(0.01, at, "no cell has finished", color=GREY, va="center", transform=axes.get_yaxis_transform())
        if comparable and level in means:
            axes.plot(means[level], at, "|", color=PALETTE[1], markersize=20, markeredgewidth=3)
    axes.set_yticks(range(len(levels)), [text(n, 45) + (" (baseline)" if n == base else "") for n in levels])
    axes.set_ylim(len(levels) - 0.4, -0.6)
    axes.set_title(text(factor.factor), loc="left", fontsize=11, fontweight="bold")
    axes.grid(axis="both", color="#e6e6e6")
    axes.set_axisbelow(True)
    plain(axes)


def new_figure(height_in: float) -> Figure:
    """A figure 1,200 px wide, that arranges itself."""
    figure = Figure(figsize=(_WIDTH_IN, height_in), dpi=_DPI, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)  # type: ignore[union-attr]
    FigureCanvasAgg(figure)
    return figure


def png(figure: Figure) -> bytes:
    """The figure's PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()


def plain(axes: Axes) -> None:
    """Only the left and lower frame."""
    axes.spines[["top", "right"]].set_visible(False)


def text(label: str, limit: int = 60) -> str:
    """A label as matplotlib should draw it: nothing taken for mathematics, cut in the middle when long."""
    if len(label) > limit:
        label = f"{label[: limit // 2]}…{label[-(limit // 2 - 1) :]}"
    return label.replace("$", r"\$")


def colours(count: int) -> Sequence[str | tuple[float, ...]]:
    """So many colours: the palette, or steps of viridis where it has too few."""
    if count <= len(PALETTE):
        return PALETTE[:count]
    from matplotlib import colormaps

    return [colormaps["viridis"](x) for x in np.linspace(0, 0.95, count)]


def whole_ticks(axes: Axes) -> None:
    """Ticks of the x axis at whole numbers: epochs."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
