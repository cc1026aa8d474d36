"""The trials of a sweep as far as the store knows how they go: score and seconds of each epoch, and how it ended."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swath.analysis.results import Results, TrialResult
from swath.config.recipe import Backbone
from swath.config.stopping import Stratum
from swath.store.states import State

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StoredTrial:
    """A trial and its curve.

    Attributes:
        cell: Its cell's label.
        factors: Factor name to level.
        baseline: True for the cell made of each grid's first value.
        seed: Training seed.
        stratum: Its task, backbone and fold: the trials that a rule compares it with.
        epochs: Of its recipe.
        passes: How often an epoch sees each training image.
        scores: [E] the task's metric after each epoch that was trained.
        seconds: [E] what each of these epochs took.
        ended: COMPLETE or FAILED at its last epoch, whatever the rule; UNFINISHED where a rule stopped it, or nothing
            ended it: what comes after its last epoch is unknown.
        stored: Its state in the store.
        phase: Of the sweep as it ran: 2 for a trial that ran, or not, by what phase 1 found.
        final: True when final estimates of the sweep as it ran may rest on it.
        score: Its final score; NaN unless COMPLETE.
        epoch_s: Seconds that an epoch behind its curve is taken for.
    """

    cell: str
    factors: dict[str, str]
    baseline: bool
    seed: int
    stratum: Stratum
    epochs: int
    passes: int
    scores: Floats
    seconds: Floats
    ended: State
    stored: State
    phase: int
    final: bool
    score: float
    epoch_s: float = float("nan")

    @property
    def data(self) -> str:
        """Fingerprint of its task's data."""
        return self.stratum[0]

    @property
    def fold(self) -> int:
        """Which fold validates."""
        return self.stratum[2]

    @property
    def known(self) -> int:
        """Epochs that the store has of it."""
        return len(self.scores)

    @property
    def last_epoch(self) -> int:
        """Where it ends if nothing stops it: a known end, or the last epoch of its recipe."""
        return self.epochs if self.ended == State.UNFINISHED else self.known

    def seconds_until(self, epoch: int) -> float:
        """Seconds from its start to the end of an epoch; those behind its curve take `epoch_s` each."""
        trained = float(self.seconds[:epoch].sum())
        return trained + (epoch - self.known) * self.epoch_s if epoch > self.known else trained

    def with_seed(self, seed: int) -> "StoredTrial":
        """The same with a seed that the store has nothing of; its epochs take what this one's do."""
        nothing = np.empty(0)
        return replace(
            self,
            seed=seed,
            scores=nothing,
            seconds=nothing,
            ended=State.UNFINISHED,
            stored=State.NOT_RUN,
            score=float("nan"),
        )


def stored_trials(results: Results) -> list[StoredTrial]:
    """The sweep's trials in its order, which is that of their starts; imported models are none of them.

    Args:
        results: As `read_results` gives them, predictions or not.
    """
    by_fingerprint = {t.fingerprint: t for task in results.tasks for t in task.trials}
    trials = [by_fingerprint[listed.fingerprint] for listed in results.sweep.trials]
    backbones = {t.cell: _backbone(t.spec) for t in trials if t.spec}
    return _with_epoch_seconds([_stored(t, backbones.get(t.cell, t.cell)) for t in trials])


def _stored(trial: TrialResult, backbone: str) -> StoredTrial:
    rows, outcome = trial.metrics, trial.outcome
    scores, seconds = ([], []) if rows.empty else (rows["score"], rows["seconds"])
    complete = trial.state == State.COMPLETE and len(scores) > 0
    return StoredTrial(
        cell=trial.cell,
        factors=trial.factors,
        baseline=trial.baseline,
        seed=trial.seed,
        stratum=(trial.data, backbone, trial.fold),
        epochs=trial.epochs_planned,
        passes=max(1, trial.passes // trial.epochs_planned),
        scores=np.asarray(scores, np.float64),
        seconds=np.asarray(seconds, np.float64),
        ended=State.COMPLETE if complete else State.FAILED if trial.state == State.FAILED else State.UNFINISHED,
        stored=trial.state,
        phase=trial.phase,
        final=trial.final,
        score=outcome.score if complete and outcome and outcome.score is not None else float("nan"),
    )


def _backbone(spec: dict[str, Any]) -> str:
    """What tells the backbones of a sweep apart; fields that an older swath did not write are at their defaults."""
    known = {f.name for f in fields(Backbone)}
    described = Backbone(**{name: value for name, value in spec["backbone"].items() if name in known})
    return f"{described.canonical()} {spec['weights']}"


def _with_epoch_seconds(trials: list[StoredTrial]) -> list[StoredTrial]:
    """The trials with what a further epoch takes: their own median, else their cell's, their stratum's, the sweep's."""
    by_place: dict[object, list[float]] = defaultdict(list)
    for trial in trials:
        if trial.known:
            own = float(np.median(trial.seconds))
            for place in (trial.cell, trial.stratum[:2], None):
                by_place[place].append(own)
    middle = {place: median(seconds) for place, seconds in by_place.items()}

    def epoch_seconds(trial: StoredTrial) -> float:
        if trial.known:
            return float(np.median(trial.seconds))
        places: Iterable[object] = (trial.cell, trial.stratum[:2], None)
        return next((middle[place] for place in places if place in middle), float("nan"))

    return [replace(trial, epoch_s=epoch_seconds(trial)) for trial in trials]
