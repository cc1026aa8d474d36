"""Averaged ensembles, cross-fitted: members are chosen on one half of the validation images, scored on the other.

A member is a run: a cell with one seed, on every fold. Where a sweep has one split, a run is a trial.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swath.errors import InputError
from swath.registry import unknown
from swath.report.cells import Run, finished_runs, pooled_score, rank_key
from swath.report.results import TaskResults
from swath.splits import stratified_half

SIZES = (2, 3, 5, 8, 12, 20)
BEST = "best"
SINGLE = "single"
_HALF_SEED = 0
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Ensemble:
    """An average of the probabilities of the best runs.

    Attributes:
        name: `single`, `top2`, ... or `best`.
        size: Runs in it.
        members: Fingerprints of its trials, chosen on all validation images, best run first.
        cross_fit_score: Mean of the two half scores; NaN when the images cannot be halved.
        half_scores: Score on each half, with members chosen on the other one.
        half_sizes: Runs chosen for each of them.
        choice: How the members were chosen.
    """

    name: str
    size: int
    members: tuple[str, ...]
    cross_fit_score: float
    half_scores: tuple[float, ...]
    half_sizes: tuple[int, ...]
    choice: str

    def json(self, data: str) -> dict[str, Any]:
        """Its entry in ensembles.json, for the task with this data fingerprint."""
        score = None if np.isnan(self.cross_fit_score) else self.cross_fit_score
        return {"members": list(self.members), "cross_fit_score": score, "choice": self.choice, "data": data}


def ensemble_names(runs: int) -> list[str]:
    """Names of the ensembles that so many finished runs allow."""
    return [SINGLE, *(f"top{k}" for k in SIZES if k <= runs), BEST] if runs else []


def usable_runs(task: TaskResults) -> list[Run]:
    """Finished runs that can be averaged: distinct, and their predictions are numbers throughout."""
    distinct = {run.fingerprints: run for run in finished_runs(task)}
    return [run for run in distinct.values() if np.isfinite(run.probabilities).all()]


def ensembles(task: TaskResults) -> list[Ensemble]:
    """All ensembles of a task with their cross-fitted scores; [] before any run has finished."""
    runs = usable_runs(task)
    halves = _halves(task)
    orders = {True: _Order(task, runs, halves), False: _Order(task, runs, ~halves)} if halves is not None else {}
    final = _Order(task, runs, None)
    found = []
    for name in ensemble_names(len(runs)):
        scores, sizes = [], []
        for half, order in orders.items():
            sizes.append(order.size(name))
            scores.append(pooled_score(task, order.average(sizes[-1]), halves != half))
        score = float(np.mean(scores)) if scores else float("nan")
        chosen = final.chosen(name)
        members = tuple(f for run in chosen for f in run.fingerprints)
        found.append(Ensemble(name, len(chosen), members, score, tuple(scores), tuple(sizes), _choice(name)))
    return found


def members(task: TaskResults, name: str) -> list[Run]:
    """The runs of one ensemble, chosen on all validation images as in `ensembles`.

    Raises:
        InputError: No run has finished, or there is no ensemble of that name.
    """
    runs = usable_runs(task)
    names = ensemble_names(len(runs))
    if not names:
        raise InputError(f"no trial of {task.label} is COMPLETE yet, so there is nothing to average. Finish the sweep.")
    if name not in names:
        raise InputError(unknown("ensemble", name, names))
    return _Order(task, runs, None).chosen(name)


class _Order:
    """Runs ranked on some of the validation images, and the averages of the first k.

    Args:
        task: The task.
        runs: The runs.
        chosen_on: [N] the images that decide; None for all.
    """

    def __init__(self, task: TaskResults, runs: list[Run], chosen_on: Mask | None) -> None:
        self._task = task
        self._mask = chosen_on
        scores = [run.score if chosen_on is None else pooled_score(task, run.probabilities, chosen_on) for run in runs]
        self._ranked = [runs[i] for i in sorted(range(len(runs)), key=lambda i: rank_key(scores[i]))]
        self._averages: dict[int, Floats] = {}

    def average(self, size: int) -> Floats:
        """[N, C] mean probabilities of the best runs, on all images."""
        if not self._averages:
            total: Floats | float = 0.0
            for k, run in enumerate(self._ranked[: max(SIZES)], start=1):
                total = total + run.probabilities
                if k == 1 or k in SIZES:
                    self._averages[k] = total / k
        return self._averages[size]

    def size(self, name: str) -> int:
        """Number of runs that a named ensemble takes: fixed, or for `best` what scores highest on these images."""
        if name == SINGLE:
            return 1
        if name != BEST:
            return int(name.removeprefix("top"))
        sizes = [1, *(k for k in SIZES if k <= len(self._ranked))]
        return min(sizes, key=lambda k: rank_key(pooled_score(self._task, self.average(k), self._mask)))

    def chosen(self, name: str) -> list[Run]:
        """Members of a named ensemble, best first."""
        return self._ranked[: self.size(name)]


def _halves(task: TaskResults) -> Mask | None:
    """[N] True for half A of the validation images: whole groups, stratified on labels; None where that cannot be."""
    folds = sorted(task.validation)
    rows = np.concatenate([task.validation[f] for f in folds]) if folds else np.empty(0, np.int64)
    groups = task.record.rows["group"].to_numpy()[rows]
    try:
        return stratified_half(task.record.targets[rows], groups, 0.5, _HALF_SEED)
    except ValueError:
        return None


def _choice(name: str) -> str:
    if name == SINGLE:
        return "the one best on the validation images"
    if name == BEST:
        return "number and members with the best average on the validation images, one member allowed"
    return f"the {name.removeprefix('top')} best on the validation images, averaged"
