"""Pictures of effects: every level against its factor's baseline, with its interval; how two factors interact."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from swath.analysis.analyse import Analysis
from swath.analysis.effects.paired_effects import Effect
from swath.analysis.effects.summary import interaction_tables
from swath.core.metrics import METRIC_TITLES
from swath.report.plots.style import GREY, PALETTE, Drawn, drawn, heat, new_figure, plain, text

_EFFECTS_SHOWN = 60
_TABLES_SHOWN, _TABLE_COLUMNS = 12, 3


def effects(analysis: Analysis) -> Drawn | None:
    """Forest plot of the effects, factor by factor; None where nothing was compared."""
    effects_shown = [e for e in analysis.effects.effects if e.estimate][:_EFFECTS_SHOWN]
    if not effects_shown:
        return None
    factors = list(dict.fromkeys(e.factor for e in effects_shown))
    counts = [sum(e.factor == f for e in effects_shown) for f in factors]
    figure = new_figure(1.5 + sum(0.42 * n + 0.6 for n in counts))
    grid = figure.subplots(len(factors), 1, sharex=True, squeeze=False, height_ratios=[n + 0.7 for n in counts])
    for axes, factor in zip(grid[:, 0], factors, strict=True):
        _panel(axes, [e for e in effects_shown if e.factor == factor])
    grid[-1, 0].set_xlabel(f"difference in {METRIC_TITLES[analysis.task.record.metric]}, points (score x 100)")
    handles = [
        Line2D([], [], color=PALETTE[0], marker="o", linewidth=2.5, label="mean, 95 % interval: difference shown"),
        Line2D([], [], color=GREY, marker="o", linewidth=2.5, label="no difference shown, or no interval"),
        Line2D([], [], color=PALETTE[4], marker="|", linestyle="", markersize=9, label="one matched pair"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    return drawn(figure)


def _panel(axes: Axes, effects: list[Effect]) -> None:
    for at, e in enumerate(effects):
        assert e.estimate
        colour = PALETTE[0] if e.verdict in ("better", "worse") else GREY
        pairs = [100 * pair.difference for pair in e.pairs]
        axes.plot(pairs, np.full(len(pairs), at + 0.22), "|", color=PALETTE[4], markersize=9)
        if np.isfinite(e.estimate.low):
            axes.plot([100 * e.estimate.low, 100 * e.estimate.high], [at, at], color=colour, linewidth=2.5)
        axes.plot(100 * e.estimate.difference, at, "o", color=colour, markersize=8)
    axes.axvline(0, color="black", linewidth=1)
    axes.set_yticks(range(len(effects)), [text(e.level, 45) for e in effects])
    axes.set_ylim(len(effects) - 0.4, -0.6)
    axes.set_title(text(f"{effects[0].factor}, against {effects[0].baseline}"), loc="left", fontsize=11, weight="bold")
    axes.grid(axis="x", color="#e6e6e6")
    axes.set_axisbelow(True)
    plain(axes)


def interactions(analysis: Analysis) -> Drawn | None:
    """For each two factors, by how much every combination departs from the sum of its two effects."""
    tables = interaction_tables(analysis.task, analysis.effects)[:_TABLES_SHOWN]
    if not tables:
        return None
    columns = min(_TABLE_COLUMNS, len(tables))
    lines = [tables[i : i + columns] for i in range(0, len(tables), columns)]
    heights = [1.6 + 0.4 * max(len(t["rows"]) for t in line) for line in lines]
    figure = new_figure(0.4 + sum(heights))
    grid = figure.subplots(len(lines), columns, squeeze=False, height_ratios=heights)
    most = max(abs(v) for t in tables for row in t["values"] for v in row if v is not None) or 1.0
    for axes in grid.flat[len(tables) :]:
        axes.set_visible(False)
    for axes, table in zip(grid.flat, tables, strict=False):
        values = np.array([[np.nan if v is None else v for v in row] for row in table["values"]])
        heat(axes, values, most, lambda v: f"{v:+.2f}".replace("-", "\u2212") if v else "0")
        axes.set_xticks(
            np.arange(len(table["columns"])) + 0.5, [text(c, 26) for c in table["columns"]], rotation=20, ha="right"
        )
        axes.set_yticks(np.arange(len(table["rows"])) + 0.5, [text(r, 26) for r in table["rows"]])
        axes.set_title(text(f"{table['first']} x {table['second']}"), loc="left", fontsize=11, weight="bold")
    metric = METRIC_TITLES[analysis.task.record.metric]
    figure.supxlabel(f"points of {metric} beyond the sum of the two effects", fontsize=10)
    return drawn(figure)
