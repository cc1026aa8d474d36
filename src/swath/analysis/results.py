"""A sweep's results as values: tasks, their trials, states and scores."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from swath.analysis.searches.space import Point, Space
from swath.config.sweep import MATTERS, SEARCH
from swath.core import metrics
from swath.store.states import State
from swath.store.storage import Storage
from swath.store.sweeps import SweepRecord
from swath.store.tasks import TaskRecord
from swath.store.trials import Outcome, Trial
from swath.tasks.audit.findings import Audit, read_audit

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TrialResult:
    """A trial of the sweep as the store has it.

    Attributes:
        fingerprint: Of its spec.
        cell: Its cell's label.
        factors: Factor name to level.
        baseline: True for the cell made of each grid's first value.
        data: Fingerprint of its task's data.
        fold: Which fold validates.
        seed: Training seed.
        epochs_planned: Epochs of its recipe.
        rungs: Epochs at which it may be stopped.
        state: The stored final state; UNFINISHED with epochs or a lease but no final state; NOT RUN with neither;
            UNREADABLE when COMPLETE without usable predictions.
        outcome: The stored final state with its details, or None.
        problem: Why it is UNREADABLE, or "".
        at_work: The process that trains it now, as `host:pid`, or "".
        spec: The canonical spec; {} before the trial began.
        metrics: One row per epoch.
        storage: Where its predictions are.
        val_logits: float16 [N, C] at its last epoch, in the order of the task's `validation[fold]`; None unless
            COMPLETE or STOPPED.
        scores: Of those logits, by every metric; see `scores.trial_scores`.
        phase: 1, or 2 for one that ran by what phase 1 found.
        exempt: True when the stopping rule could not end it.
        final: True when final estimates may rest on it: it ran to the end for no score of its own.
        passes: Passes over the training images in all: its epochs, or twice as many with `Both()`.
    """

    fingerprint: str
    cell: str
    factors: dict[str, str]
    baseline: bool
    data: str
    fold: int
    seed: int
    epochs_planned: int
    rungs: tuple[int, ...]
    state: State
    outcome: Outcome | None
    problem: str
    at_work: str
    spec: dict[str, Any]
    metrics: pd.DataFrame
    storage: Storage
    val_logits: NDArray[np.float16] | None
    scores: dict[str, float]
    phase: int = 1
    exempt: bool = True
    final: bool = True
    passes: int = 0

    @property
    def epochs(self) -> int:
        """Epochs trained so far."""
        if self.outcome is not None:
            return self.outcome.epochs
        return 0 if self.metrics.empty else int(self.metrics["epoch"].max())

    @property
    def device_s(self) -> float:
        """Seconds times devices spent so far."""
        if self.outcome is not None:
            return self.outcome.device_s
        return 0.0 if self.metrics.empty else float(self.metrics["seconds"].sum())

    @property
    def left_s(self) -> float:
        """Seconds that the epochs it lacks will take if they are like its median one; NaN before the first."""
        per_epoch = float(self.metrics["seconds"].median()) if len(self.metrics) else float("nan")
        return per_epoch * (self.epochs_planned - self.epochs)

    def last(self, column: str) -> float:
        """A column of its last epoch; NaN where it has none."""
        rows = self.metrics
        return float(rows[column].iloc[-1]) if column in rows and len(rows) else float("nan")

    @property
    def own_stream(self) -> bool:
        """True where its random numbers are its own, False where all cells of a seed share them."""
        return self.spec.get("streams") == "own"

    @property
    def probabilities(self) -> Floats:
        """[N, C] on the validation images of its fold, at its last epoch."""
        if self.val_logits is None:
            raise ValueError(f"trial {self.fingerprint} ({self.state}) has no validation predictions")
        return metrics.probabilities(self.val_logits, self.spec["link"])

    def probabilities_at(self, epoch: int) -> tuple[NDArray[np.str_], Floats]:
        """Ids [N] and probabilities [N, C] of validation images at a rung; FileNotFoundError when there are none."""
        ids, logits = Trial(self.storage, self.fingerprint).logits(f"val/{epoch}")
        return ids, metrics.probabilities(logits, self.spec["link"])

    def test_probabilities(self) -> tuple[NDArray[np.str_], Floats]:
        """Ids [N] and probabilities [N, C] of the test images; FileNotFoundError when there are none."""
        ids, logits = Trial(self.storage, self.fingerprint).logits("test")
        return ids, metrics.probabilities(logits, self.spec["link"])


@dataclass(frozen=True, eq=False)
class TaskResults:
    """One task of the sweep and its trials.

    Attributes:
        label: Unique in the sweep.
        data: Fingerprint of its data.
        record: What the store keeps of it.
        folds: For each row of the record the fold that validates on it, -1 for none.
        baseline_levels: Level of each factor in the sweep's baseline cell, which may be one of another task.
        trials: In the sweep's order.
        validation: Fold to the record's row numbers of the images its trials are scored on.
        notes: What a reader should know of the predictions.
        named: True where cells have names of their own, which say more than their levels.
        matters: Difference of scores that matters to the study, by its metric.
        looks: Sets of trials that its verdicts were looked at with, these included.
        searches: What a search looked through, with its points.
    """

    label: str
    data: str
    record: TaskRecord
    folds: NDArray[np.int64]
    baseline_levels: dict[str, str]
    trials: tuple[TrialResult, ...]
    validation: dict[int, NDArray[np.int64]]
    notes: tuple[str, ...]
    named: bool = False
    matters: float = MATTERS
    looks: int = 1
    searches: tuple[Space, ...] = ()

    @cached_property
    def factors(self) -> dict[str, tuple[str, ...]]:
        """Levels of each factor that has two or more in this task, both in the sweep's order.

        The points of a search are no levels: trials are matched at equal points, and no point is compared with another.
        """
        names = dict.fromkeys(name for t in self.trials for name in t.factors if name != SEARCH)
        by_name = {n: tuple(dict.fromkeys(t.factors[n] for t in self.trials if n in t.factors)) for n in names}
        return {name: levels for name, levels in by_name.items() if len(levels) > 1}

    def baseline_level(self, factor: str) -> str:
        """The level that others of the factor are compared with."""
        level = self.baseline_levels.get(factor, "")
        return level if level in self.factors[factor] else self.factors[factor][0]

    @cached_property
    def points(self) -> dict[str, Point]:
        """The point of a search at each cell's label."""
        return {point.cell: point for space in self.searches for point in space.points}

    @property
    def baseline_cell(self) -> str:
        """Label of the cell made of the baseline levels; "" when the task has none, or it is a point of a search."""
        levels = {name: self.baseline_level(name) for name in self.factors}
        cells = (t.cell for t in self.trials if all(t.factors.get(n) == level for n, level in levels.items()))
        found = next(cells, "")
        return "" if found in self.points else found

    @cached_property
    def audit(self) -> Audit | None:
        """What the store keeps of an audit of its data, or None."""
        return read_audit(self.trials[0].storage, self.data)

    @property
    def validation_rows(self) -> NDArray[np.int64]:
        """[N] row numbers of the validation images of all folds, fold after fold."""
        return np.concatenate([np.empty(0, np.int64), *(self.validation[fold] for fold in sorted(self.validation))])

    @property
    def validation_images(self) -> int:
        """Number of validation images over all folds."""
        return sum(len(rows) for rows in self.validation.values())

    def targets(self, fold: int) -> NDArray[np.uint8]:
        """[N, C] of the validation images of a fold."""
        return self.record.targets[self.validation[fold]]

    def groups(self, fold: int) -> NDArray[np.int64]:
        """[N] group index from 0 of the validation images of a fold."""
        groups = self.record.rows["group"].to_numpy()[self.validation[fold]]
        return np.unique(groups, return_inverse=True)[1].astype(np.int64)

    def score(self, trial: TrialResult) -> float:
        """The task's metric at the trial's last epoch; NaN without predictions."""
        return trial.scores.get(self.record.metric, float("nan"))

    def counts(self) -> Counter[State]:
        """Number of trials in each state."""
        return Counter(t.state for t in self.trials)


@dataclass(frozen=True)
class Results:
    """Everything a report is made of.

    Attributes:
        storage: The store.
        sweep: Which trials belong to it, and how it was started.
        tasks: In the sweep's order; those with trials.
    """

    storage: Storage
    sweep: SweepRecord
    tasks: tuple[TaskResults, ...]

    @property
    def name(self) -> str:
        """The sweep's name."""
        return self.sweep.name

    @property
    def device_s(self) -> float:
        """Seconds times devices of all trials; those that tasks or cells share count once."""
        trials = {t.fingerprint: t for task in self.tasks for t in task.trials}
        return sum(t.device_s for t in trials.values())

    def counts(self) -> Counter[State]:
        """Number of trials in each state, over all tasks."""
        return sum((task.counts() for task in self.tasks), Counter())
