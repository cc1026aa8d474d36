"""The sections of a leaderboard about effects: verdicts first, then the numbers behind them."""

import math
from collections.abc import Sequence

from swath.metrics import METRIC_TITLES
from swath.report import verdicts
from swath.report.analysis import Analysis
from swath.report.effects import Effect
from swath.report.interactions import Interaction
from swath.report.label_effects import LabelEffect
from swath.report.markdown import code, count, escape, points_text, shortened, table
from swath.report.rungs import RungEffect
from swath.report.task_effects import LabelTable, TaskEffects

_INTERACTIONS_SHOWN = 12
_LABELS_SHOWN = 5
_SURE = 0.05


def verdict_sentences(analysis: Analysis) -> str:
    """Three sentences for everyone: what made a difference, what showed none, and what this sweep could have seen."""
    found = analysis.effects.effects
    if not found:
        return ""
    shown = sorted(
        (e for e in found if e.verdict in ("better", "worse") and e.estimate), key=lambda e: -abs(_difference(e))
    )
    unclear = [e for e in found if e.verdict == "not shown"]
    lines = []
    if shown:
        lines.append(f"What made a difference: {'; '.join(_sentence(e) for e in shown[:3])}{_more(shown, 3)}.")
    if unclear:
        start = "No difference shown" if shown else "No choice made a difference that could be shown"
        lines.append(f"{start}: {'; '.join(_unclear(e) for e in unclear[:3])}{_more(unclear, 3)}.")
    smallest = [e.power.smallest for e in found if e.power]
    if smallest:
        low, high = 100 * min(smallest), 100 * max(smallest)
        span = f"{low:.1f}" if f"{low:.1f}" == f"{high:.1f}" else f"{low:.1f} to {high:.1f}"
        lines.append(f"This sweep was able to show differences of {span} points or more.")
    silent = [e for e in found if e.verdict in ("no interval", "refused")]
    if silent:
        lines.append(_silent(silent))
    return "\n".join(lines)


def _difference(e: Effect) -> float:
    return e.estimate.difference if e.estimate else math.nan


def _more(effects: Sequence[Effect], shown: int) -> str:
    return f"; and {len(effects) - shown} more below" if len(effects) > shown else ""


def _sentence(e: Effect) -> str:
    assert e.estimate
    low, high = sorted((100 * abs(e.estimate.low), 100 * abs(e.estimate.high)))
    return (
        f"{code(e.level)} is {100 * abs(_difference(e)):.1f} points {e.verdict} than {code(e.baseline)} "
        f"({low:.1f} to {high:.1f})"
    )


def _unclear(e: Effect) -> str:
    assert e.estimate
    span = verdicts.wording("not shown", e.estimate).split("(")[1].rstrip(")")
    return f"{code(e.level)} against {code(e.baseline)} ({span})"


def _silent(silent: Sequence[Effect]) -> str:
    refused = sum(e.verdict == "refused" for e in silent)
    if refused == len(silent):
        return f"Nothing can be said of {count(refused, 'comparison')}; the reasons are below."
    return (
        f"For {count(len(silent), 'comparison')} no interval can be stated, so nothing can be said of chance: "
        "two seeds of every cell would do, three are better."
    )


def effects_section(analysis: Analysis, mark: str) -> list[str]:
    """Every level against its baseline level, factor by factor, with what the numbers mean."""
    found = analysis.effects
    parts = [_note(analysis)]
    for factor in dict.fromkeys(e.factor for e in found.effects):
        own = [e for e in found.effects if e.factor == factor]
        parts += [f"{mark}# {escape(factor)}, against {code(own[0].baseline)}", _table(own), *_remarks(own)]
    return parts


def _note(analysis: Analysis) -> str:
    found, metric = analysis.effects, METRIC_TITLES[analysis.task.record.metric]
    lines = [
        f"Mean difference in {metric}, in points (score x 100), between trials equal in everything but one factor: "
        "same other levels, seed, fold, epochs and validation images. Intervals cover the choice of validation "
        "images and the chance in training, for this training split and the cells of this grid; p is Holm's within "
        "one factor; `could show` is the difference found four times in five."
    ]
    if found.seed_noise:
        noise = found.seed_noise
        lines.append(
            f"Seed noise: scores of one cell have a standard deviation of {100 * noise.sd:.2f} points between seeds; "
            f"two trials less than {100 * noise.floor:.1f} points apart may differ in nothing but their seed."
        )
    if found.left_out:
        lines.append(
            f"{count(found.left_out, 'finished trial')} of the seeds that competed are left out: those that survive "
            "a stopping rule are chosen by luck."
        )
    if found.rare:
        lines.append(
            f"Labels with fewer than 20 validation positives: {shortened([escape(n) for n in found.rare], 8)}. Their "
            "part of the image noise comes from drawing images again; draws without a positive "
            f"(up to {found.dropped:.1%} for one label) leave that label out on both sides."
        )
    return "\n".join(lines)


def _table(effects: Sequence[Effect]) -> str:
    headers = ["level", "points", "95 % interval", "p (Holm)", "pairs", "won", "could show", "verdict"]
    return table(headers, [_row(e) for e in effects], "lrrrrrrl")


def _row(e: Effect) -> list[str]:
    if e.estimate is None:
        return [escape(e.level), "-", "-", "-", f"0 of {e.possible}", "-", "-", "not compared"]
    pairs = len(e.pairs)
    return [
        escape(e.level),
        points_text(100 * e.estimate.difference),
        _span(e.estimate.low, e.estimate.high),
        _p(e.adjusted_p),
        str(pairs) if pairs == e.possible else f"{pairs} of {e.possible}",
        f"{e.estimate.won:.0%}",
        f"{100 * e.power.smallest:.1f}" if e.power else "-",
        verdicts.wording(e.verdict, e.estimate).split(" (")[0],
    ]


def _span(low: float, high: float) -> str:
    return "-" if math.isnan(low) else f"{points_text(100 * low)} to {points_text(100 * high)}"


def _p(p: float) -> str:
    return "-" if math.isnan(p) else "<.001" if p < 0.001 else f"{p:.3f}".lstrip("0")


def _remarks(effects: Sequence[Effect]) -> list[str]:
    """What a reader must know of single comparisons, as a list."""
    lines = []
    for e in effects:
        name = escape(e.level)
        lines += [f"- {name}: not compared; {e.refused.rstrip(chr(46))}." for _ in range(e.estimate is None)]
        lines += [f"- {name} is confounded: {text}." for text in e.confounds]
        lines += [f"- {name}{text}" for text in remarks(e)]
    if any(e.factor == "epochs" for e in effects):
        lines.append("- The levels of this factor are budgets.")
    return ["\n".join(lines)] if lines else []


def remarks(e: Effect) -> list[str]:
    """How sure a comparison is and what would make it surer, as Markdown; each goes on after the level's name."""
    found = []
    if e.estimate and e.estimate.source == "residual":
        found.append(
            ": one seed a cell; what main effects of the other factors leave unexplained stands in for "
            f"the seed noise ({count(e.estimate.df, 'degree')} of freedom)."
        )
    if e.verdict == "no interval":
        found.append(
            ": one seed a cell, so chance in training cannot be told from the effect: no interval. Two "
            "seeds would give one, three a useful one."
        )
    if e.power:
        found.append(f": {_power(e)}")
    if e.splits:
        found.append(f", over training splits: {_span(e.splits.low, e.splits.high)} (Nadeau-Bengio).")
    if e.wider and e.estimate and e.estimate.source != "none":
        over = " and ".join(map(escape, e.wider.over))
        found.append(
            f", for other levels of {over} than these (taken as drawn at random): {_span(e.wider.low, e.wider.high)}."
        )
    return found


def _power(e: Effect) -> str:
    assert e.power
    given = f"a difference of {100 * e.power.given:.1f} points"
    if e.power.images is not None:
        return (
            f"no number of seeds settles {given}; about {e.power.images:,} validation images would "
            f"(these settle {100 * e.power.floor:.1f} points at best)."
        )
    if e.power.seeds is None:
        return f"more than 200 seeds would be needed to show {given}."
    return f"{e.power.seeds} seeds of every cell would show {given}."


def interactions_section(found: TaskEffects, mark: str) -> list[str]:
    """Interactions, surest first, and the shares of variance."""
    parts = []
    if found.interactions:
        order = sorted(found.interactions, key=lambda i: (math.isnan(i.q), i.q, -abs(i.estimate.difference)))
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
    if found.shares:
        how = (
            "exact, the grid is full"
            if found.shares.method == "anova"
            else "main effects estimated by regression trees (fANOVA), for the grid is not full"
        )
        listed = ", ".join(f"{escape(p.source)} {p.share:.0%}" for p in found.shares.parts)
        parts.append(f"Share of the differences between finished trials ({how}): {listed}.")
    return parts


def _interaction_row(i: Interaction) -> list[str]:
    return [
        f"{escape(i.level)} against {escape(i.baseline)}",
        escape(i.by_level),
        points_text(100 * i.within),
        points_text(100 * i.within_baseline),
        points_text(100 * i.estimate.difference),
        _span(i.estimate.low, i.estimate.high),
        _p(i.q),
    ]


def labels_section(found: TaskEffects, mark: str) -> list[str]:
    """For each comparison the labels it moves most."""
    rows = [[*_label_row(t, e)] for t in found.labels for e in t.labels[:_LABELS_SHOWN]]
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
        _span(e.estimate.low, e.estimate.high),
        _p(e.q),
    ]


def rungs_section(found: TaskEffects, mark: str) -> list[str]:
    """Effects after k epochs, where trials were stopped."""
    if not found.rungs:
        return []
    note = (
        "Trials of this sweep were stopped. These are effects at the budget of a rung, not at the end: where the "
        "better level starts slowly even the sign may change. They enter no verdict and rank nothing."
    )
    if any(r.selected for r in found.rungs):
        note += " Where earlier rungs had stopped trials (marked *), the pairs left are chosen by luck as well."
    rows = [_rung_row(r) for r in found.rungs]
    headers = ["level", "after", "points", "95 % interval", "pairs", "won"]
    return [f"{mark}# After a few epochs", note, table(headers, rows, "ll")]


def _rung_row(r: RungEffect) -> list[str]:
    return [
        f"{escape(r.level)} against {escape(r.baseline)}",
        f"{count(r.epochs, 'epoch')}{' *' if r.selected else ''}".replace("*", r"\*"),
        points_text(100 * r.estimate.difference),
        _span(r.estimate.low, r.estimate.high),
        str(r.estimate.units),
        f"{r.estimate.won:.0%}",
    ]
