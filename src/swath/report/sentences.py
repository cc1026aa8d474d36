"""What the numbers say, as plain sentences."""

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
from swath.report.format import (
    code,
    duration,
    escape,
    file_part,
    interval_text,
    points_text,
    score_text,
)
from swath.store.states import State
from swath.store.storage import Storage
from swath.store.trials import Outcome

_TITLES: dict[State, str] = {
    State.COMPLETE: "done",
    State.STOPPED: "stopped early",
    State.FAILED: "failed",
    State.UNFINISHED: "unfinished",
    State.NOT_RUN: "not run",
    State.UNREADABLE: "unreadable",
}


def states_sentence(results: Results) -> str:
    """`36 trials: 20 done, 8 stopped early, ...`, and what they cost."""
    counts = results.counts()
    shown = [f"{counts[s]} {title}" for s, title in _TITLES.items() if counts[s] or s != State.UNREADABLE]
    trials = {t.fingerprint: t for task in results.tasks for t in task.trials}
    spent = sum(t.device_s for t in trials.values())
    return f"{count(counts.total(), 'trial')}: {', '.join(shown)}. {duration(spent)} of device time in all."


def is_running(results: Results) -> bool:
    """True when trials are left that the sweep will still run."""
    for task in results.tasks:
        for trial in task.trials:
            if trial.state == State.UNFINISHED or (
                trial.state == State.NOT_RUN and not _given_up(results, task, trial)
            ):
                return True
    return False


def last_line(outcome: Outcome | None) -> str:
    """The last line of a failed trial's error, "" for none."""
    lines = outcome.error.strip().splitlines() if outcome else []
    return lines[-1] if lines else ""


def _given_up(results: Results, task: TaskResults, trial: TrialResult) -> bool:
    """True for a further seed of a cell whose first seed did not survive: a stopped sweep does not run it."""
    first = results.sweep.seeds[0]
    if not results.sweep.rule or trial.seed == first or trial.baseline:
        return False
    if "first_seed" in results.sweep.rule or results.sweep.stop.startswith("two_phase"):
        return False  # there all seeds compete, or those of the second phase are listed once they are wanted
    same = (t for t in task.trials if (t.cell, t.seed) == (trial.cell, first))
    return any(t.state in (State.STOPPED, State.FAILED) for t in same)


def headline(analysis: Analysis) -> str:
    """Best cell, baseline, and what choosing and averaging are worth, in sentences."""
    task = analysis.task
    if not analysis.cells:
        return f"No cell of {code(task.label)} has finished yet, so there is no ranking."
    best = analysis.cells[0]
    seeds = count(len(best.runs), "seed")
    text = (
        f"Best cell: {code(best.cell)} with {METRIC_TITLES[task.record.metric]} **{score_text(best.score)}** "
        f"(95 % interval {interval_text(best.low, best.high)}; {seeds}), {_against_baseline(analysis)}."
    )
    if len(analysis.cells) > 1:
        text += f" It is the highest of {len(analysis.cells)} cells, so part of its lead may be luck."
    by_name = {e.name: e for e in analysis.ensembles}
    if SINGLE in by_name and not math.isnan(by_name[SINGLE].score):
        gain, low, high = (100 * x for x in by_name[BEST].gain)
        text += (
            "\nScored on validation images that did not choose them, the best single run has "
            f"{score_text(by_name[SINGLE].score)} and the best ensemble {score_text(by_name[BEST].score)} "
            f"({points_text(gain)} points, 95 % interval {points_text(low)} to {points_text(high)})."
        )
    return text


def _against_baseline(analysis: Analysis) -> str:
    task, best, base = analysis.task, analysis.cells[0], analysis.baseline
    if base is None and not task.baseline_cell:
        return "with no baseline cell in the sweep"
    if base is None:
        name = task.baseline_cell
        stopped = any(t.state == State.STOPPED for t in task.trials if t.cell == name)
        return f"while the baseline cell {code(name)} {'was stopped early' if stopped else 'has not finished'}"
    if best.baseline:
        return "which is the baseline cell itself"
    difference = 100 * (best.score - base.score)
    return f"{difference:.2f} points above the baseline cell {code(base.cell)} ({score_text(base.score)})"


def _storage_option(storage: Storage) -> str:
    """` --storage ROOT`, "" for the default folder."""
    if storage.folder == Path("store").resolve():
        return ""
    # A URI may carry keys before its bucket; they have no place in a file that people share.
    return f" --storage {shlex.quote(re.sub(r'//[^/@]*@', '//', storage.root))}"


def commands(results: Results) -> list[str]:
    """The commands that make this sweep, its report and submissions again."""
    storage = _storage_option(results.storage)
    started = results.sweep.command
    found = [*([started] if started else []), f"swath report {results.name}{storage}"]
    several = len(results.tasks) > 1
    for task in results.tasks:
        if task.record.submission and task.counts()[State.COMPLETE]:
            which = f" --task {shlex.quote(task.label)}" if several else ""
            out = f"submission-{file_part(task.label)}.csv" if several else "submission.csv"
            found.append(f"swath predict {results.name}{storage} --ensemble {BEST}{which} --out {out}")
    return found


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


def _span(low: float, high: float) -> str:
    return "-" if math.isnan(low) else f"{points_text(100 * low)} to {points_text(100 * high)}"


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
