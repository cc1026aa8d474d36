"""What the levels of each factor score in matched cells: equal in everything else, finished on the same budget.

Differences here are descriptive; nothing is said about significance.
"""

from dataclasses import dataclass

import numpy as np

from swath.report.results import TaskResults, TrialResult

Match = tuple[tuple[tuple[str, str], ...], int, int, int]
"""What matched trials share: the other factors' levels, the seed, the fold and the planned epochs."""
_ByLevel = dict[str, TrialResult]


@dataclass(frozen=True)
class LevelResult:
    """One level of a factor over its matched cells.

    Attributes:
        level: Its label.
        baseline: True for the level that others are compared with.
        matched: Number of its matched cells, each with its seed and fold.
        score: Mean over them.
        difference: Mean difference to the baseline level in points (score times 100); 0 for the baseline itself.
        better: Matched cells in which it scores above the baseline level.
    """

    level: str
    baseline: bool
    matched: int
    score: float
    difference: float
    better: int


@dataclass(frozen=True)
class FactorResult:
    """A factor's levels, compared in matched cells.

    Attributes:
        factor: Its name.
        levels: In the sweep's order; without those that no matched cell has.
        matched: Number of matched cells in which every level has finished.
        possible: Number there would be if every trial finished.
        paired: True when `matched` is 0 and each level is compared where it and the baseline level have finished.
        trials: Fingerprints of the matched trials.
    """

    factor: str
    levels: tuple[LevelResult, ...]
    matched: int
    possible: int
    paired: bool
    trials: frozenset[str]


def factor_results(task: TaskResults) -> list[FactorResult]:
    """One result per factor with two or more levels in this task."""
    return [_factor(task, name) for name in task.factors]


def _factor(task: TaskResults, factor: str) -> FactorResult:
    levels, base = task.factors[factor], task.baseline_level(factor)
    listed: dict[Match, _ByLevel] = {}
    for trial in task.trials:
        if factor in trial.factors:
            listed.setdefault(_match(trial, factor), {})[trial.factors[factor]] = trial
    finished = [{k: t for k, t in by_level.items() if _counts(task, t)} for by_level in listed.values()]
    full = [by_level for by_level in finished if len(by_level) == len(levels)]
    used: dict[str, list[_ByLevel]] = dict.fromkeys(levels, full)
    if not full:
        used = {level: [m for m in finished if level in m and base in m] for level in levels if level != base}
        used[base] = [m for m in finished if any(m in pairs for pairs in used.values())]
    found = [_level(task, level, base, used[level]) for level in levels if used[level]]
    trials = frozenset(m[level].fingerprint for level, cells in used.items() for m in cells)
    possible = sum(len(by_level) == len(levels) for by_level in listed.values())
    return FactorResult(factor, tuple(found), len(full), possible, not full, trials)


def _level(task: TaskResults, level: str, base: str, cells: list[_ByLevel]) -> LevelResult:
    own = np.array([task.score(m[level]) for m in cells])
    other = np.array([task.score(m[base]) for m in cells])
    difference = float(100 * (own - other).mean())
    return LevelResult(level, level == base, len(cells), float(own.mean()), difference, int((own > other).sum()))


def _counts(task: TaskResults, trial: TrialResult) -> bool:
    """Finished, and with a score that is a number: others cannot be compared and would spoil a mean."""
    return trial.state == "COMPLETE" and bool(np.isfinite(task.score(trial)))


def _match(trial: TrialResult, factor: str) -> Match:
    others = tuple(sorted((name, level) for name, level in trial.factors.items() if name != factor))
    # Where the epochs themselves are the factor, its levels are budgets and differ in them by design.
    budget = 0 if factor == "epochs" else trial.epochs_planned
    return others, trial.seed, trial.fold, budget
