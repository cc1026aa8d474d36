"""Validation scores by epoch."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from swath.analysis.results import TrialResult
from swath.store.states import State

Curve = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Epochs [E] from 1, and the score at each."""


def curve(trial: TrialResult) -> Curve:
    """The scores of one trial."""
    return trial.metrics["epoch"].to_numpy(np.int64), trial.metrics["score"].to_numpy(np.float64)


def mean_curve(trials: Sequence[TrialResult]) -> Curve:
    """Mean over seeds and folds, the finished ones where there are any, at the epochs that all of them reached."""
    counted = [t for t in trials if t.state == State.COMPLETE] or trials
    by_trial = [dict(zip(*curve(t), strict=True)) for t in counted]
    epochs = sorted(set.intersection(*(set(points) for points in by_trial)))
    scores = [np.mean([points[epoch] for points in by_trial]) for epoch in epochs]
    return np.array(epochs, np.int64), np.array(scores, np.float64)
