"""Learning curves: validation score per epoch of every trial, finished or not."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from swath.analysis.learning_curves import curve, mean_curve
from swath.analysis.results import TaskResults, TrialResult
from swath.core.metrics import METRIC_TITLES
from swath.report.plots.style import PALETTE, Drawn, colours, drawn, new_figure, plain, text, whole_ticks
from swath.store.states import State

_STYLES = ("-", "--", ":", "-.", (0, (1, 3)), (0, (6, 2, 1, 2, 1, 2)))
_COLUMNS = 3
_LEGEND_ITEMS = 12
_SHORT_EPOCHS = 6  # with so few points a line alone shows too little


@dataclass(frozen=True)
class _Roles:
    """Which factor decides what: "" where there is none left."""

    panel: str
    colour: str
    style: str


def curves(task: TaskResults) -> Drawn | None:
    """One panel per backbone; colour by preprocessing, line by loss, or by whichever factors there are."""
    trials = [t for t in task.trials if not t.metrics.empty]
    if not trials:
        return None
    roles = _roles(list(task.factors))
    panels = [p for p in _levels(task, roles.panel) if any(t.factors.get(roles.panel, "") == p for t in trials)]
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(1.4 + (4.0 if rows == 1 else 3.1 * rows))
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _panel(axes, task, roles, [t for t in trials if t.factors.get(roles.panel, "") == panel])
        axes.set_title(text(panel, 100 // columns), fontsize=11)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for at in range(len(panels)):
        if at + columns >= len(panels):
            grid.flat[at].tick_params(labelbottom=True)
            grid.flat[at].set_xlabel("epoch")
    figure.supylabel(f"validation {METRIC_TITLES[task.record.metric]}", fontsize=11)
    handles = _legend(task, roles, trials)
    if handles:
        widest = max(len(str(h.get_label())) for h in handles)
        figure.legend(
            handles=handles, loc="outside lower center", ncols=max(1, min(6, 130 // (widest + 8))), frameon=False
        )
    return drawn(figure)


def _roles(factors: list[str]) -> _Roles:
    left = list(factors)

    def take(preferred: str) -> str:
        if not left:
            return ""
        return left.pop(left.index(preferred) if preferred in left else 0)

    # Backbone, preprocessing and loss keep their roles even when another factor comes first.
    panel = take("backbone")
    colour = take("preprocess")
    return _Roles(panel, colour, take("loss"))


def _levels(task: TaskResults, factor: str) -> tuple[str, ...]:
    return task.factors[factor] if factor else ("",)


def _panel(axes: Axes, task: TaskResults, roles: _Roles, trials: Sequence[TrialResult]) -> None:
    for epoch in sorted({rung for t in trials for rung in t.rungs}):
        axes.axvline(epoch, color="#d0d0d0", linewidth=0.8, zorder=0)
    by_cell: dict[str, list[TrialResult]] = {}
    for trial in trials:
        by_cell.setdefault(trial.cell, []).append(trial)
    for trials_of_cell in by_cell.values():
        colour, style = _look(task, roles, trials_of_cell[0])
        several = len(trials_of_cell) > 1
        for trial in trials_of_cell:
            x, y = curve(trial)
            mark = "." if trial.epochs_planned <= _SHORT_EPOCHS else ""
            width, alpha = (0.8, 0.45) if several else (1.6, 1.0)
            axes.plot(x, y, color=colour, linestyle=style, linewidth=width, alpha=alpha, marker=mark)
            if trial.state == State.STOPPED:
                axes.plot(x[-1:], y[-1:], "x", color=colour, markersize=8, markeredgewidth=1.8)
        if several:
            axes.plot(*mean_curve(trials_of_cell), color=colour, linestyle=style, linewidth=1.8)
    axes.grid(axis="y", color="#ececec")
    axes.set_axisbelow(True)
    whole_ticks(axes)
    plain(axes)


def _look(task: TaskResults, roles: _Roles, trial: TrialResult) -> tuple[object, object]:
    levels = _levels(task, roles.colour)
    colour = (
        colours(len(levels))[levels.index(trial.factors[roles.colour])]
        if trial.factors.get(roles.colour)
        else PALETTE[0]
    )
    styles = _levels(task, roles.style)
    at = styles.index(trial.factors[roles.style]) if trial.factors.get(roles.style) else 0
    return colour, _STYLES[at % len(_STYLES)]


def _legend(task: TaskResults, roles: _Roles, trials: Sequence[TrialResult]) -> list[Line2D]:
    handles = []
    if roles.colour:
        levels = task.factors[roles.colour]
        for level, colour in _thinned(list(zip(levels, colours(len(levels)), strict=True))):
            handles.append(Line2D([], [], color=colour, linewidth=3, label=text(level, 40)))
    if roles.style:
        for at, level in _thinned(list(enumerate(task.factors[roles.style]))):
            handles.append(Line2D([], [], color="#555555", linestyle=_STYLES[at % len(_STYLES)], label=text(level, 40)))  # type: ignore[arg-type]
    if len({(t.cell) for t in trials}) < len(trials):
        handles.append(Line2D([], [], color="#555555", linewidth=0.8, alpha=0.6, label="single seeds (thin)"))
    if any(t.state == State.STOPPED for t in trials):
        handles.append(Line2D([], [], color="#555555", marker="x", linestyle="", label="stopped early"))
    if any(t.rungs for t in trials):
        handles.append(
            Line2D([], [], color="#c4c4c4", linewidth=0.8, marker="|", markersize=12, linestyle="", label="rung")
        )
    return handles


def _thinned(items: list) -> list:
    """All of a few, evenly chosen ones of many (the colours of many levels run in one scale)."""
    if len(items) <= _LEGEND_ITEMS:
        return items
    return [items[i] for i in np.linspace(0, len(items) - 1, _LEGEND_ITEMS).round().astype(int)]
