"""Sentences of a report as plain text: ranking, effects, state of the sweep, and the commands that repeat it."""

import math
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from swath.analysis.analyse import Analysis
from swath.analysis.effects import significance as verdicts
from swath.analysis.effects.paired_effects import Effect
from swath.analysis.ensembles.rules import BEST, SINGLE
from swath.analysis.results import Results, TaskResults, TrialResult
from swath.core.metrics import METRIC_TITLES
from swath.core.text import count
from swath.report.format import duration, file_part, interval_text, points_interval_text, points_text, score_text
from swath.report.marked_text import Label, Sentence, Strong, joined, sentence
from swath.store.states import State
from swath.store.storage import Storage
from swath.store.trials import Outcome

_COMPARISONS_SHOWN = 3
_TITLES: dict[State, str] = {
    State.COMPLETE: "done",
    State.STOPPED: "stopped early",
    State.FAILED: "failed",
    State.UNFINISHED: "unfinished",
    State.NOT_RUN: "not run",
    State.UNREADABLE: "unreadable",
}


def headline(analysis: Analysis) -> list[Sentence]:
    """Best cell, baseline, and what choosing and averaging are worth; one line or two."""
    task = analysis.task
    if not analysis.cells:
        return [sentence("No cell of ", Label(task.label), " has finished yet, so there is no ranking.")]
    best = analysis.cells[0]
    seeds = count(len(best.runs), "seed")
    cells = len(analysis.cells)
    lines = [
        sentence(
            *("Best cell: ", Label(best.cell), f" with {METRIC_TITLES[task.record.metric]} "),
            *(Strong(score_text(best.score)), f" (95 % interval {interval_text(best.low, best.high)}; {seeds}), "),
            *(_against_baseline(analysis), "."),
            f" It is the highest of {cells} cells, so part of its lead may be luck." if cells > 1 else "",
        )
    ]
    by_name = {e.name: e for e in analysis.ensembles}
    if SINGLE in by_name and not math.isnan(by_name[SINGLE].score):
        single, best_ensemble = by_name[SINGLE], by_name[BEST]
        gain, low, high = (100 * x for x in best_ensemble.gain)
        text = (
            f"Scored on validation images that did not choose them, the best single run has {score_text(single.score)}"
        )
        if best_ensemble.final == single.final:
            text += "; no average of the best runs scores higher on the images that choose."
        else:
            text += (
                f" and the best ensemble {score_text(best_ensemble.score)} "
                f"({points_text(gain)} points, 95 % interval {points_text(low)} to {points_text(high)})."
            )
        lines.append(sentence(text))
    return lines


def _against_baseline(analysis: Analysis) -> Sentence:
    task, best, base = analysis.task, analysis.cells[0], analysis.baseline
    if base is None and best.cell in task.points:
        return sentence(f"the best of {count(sum(c.cell in task.points for c in analysis.cells), 'finished point')}")
    if base is None and not task.baseline_cell:
        return sentence("with no baseline cell in the sweep")
    if base is None:
        name = task.baseline_cell
        stopped = any(t.state == State.STOPPED for t in task.trials if t.cell == name)
        end = " was stopped early" if stopped else " has not finished"
        return sentence("while the baseline cell ", Label(name), end)
    if best.baseline:
        return sentence("which is the baseline cell itself")
    difference = 100 * (best.score - base.score)
    lead = f"{difference:.2f} points above the baseline cell "
    return sentence(lead, Label(base.cell), f" ({score_text(base.score)})")


def verdict_sentences(analysis: Analysis) -> list[Sentence]:
    """What made a difference, what showed none, and the smallest difference that this sweep could show."""
    effects = analysis.effects.effects
    shown = sorted(
        (e for e in effects if e.verdict in ("better", "worse") and e.estimate), key=lambda e: -abs(_difference(e))
    )
    unclear = [e for e in effects if e.verdict == "not shown"]
    lines = []
    if shown:
        lines.append(_listing("What made a difference", [_shown_difference(e) for e in shown]))
    if unclear:
        start = "No difference shown" if shown else "No choice made a difference that could be shown"
        lines.append(_listing(start, [_unclear_difference(e) for e in unclear]))
    smallest = [e.power.smallest for e in effects if e.power]
    if smallest:
        low, high = 100 * min(smallest), 100 * max(smallest)
        span = f"{low:.1f}" if f"{low:.1f}" == f"{high:.1f}" else f"{low:.1f} to {high:.1f}"
        lines.append(sentence(f"This sweep was able to show differences of {span} points or more."))
    without_verdict = [e for e in effects if e.verdict in ("no interval", "refused")]
    if without_verdict:
        lines.append(sentence(_without_verdict(without_verdict)))
    return lines


def _listing(start: str, comparisons: Sequence[Sentence]) -> Sentence:
    """`START: A; B; C; and 2 more below.`"""
    more = len(comparisons) - _COMPARISONS_SHOWN
    rest = f"; and {more} more below." if more > 0 else "."
    return sentence(f"{start}: ", joined(comparisons[:_COMPARISONS_SHOWN], "; "), rest)


def _shown_difference(e: Effect) -> Sentence:
    assert e.estimate
    low, high = sorted((100 * abs(e.estimate.low), 100 * abs(e.estimate.high)))
    than = f" is {100 * abs(_difference(e)):.1f} points {e.verdict} than "
    return sentence(Label(e.level), than, Label(e.baseline), f" ({low:.1f} to {high:.1f})")


def _unclear_difference(e: Effect) -> Sentence:
    assert e.estimate
    return sentence(Label(e.level), " against ", Label(e.baseline), f" ({verdicts.interval_words(e.estimate)})")


def _difference(e: Effect) -> float:
    return e.estimate.difference if e.estimate else math.nan


def _without_verdict(without_verdict: Sequence[Effect]) -> str:
    refused = sum(e.verdict == "refused" for e in without_verdict)
    if refused == len(without_verdict):
        return f"Nothing can be said of {count(refused, 'comparison')}; the reasons are below."
    return (
        f"For {count(len(without_verdict), 'comparison')} no interval can be stated, so nothing can be said of chance: "
        "two seeds of every cell would do, three are better."
    )


def verdict_sentence(e: Effect) -> str:
    """The verdict on one comparison, why nothing is compared, and what else differs between its trials."""
    why = f" ({e.refused})" if e.refused else ""
    return "; ".join([f"{e.level}: {verdicts.wording(e.verdict, e.estimate)}{why}", *e.confounds])


def remarks(e: Effect) -> list[str]:
    """How sure a comparison is and what would make it surer, each beginning with the level's name."""
    texts = []
    if e.estimate and e.estimate.source == "residual":
        texts.append(
            ": one seed a cell; what main effects of the other factors leave unexplained stands in for "
            f"the seed noise ({count(e.estimate.df, 'degree')} of freedom)."
        )
    if e.verdict == "no interval":
        texts.append(
            ": one seed a cell, so chance in training cannot be told from the effect: no interval. Two "
            "seeds would give one, three a useful one."
        )
    if e.power:
        texts.append(f": {_power(e)}")
    if e.splits:
        texts.append(f", over training splits: {points_interval_text(e.splits.low, e.splits.high)} (Nadeau-Bengio).")
    if e.wider and e.estimate and e.estimate.source != "none":
        over, interval = " and ".join(e.wider.over), points_interval_text(e.wider.low, e.wider.high)
        texts.append(f", for other levels of {over} than these (taken as drawn at random): {interval}.")
    return [f"{e.level}{text}" for text in texts]


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


def states_sentence(results: Results) -> str:
    """`36 trials: 20 done, 8 stopped early, ...`, and what they cost."""
    counts = results.counts()
    shown = [f"{counts[s]} {title}" for s, title in _TITLES.items() if counts[s] or s != State.UNREADABLE]
    return f"{count(counts.total(), 'trial')}: {', '.join(shown)}. {duration(results.device_s)} of device time in all."


def is_running(results: Results) -> bool:
    """True when trials are left that the sweep will still run."""
    for task in results.tasks:
        for trial in task.trials:
            if trial.state == State.UNFINISHED or (
                trial.state == State.NOT_RUN and not is_abandoned(results, task, trial)
            ):
                return True
    return False


def is_abandoned(results: Results, task: TaskResults, trial: TrialResult) -> bool:
    """True for a further seed of a cell whose first seed did not survive: a stopped sweep does not run it."""
    first = results.sweep.seeds[0]
    if not results.sweep.rule or trial.seed == first or trial.baseline:
        return False
    if "first_seed" in results.sweep.rule or results.sweep.stop.startswith("two_phase"):
        return False  # there all seeds compete, or those of the second phase are listed once that phase begins
    of_first_seed = (t for t in task.trials if (t.cell, t.seed) == (trial.cell, first))
    return any(t.state in (State.STOPPED, State.FAILED) for t in of_first_seed)


def last_line(outcome: Outcome | None) -> str:
    """The last line of a failed trial's error, "" for none."""
    lines = outcome.error.strip().splitlines() if outcome else []
    return lines[-1] if lines else ""


def commands(results: Results) -> list[str]:
    """The commands that make this sweep, its report and submissions again."""
    storage = _storage_option(results.storage)
    started = results.sweep.command
    lines = [*([started] if started else []), f"swath report {results.name}{storage}"]
    several = len(results.tasks) > 1
    for task in results.tasks:
        if task.record.submission and task.counts()[State.COMPLETE]:
            which = f" --task {shlex.quote(task.label)}" if several else ""
            out = f"submission-{file_part(task.label)}.csv" if several else "submission.csv"
            lines.append(f"swath predict {results.name}{storage} --ensemble {BEST}{which} --out {out}")
    return lines


def _storage_option(storage: Storage) -> str:
    """` --storage ROOT`, "" for the default folder."""
    if storage.folder == Path("store").resolve():
        return ""
    # A URI may carry keys before its bucket; they have no place in a file that people share.
    return f" --storage {shlex.quote(re.sub(r'//[^/@]*@', '//', storage.root))}"
