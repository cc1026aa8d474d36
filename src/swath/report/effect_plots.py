"""The picture of effects: every level against its factor's baseline, with its interval and its pairs."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from swath.metrics import METRIC_TITLES
from swath.report.analysis import Analysis
from swath.report.effects import Effect
from swath.report.plots import GREY, PALETTE, new_figure, plain, png, text

_EFFECTS_SHOWN = 60


def effects(analysis: Analysis) -> bytes | None:
    """Forest plot of the effects, factor by factor; None where nothing was compared."""
    found = [e for e in analysis.effects.effects if e.estimate][:_EFFECTS_SHOWN]
    if not found:
        return None
    factors = list(dict.fromkeys(e.factor for e in found))
    counts = [sum(e.factor == f for e in found) for f in factors]
    figure = new_figure(1.5 + sum(0.42 * n + 0.6 for n in counts))
    grid = figure.subplots(len(factors), 1, sharex=True, squeeze=False, height_ratios=[n + 0.7 for n in counts])
    for axes, factor in zip(grid[:, 0], factors, strict=True):
        _panel(axes, [e for e in found if e.factor == factor])
    grid[-1, 0].set_xlabel(f"difference in {METRIC_TITLES[analysis.task.record.metric]}, points (score x 100)")
    handles = [
        Line2D([], [], color=PALETTE[0], marker="o", linewidth=2.5, label="mean, 95 % interval: difference shown"),
        Line2D([], [], color=GREY, marker="o", linewidth=2.5, label="no difference shown, or no interval"),
        Line2D([], [], color=PALETTE[4], marker="|", linestyle="", markersize=9, label="one matched pair"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    return png(figure)


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
