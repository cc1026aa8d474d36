"""Sweeps of drawn scores: every kind of chance that a study meets, without predictions, so that thousands are quick.

A score is the truth of its cell plus errors: of the images (each level and cell finds other images hard, all trials
see the same ones), of the seed (all cells of a seed share some of it), of the trial, and with folds of the training
split. What the images do is handed to the report's code as the derivatives it would have read off predictions, so
effects, corrections, verdicts, power and failures are judged by the very functions that the report calls.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from swath.analysis.best_cells import BestCells, best_cells
from swath.analysis.cells import CellResult, Run
from swath.analysis.effects.comparable import final_members
from swath.analysis.effects.paired_effects import Effect, comparisons, effects
from swath.analysis.image_variance import FoldEvidence
from swath.analysis.results import TaskResults, TrialResult
from swath.store.states import State
from swath.store.storage import Storage
from swath.store.tasks import TaskRecord

Floats = NDArray[np.float64]
Cell = tuple[str, ...]
GROUPS = 60  # independent pieces of image noise
MATTERS = 0.005


@dataclass(frozen=True)
class Chance:
    """How large each kind of chance is. Standard deviations of scores, 0 to 1.

    Attributes:
        images: Of the difference between two levels, by the choice of images.
        seed: Of a trial by its seed.
        rho: Share of the seed's variance that all cells of a seed have in common, by level.
        split: Of a level by the training split, with folds; their overlap correlates these by 1 / folds.
        noisy: Multiple of `seed` for the first level of the second factor.
        labels: True where trials share random numbers, as `rho` above 0 means.
    """

    images: float = 0.004
    seed: float = 0.006
    rho: float = 0.0
    split: float = 0.0
    noisy: float = 1.0


@dataclass(frozen=True)
class Design:
    """A sweep.

    Attributes:
        name: For the table.
        levels: Number of levels of each factor.
        seeds: Of each cell.
        folds: Of a k-fold; 1 for a hold-out.
        star: One change at a time instead of all combinations.
        chance: What makes scores differ.
        effect: Size of a true effect; half of the factors' levels have none.
        failed: Share of the trials of the first factor's last level that fail, the lowest of them.
        uneven: True where half of the cells lose all seeds but two.
        null: True where no level has any effect.
    """

    name: str
    levels: tuple[int, ...]
    seeds: int = 3
    folds: int = 1
    star: bool = False
    chance: Chance = field(default_factory=Chance)
    effect: float = 2 * MATTERS
    failed: float = 0.0
    uneven: bool = False
    null: bool = False


@dataclass(frozen=True, eq=False)
class Drawn:
    """A drawn sweep as the report judges it.

    Attributes:
        effects: Of all levels.
        truths: True difference of each, in the same order.
        best: What is said of the best cells.
        winner: True score of the highest cell.
        highest: Its observed one.
    """

    effects: list[Effect]
    truths: list[float]
    best: BestCells | None
    winner: float
    highest: float


def draw(design: Design, rng: np.random.Generator, looks: Sequence[int] = ()) -> Drawn:
    """Draw a sweep and judge it.

    Args:
        design: The sweep.
        rng: Of all draws.
        looks: Numbers of seeds that it was looked at with; only those of the last are there now.
    """
    cells = _cells(design)
    truth = _truths(design, cells, rng)
    keys = [(c, s, f) for f in range(design.folds) for s in range(design.seeds) for c in cells]
    scores, evidence = _scores(design, keys, truth, rng)
    lost = _lost(design, keys, scores, rng)
    if looks:
        lost |= {i: State.NOT_RUN for i, (_, seed, _) in enumerate(keys) if seed >= looks[-1]}
    task = replace(_task(design, keys, scores, lost), looks=max(1, len(looks)))
    kept = [
        _of_trials(fold, np.array([task.trials[i].state == State.COMPLETE for i in fold.trials])) for fold in evidence
    ]
    members = final_members(task)
    asked = comparisons(task, members.members)
    judged = effects(task, members, asked, kept)
    at = {c: i for i, c in enumerate(cells)}
    truths = [
        float(np.mean([_true_difference(task, truth, at, p.level, p.baseline) for p in e.pairs])) if e.pairs else 0.0
        for e in judged
    ]
    ranked = _ranked(task)
    best = best_cells(task, ranked, kept) if ranked else None
    winner = truth[at[tuple(ranked[0].factors.values())]] if ranked else float("nan")
    return Drawn(judged, truths, best, float(winner), ranked[0].score if ranked else float("nan"))


def _true_difference(task: TaskResults, truth: Floats, at: dict[Cell, int], level: str, baseline: str) -> float:
    by_name = {t.fingerprint: tuple(t.factors.values()) for t in (task.trials[int(x[1:])] for x in (level, baseline))}
    return float(truth[at[by_name[level]]] - truth[at[by_name[baseline]]])


def _cells(design: Design) -> list[Cell]:
    names = [[f"{chr(97 + i)}{j}" for j in range(n)] for i, n in enumerate(design.levels)]
    if not design.star:
        return list(itertools.product(*names))
    base = tuple(levels[0] for levels in names)
    return [base, *((*base[:i], level, *base[i + 1 :]) for i, levels in enumerate(names) for level in levels[1:])]


def _truths(design: Design, cells: list[Cell], rng: np.random.Generator) -> Floats:
    """[cells] expected scores; each level has the design's effect, up or down, or none."""
    names = dict.fromkeys(level for cell in cells for level in cell)
    size = 0.0 if design.null else design.effect
    of_level = {n: 0.0 if n.endswith("0") else rng.choice([-1, 0, 0, 1]) * size for n in names}
    return np.array([0.8 + sum(of_level[level] for level in cell) for cell in cells])


def _scores(
    design: Design, keys: list[tuple[Cell, int, int]], truth: Floats, rng: np.random.Generator
) -> tuple[Floats, list[FoldEvidence]]:
    """[T] scores, and how those of each fold move with its images."""
    chance, cells = design.chance, _cells(design)
    at = {c: i for i, c in enumerate(cells)}
    scores = np.array([truth[at[c]] for c, _, _ in keys])
    # Two levels differ by `images`, so each moves by that over sqrt 2; a fold has its share of the images.
    one = chance.images / np.sqrt(2) * np.sqrt(design.folds)
    evidence = []
    for fold in range(design.folds):
        numbers = np.array([i for i, key in enumerate(keys) if key[2] == fold])
        pattern: dict[str, Floats] = {}
        rows = np.array([_image_pattern(keys[i][0], pattern, rng) for i in numbers]) * one
        # A variance from derivatives is G / (G - 1) sum of squares: so scaled, a draw has just this variance.
        scores[numbers] += rows @ rng.standard_normal(GROUPS) * np.sqrt(GROUPS / (GROUPS - 1))
        evidence.append(_evidence(numbers, rows))
    scores += _training(design, keys, rng)
    for fold in evidence:
        fold.labels[:, 0] = scores[fold.trials]
    return scores, evidence


def _image_pattern(cell: Cell, pattern: dict[str, Floats], rng: np.random.Generator) -> Floats:
    """[GROUPS] how a cell's score moves with the images: a part common to all, one of each level, one of its own."""
    parts = []
    for name, share in [("all", 4.0), *((level, 0.7 / len(cell)) for level in cell), ("/".join(cell), 0.3)]:
        if name not in pattern:
            pattern[name] = rng.standard_normal(GROUPS) / np.sqrt(GROUPS)
        parts.append(np.sqrt(share) * pattern[name])
    return np.sum(parts, axis=0)


def _training(design: Design, keys: list[tuple[Cell, int, int]], rng: np.random.Generator) -> Floats:
    """[T] errors by seeds and, with folds, by training splits."""
    chance = design.chance
    shared: dict[tuple[object, ...], float] = {}

    def common(*key: object) -> float:
        if key not in shared:
            shared[key] = rng.standard_normal()
        return shared[key]

    errors = []
    for cell, seed, fold in keys:
        scale = chance.seed * (chance.noisy if len(cell) > 1 and cell[1].endswith("0") else 1.0)
        # What a seed does to a level it does in every cell with that level.
        together = sum(common("seed", level, seed) for level in cell) / np.sqrt(len(cell))
        error = scale * (np.sqrt(chance.rho) * together + np.sqrt(1 - chance.rho) * rng.standard_normal())
        overlap = 1 / design.folds
        for level in cell if chance.split else ():
            every, own = common("split", level), common("split", level, fold)
            error += chance.split / np.sqrt(2) * (np.sqrt(overlap) * every + np.sqrt(1 - overlap) * own)
        errors.append(error)
    return np.array(errors)


def _evidence(numbers: NDArray[np.int64], rows: Floats) -> FoldEvidence:
    moves = rows.astype(np.float32)
    none = np.empty(0, np.int64)
    return FoldEvidence(
        trials=numbers,
        labels=np.zeros((len(numbers), 1)),
        derivative=moves,
        plain=moves,
        drawn=None,
        drawn_rare=None,
        rare=none,
        dropped=np.empty(0),
        label_variance=np.zeros((0, 1)),
    )


def _of_trials(fold: FoldEvidence, kept: NDArray[np.bool_]) -> FoldEvidence:
    """The evidence of the trials that finished."""
    arrays = {name: getattr(fold, name)[kept] for name in ("trials", "labels", "derivative", "plain")}
    rest = {n: getattr(fold, n) for n in ("drawn", "drawn_rare", "rare", "dropped", "label_variance")}
    return FoldEvidence(**arrays, **rest)


def _lost(
    design: Design, keys: list[tuple[Cell, int, int]], scores: Floats, rng: np.random.Generator
) -> dict[int, State]:
    """Trials that did not finish, by number."""
    lost: dict[int, State] = {}
    if design.failed:
        last = f"a{design.levels[0] - 1}"
        of_level = np.array([i for i, (cell, _, _) in enumerate(keys) if cell[0] == last])
        lowest = of_level[np.argsort(scores[of_level])][: round(design.failed * len(of_level))]
        lost |= dict.fromkeys(map(int, lowest), State.FAILED)
    if design.uneven:
        some = {cell for cell in _cells(design) if rng.random() < 0.5}
        lost |= {i: State.NOT_RUN for i, (cell, seed, _) in enumerate(keys) if cell in some and seed > 1}
    return lost


def _task(design: Design, keys: list[tuple[Cell, int, int]], scores: Floats, lost: dict[int, State]) -> TaskResults:
    rows = pd.DataFrame({"id": ["i"], "split": "train", "group": 0, "bad": ""})
    record = TaskRecord("drawn", "multilabel", "map", ("label",), rows, np.ones((1, 1), np.uint8), None)
    streams = {} if design.chance.rho else {"streams": "own"}
    trials = tuple(
        TrialResult(
            **{"fingerprint": f"t{i}", "cell": "/".join(cell), "factors": {n[0]: n for n in cell}},
            **{"baseline": all(n.endswith("0") for n in cell), "data": "drawn", "fold": fold, "seed": seed},
            **{"epochs_planned": 1, "rungs": (), "state": lost.get(i, State.COMPLETE), "outcome": None, "problem": ""},
            **{"at_work": "", "spec": streams, "metrics": pd.DataFrame(), "storage": Storage("."), "val_logits": None},
            scores={"map": float(scores[i])},
        )
        for i, (cell, seed, fold) in enumerate(keys)
    )
    validation = {fold: np.zeros(1, np.int64) for fold in range(design.folds)}
    return TaskResults("drawn", "drawn", record, np.zeros(1, np.int64), {}, trials, validation, (), matters=MATTERS)


def _ranked(task: TaskResults) -> list[CellResult]:
    """Cells with a finished run, best first."""
    runs: dict[tuple[str, int], list[TrialResult]] = {}
    for t in task.trials:
        if t.state == State.COMPLETE:
            runs.setdefault((t.cell, t.seed), []).append(t)
    by_cell: dict[str, list[Run]] = {}
    for (cell, _), trials in runs.items():
        if len(trials) == len(task.validation):
            by_cell.setdefault(cell, []).append(Run(tuple(trials), float(np.mean([task.score(t) for t in trials]))))
    ranked = sorted(by_cell.values(), key=lambda some: -np.mean([r.score for r in some]))
    return [
        CellResult(
            **{"cell": some[0].cell, "factors": some[0].trials[0].factors, "baseline": some[0].trials[0].baseline},
            **{"runs": tuple(some), "seeds_planned": len(some), "score": float(np.mean([r.score for r in some]))},
            **{"sd": None, "low": 0.0, "high": 1.0, "blocks": 0, "epochs": 1.0, "device_s": 0.0, "scores": {}},
        )
        for some in ranked
    ]
