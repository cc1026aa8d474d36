"""What a replayed rule would have chosen in a task, beside what the sweep's own trials say at their full budget."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from swath.analysis.cells import rank_key
from swath.analysis.effects.matching import EPOCHS
from swath.analysis.rank_correlation import rank_correlation
from swath.analysis.replay.schedule import ReplayedTrial
from swath.analysis.replay.stored_trials import StoredTrial
from swath.analysis.results import TaskResults
from swath.store.states import State

_TOP = 5
_TOP_SHARE = 4  # of few cells only a quarter are at the top


@dataclass(frozen=True)
class Ranking:
    """The cells of a task at their full budget.

    Attributes:
        task: Label of the task.
        scores: Mean score of each cell that has a seed on every fold, best first.
        pairs: Pairs of trials behind each comparison of a level with its factor's baseline level; comparisons without
            any are not listed.
    """

    task: str
    scores: Mapping[str, float]
    pairs: Mapping[tuple[str, str], int]

    @property
    def best(self) -> str:
        """The best cell, "" where none has finished."""
        return next(iter(self.scores), "")

    @property
    def top(self) -> tuple[str, ...]:
        """The best quarter of the cells, five at most."""
        return tuple(self.scores)[: min(_TOP, math.ceil(len(self.scores) / _TOP_SHARE))]


@dataclass(frozen=True)
class Choice:
    """What a rule leaves of a task. Scores are those of the full run, 0 to 1.

    Attributes:
        task: Label of the task.
        winner: The best cell by the trials that the rule ran to the end; "" where it ran no cell to the end.
        regret: Score of the full run's best cell less that of the winner; NaN where it is not known.
        survivors: Cells with a seed that ran to the end on every fold, best first.
        best_kept: True when the full run's best cell is among them.
        top: The full run's best cells, and how many.
        top_kept: How many of those survive.
        rank_correlation: Spearman's, of the order in which the rule leaves the cells and of the full run's.
        comparisons: Comparisons of levels that have a pair left.
        pairs: Pairs of trials in all comparisons.
        unknown: Cells of which something is unknown.
    """

    task: str
    winner: str
    regret: float
    survivors: tuple[str, ...]
    best_kept: bool
    top: int
    top_kept: int
    rank_correlation: float
    comparisons: int
    pairs: int
    unknown: int


@dataclass(frozen=True)
class _Finished:
    """A trial that ran to its end, with whether final estimates may rest on it."""

    trial: StoredTrial
    final: bool


def full_ranking(task: TaskResults, trials: Iterable[StoredTrial]) -> Ranking:
    """The cells by everything that the store has of the task at the full budget."""
    of_task = [t for t in trials if t.data == task.data]
    finished = [_Finished(t, t.final) for t in of_task if t.ended == State.COMPLETE]
    compared = [f.trial for f in finished if f.final or not _has_chosen(of_task)]
    return Ranking(task.label, _cell_scores(finished, _folds(of_task)), _pairs(task, compared))


def choice(task: TaskResults, replayed: Iterable[ReplayedTrial], full: Ranking) -> Choice:
    """What the replayed trials of a task come to, against the task's ranking at its full budget."""
    of_task = [r for r in replayed if r.trial.data == task.data]
    finished = [_Finished(r.trial, r.final) for r in of_task if r.state == State.COMPLETE]
    scores = _cell_scores(finished, _folds([r.trial for r in of_task]))
    chosen = any(r.state == State.STOPPED or r.phase > 1 for r in of_task)
    compared = [f.trial for f in finished if f.final or not chosen]
    if _has_chosen([r.trial for r in of_task]):  # what the store knows to the end is there by its luck
        compared = [t for t in compared if t.final]
    pairs = _pairs(task, compared)
    winner = next(iter(scores), "")
    unknown = {r.trial.cell for r in of_task if r.state == State.UNFINISHED}
    return Choice(
        task=task.label,
        winner=winner,
        regret=full.scores.get(full.best, math.nan) - full.scores.get(winner, math.nan),
        survivors=tuple(scores),
        best_kept=full.best in scores,
        top=len(full.top),
        top_kept=sum(cell in scores for cell in full.top),
        rank_correlation=_correlation(of_task, scores, full, unknown),
        comparisons=len(pairs),
        pairs=sum(pairs.values()),
        unknown=len(unknown),
    )


def _folds(trials: Sequence[StoredTrial]) -> int:
    return len({t.fold for t in trials})


def _cell_scores(finished: Iterable[_Finished], folds: int) -> dict[str, float]:
    """Mean score of each cell over its seeds that are there on every fold, best first; as reports rank cells.

    Where a cell has seeds that no score could stop, they alone count. Cells without a score that is a number are out.
    """
    runs: dict[tuple[str, int], list[_Finished]] = defaultdict(list)
    for one in finished:
        runs[one.trial.cell, one.trial.seed].append(one)
    cells: dict[str, list[tuple[bool, float]]] = defaultdict(list)
    for (cell, _), run in runs.items():
        if len(run) == folds:
            cells[cell].append((all(one.final for one in run), fmean(one.trial.score for one in run)))
    scores = {
        cell: fmean([score for final, score in by_run if final] or [score for _, score in by_run])
        for cell, by_run in cells.items()
    }
    return {
        cell: scores[cell] for cell in sorted(scores, key=lambda c: rank_key(scores[c])) if not math.isnan(scores[cell])
    }


def _has_chosen(trials: Iterable[StoredTrial]) -> bool:
    """True where the sweep itself stopped trials by their scores, or picked cells by them."""
    return any(t.stored == State.STOPPED or t.phase > 1 for t in trials)


def _pairs(task: TaskResults, compared: Iterable[StoredTrial]) -> dict[tuple[str, str], int]:
    """Pairs of trials that differ in one factor, a level against the baseline level, by factor and level."""
    sound = [t for t in compared if not math.isnan(t.score)]
    pairs: dict[tuple[str, str], int] = defaultdict(int)
    for factor in task.factors:
        base = task.baseline_level(factor)
        levels_by_key: dict[tuple[object, ...], set[str]] = defaultdict(set)
        for trial in sound:
            if factor in trial.factors:
                others = tuple(sorted((name, level) for name, level in trial.factors.items() if name != factor))
                budget = 0 if factor == EPOCHS else trial.epochs
                levels_by_key[others, trial.seed, trial.fold, budget].add(trial.factors[factor])
        for levels in levels_by_key.values():
            for level in levels - {base} if base in levels else ():
                pairs[factor, level] += 1
    return dict(pairs)


def _correlation(
    replayed: Iterable[ReplayedTrial], scores: Mapping[str, float], full: Ranking, unknown: set[str]
) -> float:
    """Of the cells by how far they got, then by their score there, with their scores in the full run."""
    reached: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for r in replayed:
        if r.state not in (State.NOT_RUN, State.UNFINISHED) and r.trial.cell in full.scores and r.epochs:
            reached[r.trial.cell].append((r.epochs / r.trial.epochs, float(r.trial.scores[r.epochs - 1])))
    means = {
        cell: (1.0, scores[cell]) if cell in scores else (fmean(s for s, _ in at), fmean(s for _, s in at))
        for cell, at in reached.items()
        if cell not in unknown
    }
    order = {place: rank for rank, place in enumerate(sorted(set(means.values())))}
    return rank_correlation([order[place] for place in means.values()], [full.scores[cell] for cell in means])
