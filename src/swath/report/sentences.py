"""Sentences of a report as plain text: ranking, effects, state of the sweep, and the commands that repeat it."""

import math
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from swath.analysis.analyse import Analysis
from swath.analysis.effects import significance as verdicts
from swath.analysis.effects.lost_pairs import LostPairs
from swath.analysis.effects.paired_effects import Effect
from swath.analysis.effects.significance import Verdict
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
_TIED_SHOWN = 5
_SHOWN = "What made a difference"
_HEADED: dict[str, tuple[Verdict, ...]] = {
    _SHOWN: ("better", "worse"),
    "Practically equal, by less than {:g} points": ("equivalent",),
    "Undecided": ("undecided",),
}
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
    lines = [
        sentence(
            *("Highest cell: ", Label(best.cell), f" with {METRIC_TITLES[task.record.metric]} "),
            *(Strong(score_text(best.score)), f" ({count(len(best.runs), 'seed')}), "),
            *(_against_baseline(analysis), "."),
        ),
        *_after_choice(analysis),
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


def _after_choice(analysis: Analysis) -> list[Sentence]:
    """What the highest cell is worth after having been chosen, and which others may be the best."""
    best, cells = analysis.best, len(analysis.cells)
    if best is None:
        return [sentence(f"It is the highest of {cells} cells, so part of its lead may be luck.")] if cells > 1 else []
    interval = interval_text(best.low, best.high)
    text = f"Less the luck of having come out highest it is worth {score_text(best.score)} (95 % interval {interval})"
    if not math.isnan(best.gain):
        low, high = points_text(100 * best.gain_low), points_text(100 * best.gain_high)
        text += f", {points_text(100 * best.gain)} points against the baseline cell ({low} to {high})"
        text += f"; the chance that it is worse than the baseline is {_chance(best.worse)}"
    others = [Label(name) for name in best.tied if name != analysis.cells[0].cell]
    if not others:
        return [sentence(text, ". No other cell may be the best (95 %).")]
    more = f", and {len(others) - _TIED_SHOWN} more" if len(others) > _TIED_SHOWN else ""
    shown = joined([sentence(name) for name in others[:_TIED_SHOWN]], ", ")
    tied = f". {count(len(others), 'other cell')} of {best.examined} may be the best just as well (95 %): "
    return [sentence(text, tied, shown, more, ".")]


def _chance(share: float) -> str:
    return "below 1 %" if share < 0.01 else f"{share:.0%}".replace("%", " %")


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
    return sentence("the baseline cell ", Label(base.cell), f" has {score_text(base.score)}")


def verdict_sentences(analysis: Analysis) -> list[Sentence]:
    """What made a difference, what is as good as equal, what is undecided, and what this sweep could have shown."""
    effects = analysis.effects.effects
    by_verdict = {name: [e for e in effects if e.verdict in names] for name, names in _HEADED.items()}
    lines = [
        _listing(head.format(100 * analysis.task.matters), [_difference(e) for e in _largest_first(of_kind)])
        for head, of_kind in by_verdict.items()
        if of_kind
    ]
    if any(e.power for e in effects) and not by_verdict[_SHOWN]:
        lines.insert(0, sentence("No choice is shown to make a difference that matters."))
    lines += _could_show(effects)
    without_verdict = [e for e in effects if e.verdict in ("no interval", "refused")]
    if without_verdict:
        lines.append(sentence(_without_verdict(without_verdict)))
    return lines


def _largest_first(effects: Sequence[Effect]) -> list[Effect]:
    return sorted(effects, key=lambda e: -abs(e.estimate.difference) if e.estimate else 0.0)


def _could_show(effects: Sequence[Effect]) -> list[Sentence]:
    """For each factor the difference that each of its comparisons would have shown four times in five."""
    by_factor: dict[str, float] = {}
    for e in effects:
        if e.power:
            by_factor[e.factor] = max(by_factor.get(e.factor, 0.0), e.power.smallest)
    if not by_factor:
        return []
    texts = [f"{factor} {_points_or_none(smallest)}" for factor, smallest in by_factor.items()]
    start = "Differences that this sweep would have shown four times in five, in points: "
    return [sentence(start, ", ".join(texts), ".")]


def _points_or_none(smallest: float) -> str:
    return f"{100 * smallest:.1f}" if math.isfinite(smallest) else "none however large"


def _listing(start: str, comparisons: Sequence[Sentence]) -> Sentence:
    """`START: A; B; C; and 2 more below.`"""
    more = len(comparisons) - _COMPARISONS_SHOWN
    rest = f"; and {more} more below." if more > 0 else "."
    return sentence(f"{start}: ", joined(comparisons[:_COMPARISONS_SHOWN], "; "), rest)


def _difference(e: Effect) -> Sentence:
    """`sharpen is 1.2 points better than raw (0.4 to 2.0)`, `focal against bce (-0.4 to +0.2 points)`."""
    assert e.estimate
    if e.verdict not in ("better", "worse"):
        reason = _not_after_correction(e)
        interval = verdicts.interval_words(e.estimate)
        return sentence(Label(e.level), " against ", Label(e.baseline), f" ({interval}{reason})")
    low, high = sorted((100 * abs(e.estimate.low), 100 * abs(e.estimate.high)))
    than = f" is {100 * abs(e.estimate.difference):.1f} points {e.verdict} than "
    confounded = ", with a confound that may be the cause" if e.confounds else ""
    return sentence(Label(e.level), than, Label(e.baseline), f" ({low:.1f} to {high:.1f}{confounded})")


def _not_after_correction(e: Effect) -> str:
    """Why an interval without zero is no verdict, or ""."""
    if e.verdict != "undecided" or not e.estimate or e.estimate.low <= 0 <= e.estimate.high:
        return ""
    if e.lost and e.estimate.p * e.family * verdicts.price_of_looks(e.looks) < verdicts.ALPHA:
        return "; failed trials could have made it"
    return f"; not after correction for {count(e.family, 'comparison')}"


def _without_verdict(without_verdict: Sequence[Effect]) -> str:
    refused = sum(e.verdict == "refused" for e in without_verdict)
    if refused == len(without_verdict):
        return f"Nothing can be said of {count(refused, 'comparison')}; the reasons are below."
    return (
        f"For {count(len(without_verdict) - refused, 'comparison')} no interval can be stated, so nothing can be said "
        f"of chance{f', and {refused} more cannot be made' if refused else ''}; the reasons are below."
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
            f"the seed noise ({e.estimate.df:.0f} degrees of freedom)."
        )
    if e.verdict == "no interval":
        texts.append(
            ": too few finished seeds of its cells to tell chance in training from the effect, so no interval. "
            "Two seeds of every cell give one, three a useful one."
            if e.estimate and math.isfinite(e.estimate.image_variance)
            else ": all validation images are of one group, so nothing says what other images would give: no interval."
        )
    if e.lost:
        texts.append(f": {_lost(e, e.lost)}")
    if e.estimate and e.estimate.source == "folds":
        folds = round(e.estimate.df) + 1
        texts.append(f": told from how {folds} folds differ, so it covers the training split as well (Nadeau-Bengio).")
    if e.verdict == "undecided" and e.power:
        texts += [f": {text}" for text in _power(e)]
    if e.wider and e.estimate and e.estimate.source != "none":
        over, interval = " and ".join(e.wider.over), points_interval_text(e.wider.low, e.wider.high)
        texts.append(f", for other levels of {over} than these (taken as drawn at random): {interval}.")
    return [f"{e.level}{text}" for text in texts]


def _lost(e: Effect, lost: LostPairs) -> str:
    """What failed, and how far it could have moved the difference."""
    failed = f"{lost.level} failed with {e.level}, {lost.baseline} with {e.baseline}"
    if e.estimate is None:
        return f"of its trials {failed}."
    if not math.isfinite(lost.too_high + lost.too_low):
        return f"of its trials {failed}; with one pair left nothing says how far that moved the difference."
    low, high = e.estimate.difference - lost.too_high, e.estimate.difference + lost.too_low
    return (
        f"of its trials {failed}. Were they the worst of their level, the difference would be between "
        f"{100 * low:+.1f} and {100 * high:+.1f} points{', and the verdict allows for that' * bool(e.power)}."
    )


def _power(e: Effect) -> list[str]:
    """What it would take to show the difference that matters."""
    assert e.power
    given = f"a difference of {100 * e.power.given:.1f} points"
    if math.isnan(e.power.floor):
        return ["more labelled images settle more here; more seeds only as far as folds differ by their seeds."]
    if e.power.images is not None:
        return [
            f"no number of further seeds settles {given}; about {e.power.images:,} validation images with seeds enough "
            "would."
        ]
    if e.power.seeds is None:
        return [f"more than 200 seeds would be needed to show {given}."]
    more = round(e.power.seeds - e.seeds)
    if more < 1:
        return [f"{given} would have been shown; what is left open is whether it is smaller."]
    return [
        f"{e.power.seeds} seeds of every cell would show {given} four times in five: {count(more, 'more seed')} of its "
        f"trials, about {duration(more * e.seed_s)} of device time. (A report on them is another look, and is judged "
        "as one.)"
    ]


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
