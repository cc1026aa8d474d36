"""Pictures of ensembles: gain over members, reliability."""

import itertools

import numpy as np

from swath.analysis.analyse import Analysis
from swath.analysis.ensembles.rules import SINGLE
from swath.core.metrics import METRIC_TITLES
from swath.report.plots.style import GREY, PALETTE, Drawn, drawn, new_figure, plain


def ensembles(analysis: Analysis) -> Drawn | None:
    """Cross-fitted score of every ensemble against its number of members, with intervals; the naive scores beside."""
    shown = [e for e in analysis.ensembles if np.isfinite(e.score)]
    if len(shown) < 2:
        return None
    figure = new_figure(5.6)
    axes = figure.subplots()
    ranked = sorted((e for e in shown if e.name == SINGLE or e.name.startswith("top")), key=lambda e: e.size)
    sizes = [e.size for e in ranked]
    axes.plot(sizes, [e.score for e in ranked], "o-", color=PALETTE[0], markersize=7, label="the k best, cross-fitted")
    axes.fill_between(sizes, [e.low for e in ranked], [e.high for e in ranked], color=PALETTE[0], alpha=0.12)
    axes.plot(sizes, [e.naive for e in ranked], ":", color=GREY, label="the same on the images that chose them")
    others = [e for e in shown if e not in ranked]
    looks = itertools.product("Ds^v", PALETTE[1:])  # another shape where the colours begin again
    for e, (shape, colour) in zip(others, itertools.cycle(looks), strict=False):
        axes.plot(e.size, e.score, shape, color=colour, markersize=7, label=e.name)
    single = next(e.score for e in ranked if e.name == SINGLE)
    axes.axhline(single, color=GREY, linestyle="--", linewidth=1)
    axes.set_xlabel("members")
    axes.set_ylabel(f"cross-fitted {METRIC_TITLES[analysis.task.record.metric]}")
    axes.grid(axis="y", color="#e6e6e6")
    plain(axes)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return drawn(figure)


def reliability(analysis: Analysis) -> Drawn | None:
    """Share of positives against predicted probability, for the best ensemble."""
    calibration = analysis.calibration
    if calibration is None:
        return None
    figure = new_figure(5.2)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], "--", color=GREY, linewidth=1, label="perfect")
    axes.plot(
        calibration.confidence, calibration.frequency, "o-", color=PALETTE[0], label="best ensemble, cross-fitted"
    )
    axes.set_xlabel("predicted probability")
    axes.set_ylabel("share that is right")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.grid(color="#e6e6e6")
    plain(axes)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return drawn(figure)
