"""The sections of a leaderboard about effects: verdicts first, then the numbers behind them."""

import math
from collections.abc import Sequence

from swath.analysis.analyse import Analysis
from swath.analysis.effects import significance as verdicts
from swath.analysis.effects.interactions import Interaction
from swath.analysis.effects.labels import LabelEffect
from swath.analysis.effects.paired_effects import Effect
from swath.analysis.effects.rungs import RungEffect
from swath.analysis.effects.summary import LabelTable, TaskEffects
from swath.core.metrics import METRIC_TITLES
from swath.core.text import count, shortened
from swath.report.format import code, escape, points_interval_text, points_text, table
from swath.report.sentences import remarks

_INTERACTIONS_SHOWN = 12
_LABELS_SHOWN = 5
_SURE = 0.05


def effects_section(analysis: Analysis, mark: str) -> list[str]:
    """Every level against its baseline level, factor by factor, with what the numbers mean."""
    parts = [_note(analysis)]
    effects = analysis.effects.effects
    for factor in dict.fromkeys(e.factor for e in effects):
        levels = [e for e in effects if e.factor == factor]
        parts += [f"{mark}# {escape(factor)}, against {code(levels[0].baseline)}", _table(levels), *_remarks(levels)]
    return parts


def _note(analysis: Analysis) -> str:
    effects, metric = analysis.effects, METRIC_TITLES[analysis.task.record.metric]
    lines = [
        f"Mean difference in {metric}, in points (score x 100), between trials equal in everything but one factor: "
        "same other levels, seed, fold, epochs and validation images. Intervals cover the choice of validation "
        f"images and the chance in training, {_over(analysis)}; p is multiplied by the number of comparisons of this "
        "task (Bonferroni). "
        "`Equivalent` is a difference shown (by two one-sided tests, corrected likewise) to be smaller than "
        f"{100 * analysis.task.matters:g} points, which is what matters here; `undecided` is neither that nor a "
        "difference. `Could show` is the difference that this verdict finds four times in five."
    ]
    if analysis.task.looks > 1:
        price = verdicts.price_of_looks(analysis.task.looks)
        lines.append(
            f"Trials were added after a report had given verdicts; this is look {analysis.task.looks}. So that false "
            f"verdicts stay rare however often one looks, p is multiplied by {price:g} as well, and intervals of "
            f"effects hold {100 - 100 * verdicts.ALPHA / price:.4g} %; all others hold 95 % at this look alone."
        )
    if effects.seed_noise:
        noise = effects.seed_noise
        lines.append(
            f"Seed noise: scores of one cell have a standard deviation of {100 * noise.sd:.2f} points between seeds; "
            f"two trials less than {100 * noise.floor:.1f} points apart may differ in nothing but their seed."
        )
    if effects.left_out:
        lines.append(
            f"{count(effects.left_out, 'finished trial')} of the seeds that competed are left out: those that survive "
            "a stopping rule are chosen by luck."
        )
    if effects.rare:
        lines.append(
            f"Labels with fewer than 20 validation positives: {shortened([escape(n) for n in effects.rare], 8)}. Their "
            "part of the image noise comes from drawing images again; draws without a positive "
            f"(up to {effects.dropped:.1%} for one label) leave that label out on both sides."
        )
    return "\n".join(lines)


def _over(analysis: Analysis) -> str:
    if any(e.estimate and e.estimate.source == "folds" for e in analysis.effects.effects):
        return "and the training split (told from the folds), for the cells of this grid"
    return "for this training split and the cells of this grid"


def _table(effects: Sequence[Effect]) -> str:
    level = 1 - verdicts.ALPHA / verdicts.price_of_looks(effects[0].looks)
    headers = [
        "level",
        "points",
        f"{100 * level:.4g} % interval",
        "p (corrected)",
        "pairs",
        "won",
        "could show",
        "verdict",
    ]
    return table(headers, [_row(e) for e in effects], "lrrrrrrl")


def _row(e: Effect) -> list[str]:
    if e.estimate is None:
        return [escape(e.level), "-", "-", "-", f"0 of {e.possible}", "-", "-", "not compared"]
    pairs = len(e.pairs)
    return [
        escape(e.level),
        points_text(100 * e.estimate.difference),
        points_interval_text(e.estimate.low, e.estimate.high),
        _p(e.adjusted_p),
        str(pairs) if pairs == e.possible else f"{pairs} of {e.possible}",
        f"{e.estimate.won:.0%}",
        f"{100 * e.power.smallest:.1f}" if e.power and math.isfinite(e.power.smallest) else "-",
        verdicts.verdict_words(e.verdict),
    ]


def _p(p: float) -> str:
    return "-" if math.isnan(p) else "<.001" if p < 0.001 else f"{p:.3f}".lstrip("0")


def _remarks(effects: Sequence[Effect]) -> list[str]:
    """What a reader must know of single comparisons, as a list."""
    lines = []
    for e in effects:
        name = escape(e.level)
        lines += [f"- {name}: not compared; {e.refused.rstrip(chr(46))}." for _ in range(e.estimate is None)]
        lines += [f"- {name} is confounded: {text}." for text in e.confounds]
        lines += [f"- {escape(remark)}" for remark in remarks(e)]
    if any(e.factor == "epochs" for e in effects):
        lines.append("- The levels of this factor are budgets.")
    return ["\n".join(lines)] if lines else []


def interactions_section(effects: TaskEffects, mark: str) -> list[str]:
    """Interactions, surest first, and the shares of variance."""
    parts = []
    if effects.interactions:
        order = sorted(effects.interactions, key=lambda i: (math.isnan(i.q), i.q, -abs(i.estimate.difference)))
        shown = order[:_INTERACTIONS_SHOWN]
        sure = sum(i.q < _SURE for i in order)
        parts += [
            f"{mark}# Interactions",
            "Does a choice help here and hurt there? The effect of a level at one level of another factor, and how "
            "much that differs from its effect at the other factor's baseline level, in points. Exploratory: q is "
            f"Benjamini and Hochberg's over {count(len(order), 'interaction')}; "
            f"below .05: {sure or 'none'}.",
            table(
                ["effect of", "at", "points there", "at baseline", "difference", "95 % interval", "q"],
                [_interaction_row(i) for i in shown],
                "ll",
            ),
        ]
        if len(order) > len(shown):
            parts.append(f"{len(order) - len(shown)} more are in report.json.")
    if effects.shares:
        how = (
            "analysis of variance of the full grid, without what chance adds to each part"
            if effects.shares.method == "anova"
            else "main effects estimated by regression trees (fANOVA), for the grid is not full"
        )
        listed = ", ".join(f"{escape(p.source)} {p.share:.0%}" for p in effects.shares.parts)
        parts.append(f"Share of the differences between finished trials ({how}): {listed}.")
    return parts


def _interaction_row(i: Interaction) -> list[str]:
    return [
        f"{escape(i.level)} against {escape(i.baseline)}",
        escape(i.by_level),
        points_text(100 * i.within),
        points_text(100 * i.within_baseline),
        points_text(100 * i.estimate.difference),
        points_interval_text(i.estimate.low, i.estimate.high),
        _p(i.q),
    ]


def labels_section(effects: TaskEffects, mark: str) -> list[str]:
    """For each comparison the labels it moves most."""
    rows = [[*_label_row(t, e)] for t in effects.labels for e in t.labels[:_LABELS_SHOWN]]
    if not rows:
        return []
    note = (
        f"The {_LABELS_SHOWN} labels that each choice moves most. Exploratory: q is Benjamini and Hochberg's over "
        "the labels of one comparison; labels with few positives are one row together. All are in report.json."
    )
    headers = ["level", "label", "points", "95 % interval", "q"]
    return [f"{mark}# Labels", note, table(headers, rows, "ll")]


def _label_row(t: LabelTable, e: LabelEffect) -> list[str]:
    return [
        f"{escape(t.level)} against {escape(t.baseline)}",
        escape(e.label) if e.label else f"{count(e.pooled, 'rare label')}",
        points_text(100 * e.estimate.difference),
        points_interval_text(e.estimate.low, e.estimate.high),
        _p(e.q),
    ]


def rungs_section(effects: TaskEffects, mark: str) -> list[str]:
    """Effects after k epochs, where trials were stopped."""
    if not effects.rungs:
        return []
    note = (
        "Trials of this sweep were stopped. These are effects at the budget of a rung, not at the end: where the "
        "better level starts slowly even the sign may change. They enter no verdict and rank nothing."
    )
    if any(r.selected for r in effects.rungs):
        note += " Where earlier rungs had stopped trials (marked *), the pairs left are chosen by luck as well."
    rows = [_rung_row(r) for r in effects.rungs]
    headers = ["level", "after", "points", "95 % interval", "pairs", "won"]
    return [f"{mark}# After a few epochs", note, table(headers, rows, "ll")]


def _rung_row(r: RungEffect) -> list[str]:
    return [
        f"{escape(r.level)} against {escape(r.baseline)}",
        f"{count(r.epochs, 'epoch')}{' *' if r.selected else ''}".replace("*", r"\*"),
        points_text(100 * r.estimate.difference),
        points_interval_text(r.estimate.low, r.estimate.high),
        str(r.estimate.units),
        f"{r.estimate.won:.0%}",
    ]
