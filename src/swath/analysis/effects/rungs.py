"""Effects after a few epochs, where trials were stopped: what a rung shows, and no more than that.

At the first rung every trial is still there, so pairs are complete; the effect is that of so many epochs, and where
the better level starts slowly even its sign may be another one at the end. At later rungs only survivors are left.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from swath.analysis.effects.intervals import Estimate, estimate, image_freedom, image_variances
from swath.analysis.effects.matching import Member
from swath.analysis.effects.paired_effects import comparisons
from swath.analysis.image_variance import FoldEvidence, gather
from swath.analysis.results import TaskResults, TrialResult
from swath.core import metrics
from swath.store.states import State

Floats = NDArray[np.float64]
_READERS = 16


@dataclass(frozen=True)
class RungEffect:
    """A level against its baseline level after a number of epochs; no verdict. Differences are of scores, 0 to 1.

    Attributes:
        factor: The factor.
        level: The level.
        baseline: The baseline level.
        epochs: Epochs trained at this rung; half as many where an epoch sees every image twice.
        estimate: The mean paired difference there; its p-value enters nothing.
        selected: True where trials had been stopped at earlier rungs, so that the pairs are chosen by luck.
    """

    factor: str
    level: str
    baseline: str
    epochs: int
    estimate: Estimate
    selected: bool


def rung_effects(task: TaskResults) -> list[RungEffect]:
    """Effects at every rung of a task with stopped trials; [] where nothing was stopped."""
    if all(t.state != State.STOPPED for t in task.trials):
        return []
    effects: list[RungEffect] = []
    # By number, not by epoch: rungs count passes over the images, and `Both()` makes two in an epoch.
    for rung in range(max(len(t.rungs) for t in task.trials)):
        epochs = max(t.rungs[rung] for t in task.trials if len(t.rungs) > rung)
        predictions = _predictions(task, rung)
        members = [_member(t, rung) if i in predictions else None for i, t in enumerate(task.trials)]
        asked = [c for c in comparisons(task, members) if c.units is not None]
        if not asked:
            continue
        evidence = _evidence(task, predictions)
        values = np.zeros(len(members))
        for fold in evidence:
            values[fold.trials] = metrics.macro(fold.labels)
        stopped_before = any(t.state == State.STOPPED and t.epochs in t.rungs[:rung] for t in task.trials)
        variances = partial(image_variances, evidence=evidence)
        freedom = partial(image_freedom, evidence=evidence)
        effects += [
            RungEffect(
                factor=c.factor,
                level=c.level,
                baseline=c.baseline,
                epochs=epochs,
                estimate=estimate(c.units, values, variances, freedom),
                selected=stopped_before,
            )
            for c in asked
            if c.units is not None and np.isfinite(c.units.weights @ np.nan_to_num(values, nan=np.inf)).all()
        ]
    order = {name: at for at, name in enumerate(task.factors)}
    return sorted(effects, key=lambda e: (order[e.factor], task.factors[e.factor].index(e.level), e.epochs))


def _member(trial: TrialResult, rung: int) -> Member:
    return Member(trial.factors, trial.seed, trial.fold, rung, trial.own_stream)


def _predictions(task: TaskResults, rung: int) -> dict[int, Floats]:
    """Probabilities [N, C] at a numbered rung, in the order of the fold's validation images, by number of the trial."""
    reached = [i for i, t in enumerate(task.trials) if len(t.rungs) > rung and t.epochs >= t.rungs[rung] and t.spec]
    with ThreadPoolExecutor(_READERS) as pool:
        read = pool.map(lambda i: _aligned(task, task.trials[i], task.trials[i].rungs[rung]), reached)
        return {i: p for i, p in zip(reached, read, strict=True) if p is not None}


def _aligned(task: TaskResults, trial: TrialResult, epoch: int) -> Floats | None:
    try:
        ids, p = trial.probabilities_at(epoch)
    except (OSError, KeyError, ValueError):
        return None
    rows = pd.Index(ids).get_indexer(pd.Index(task.record.rows["id"].to_numpy()[task.validation[trial.fold]]))
    return None if (rows < 0).any() or not np.isfinite(p).all() else p[rows]


def _evidence(task: TaskResults, predictions: dict[int, Floats]) -> Sequence[FoldEvidence]:
    fold_evidence = []
    for fold in sorted(task.validation):
        trial_numbers = [i for i in predictions if task.trials[i].fold == fold]
        if trial_numbers:
            fold_evidence.append(
                gather(
                    *(task.record.metric, task.record.kind, task.targets(fold), task.groups(fold), trial_numbers),
                    (predictions[i] for i in trial_numbers),
                    seed=fold,
                )
            )
    return fold_evidence
