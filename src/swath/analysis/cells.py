"""Finished trials grouped: a run is a cell with one seed on every fold, a cell is its runs over the seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swath.analysis import score_intervals as image_intervals
from swath.analysis.image_variance import FoldEvidence
from swath.analysis.results import TaskResults, TrialResult
from swath.core import metrics
from swath.store.states import State

Floats = NDArray[np.float64]
Moves = Mapping[str, NDArray[np.float32]]
"""Fingerprint of a trial to the derivatives [G] of its score in the weights of its fold's image groups."""


@dataclass(frozen=True)
class Run:
    """A cell trained with one seed, COMPLETE on every fold of the sweep.

    Attributes:
        trials: One per fold, in the folds' order.
        score: Mean over the folds.
    """

    trials: tuple[TrialResult, ...]
    score: float

    @property
    def cell(self) -> str:
        """Label of its cell."""
        return self.trials[0].cell

    @property
    def seed(self) -> int:
        """Its training seed."""
        return self.trials[0].seed

    @property
    def final(self) -> bool:
        """False for a run that might have been stopped by its own score: where there are others, they alone count."""
        return all(t.final for t in self.trials)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Of its trials."""
        return tuple(t.fingerprint for t in self.trials)

    @property
    def ms_per_image(self) -> float:
        """Milliseconds to predict an image by all its fold models, augmented views included; NaN if not measured."""
        return sum(t.last("ms_per_image") for t in self.trials)

    @property
    def probabilities(self) -> Floats:
        """[N, C] on the validation images of all folds, fold after fold."""
        return np.concatenate([t.probabilities for t in self.trials])


@dataclass(frozen=True)
class CellResult:
    """A cell that at least one seed has finished.

    Attributes:
        cell: Label.
        factors: Factor name to level.
        baseline: True for the task's baseline cell.
        runs: Its finished seeds.
        seeds_planned: Seeds the sweep lists for it, of the kind that count (see `Run.final`).
        score: Mean over the runs.
        sd: Standard deviation of the score over the runs; None for one run.
        low: Lower end of the 95 % interval of the score over validation images; see `score_intervals`.
        high: Its upper end.
        blocks: Blocks of images left out in turn for the interval; 0 where it comes from the scores' derivatives.
        epochs: Mean epochs of the finished trials.
        device_s: Seconds times devices of all its trials, whatever their state.
        scores: Means over the runs by every metric; see `scores.trial_scores`.
    """

    cell: str
    factors: dict[str, str]
    baseline: bool
    runs: tuple[Run, ...]
    seeds_planned: int
    score: float
    sd: float | None
    low: float
    high: float
    blocks: int
    epochs: float
    device_s: float
    scores: Mapping[str, float]

    @property
    def trials(self) -> tuple[TrialResult, ...]:
        """Finished trials over seeds and folds."""
        return tuple(t for run in self.runs for t in run.trials)

    @property
    def ms_per_image(self) -> float:
        """Milliseconds to predict an image by one of its trials, on average; NaN where one was not measured."""
        return float(np.mean([t.last("ms_per_image") for t in self.trials]))

    @property
    def probabilities(self) -> Floats:
        """[N, C] on the validation images of all folds, fold after fold; mean over the runs."""
        return np.mean([run.probabilities for run in self.runs], axis=0)


def finished_runs(task: TaskResults) -> list[Run]:
    """Runs whose trial is COMPLETE on every fold, in the sweep's order; one of each where cells share trials."""
    folds = len({t.fold for t in task.trials})
    by_run: dict[tuple[str, int], list[TrialResult]] = {}
    for trial in task.trials:
        if trial.state == State.COMPLETE:
            by_run.setdefault((trial.cell, trial.seed), []).append(trial)
    runs = []
    for trials in by_run.values():
        if len(trials) == folds:
            trials.sort(key=lambda t: t.fold)
            runs.append(Run(tuple(trials), float(np.mean([task.score(t) for t in trials]))))
    return runs


def rank_key(score: float) -> tuple[bool, float]:
    """Sort key that puts the highest score first and NaN last."""
    return (bool(np.isnan(score)), -score)


def cell_results(task: TaskResults, top: int | None = None, evidence: Sequence[FoldEvidence] = ()) -> list[CellResult]:
    """The task's cells with a finished run, best first.

    Args:
        task: The task.
        top: Stop after so many; the interval of each cell takes time.
        evidence: What was read of the task's trials already; the predictions of others are read here.
    """
    by_cell: dict[str, list[Run]] = {}
    for run in finished_runs(task):
        by_cell.setdefault(run.cell, []).append(run)
    by_cell = {cell: [run for run in runs if run.final] or runs for cell, runs in by_cell.items()}
    ranked = sorted(by_cell.values(), key=lambda runs: rank_key(float(np.mean([run.score for run in runs]))))
    moves = {
        task.trials[number].fingerprint: derivatives
        for fold in evidence
        for number, derivatives in zip(fold.trials, fold.plain, strict=True)
    }
    return [_cell(task, runs, moves) for runs in ranked[:top]]


def _cell(task: TaskResults, runs: list[Run], moves: Moves) -> CellResult:
    label, scores = runs[0].cell, [run.score for run in runs]
    all_trials = [t for t in task.trials if t.cell == label]
    blocks = blocks_of(task)
    score, one = float(np.mean(scores)), runs[0].trials[0]
    low, high = _interval(task, runs, score, blocks, moves)
    return CellResult(
        cell=label,
        factors=one.factors,
        baseline=label == task.baseline_cell,
        runs=tuple(runs),
        seeds_planned=len({t.seed for t in all_trials if t.final or not runs[0].final}),
        score=score,
        sd=float(np.std(scores, ddof=1)) if len(runs) > 1 else None,
        low=low,
        high=high,
        blocks=blocks,
        epochs=float(np.mean([t.epochs for run in runs for t in run.trials])),
        device_s=sum(t.device_s for t in all_trials),
        scores={name: float(np.mean([t.scores[name] for run in runs for t in run.trials])) for name in one.scores},
    )


def blocks_of(task: TaskResults) -> int:
    """Blocks of images that are left out in turn for the task's intervals; 0 where derivatives serve."""
    groups = sum(len(np.unique(task.groups(fold))) for fold in task.validation)
    return image_intervals.blocks_of(task.validation_images, len(task.record.labels), groups)


def _interval(task: TaskResults, runs: list[Run], score: float, blocks: int, known: Moves) -> tuple[float, float]:
    """Interval over validation images; groups stay whole, all seeds see the same images."""
    record, fold_moves = task.record, []
    for at, fold in enumerate(sorted(task.validation)):
        trials = [run.trials[at] for run in runs]
        about = (record.metric, record.kind, task.targets(fold))
        groups = task.groups(fold)
        if blocks:
            fold_moves.append(image_intervals.left_out(*about, [t.probabilities for t in trials], groups))
            continue
        moves = [
            image_intervals.from_derivatives(known[t.fingerprint])
            if t.fingerprint in known
            else image_intervals.moves_of(*about, t.probabilities, groups)[1]
            for t in trials
        ]
        fold_moves.append(np.mean(moves, axis=0))
    return image_intervals.of_score(score, image_intervals.over_folds(fold_moves))


def pooled_score(task: TaskResults, p: Floats, chosen: NDArray[np.bool_] | None = None) -> float:
    """Mean over the folds of the task's metric on (the chosen ones of) their validation images.

    Args:
        task: The task.
        p: [N, C] probabilities on the validation images of all folds, fold after fold.
        chosen: [N] which images count; None counts all.
    """
    scores, start = [], 0
    for fold in sorted(task.validation):
        targets = task.targets(fold)
        stop = start + len(targets)
        mask = np.ones(len(targets), bool) if chosen is None else chosen[start:stop]
        if mask.any():
            scores.append(metrics.score(task.record.metric, task.record.kind, targets[mask], p[start:stop][mask]))
        start = stop
    return float(np.mean(scores)) if scores else float("nan")


def label_scores(task: TaskResults, cell: CellResult) -> Floats:
    """[C] the metric of each label, mean over the cell's seeds and folds; NaN for a label that cannot be scored."""
    record = task.record
    parts = [metrics.per_label(record.metric, record.kind, task.targets(t.fold), t.probabilities) for t in cell.trials]
    return metrics.macro(np.stack(parts).T)


def positives(task: TaskResults) -> NDArray[np.int64]:
    """[C] validation images that carry each label, over all folds."""
    return task.record.targets[task.validation_rows].sum(axis=0, dtype=np.int64)


def confusion_shares(task: TaskResults, cell: CellResult) -> Floats | None:
    """Of each class's validation images the share predicted as each class, probabilities averaged over the seeds.

    Args:
        task: The task.
        cell: A finished cell.

    Returns:
        [C, C], rows are the truth; None for a task of several labels per image.
    """
    if task.record.kind != "multiclass":
        return None
    hard = metrics.decisions(cell.probabilities, "multiclass")
    counts = task.record.targets[task.validation_rows].T.astype(np.int64) @ hard.astype(np.int64)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
