"""Pairs that failures took, and how far these could have moved a difference.

What fails may be what would have scored worst. With a share q of one level's trials lost, all of them its lowest, the
mean of the others of a normal distribution is too high by s h, h = phi(z_q) / (1 - q) (trimming bounds, after Lee
2009). What is left varies less than all did, with standard deviation s sqrt(1 + z_q h - h^2), from which s is told.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from swath.analysis.effects.differences import PairedDifferences
from swath.analysis.results import TaskResults, TrialResult
from swath.store.states import State

Floats = NDArray[np.float64]
_FAILED = (State.FAILED, State.UNREADABLE)


@dataclass(frozen=True)
class LostPairs:
    """Pairs without a difference because a trial failed. Shifts are of scores, 0 to 1.

    Attributes:
        level: Failed trials with the level.
        baseline: With the baseline level.
        too_high: By how much the difference may be too high, were the level's failed trials its worst.
        too_low: By how much it may be too low, were the baseline level's.
    """

    level: int
    baseline: int
    too_high: float
    too_low: float

    def toward_zero(self, difference: float) -> float:
        """The difference as it may be without the failures, as far towards 0 as they allow."""
        if difference > 0:
            return max(0.0, difference - self.too_high)
        return min(0.0, difference + self.too_low)

    def away_from_zero(self, difference: float) -> float:
        """The same, as far from 0 as they allow."""
        low, high = difference - self.too_high, difference + self.too_low
        return low if abs(low) > abs(high) else high


def lost_pairs(task: TaskResults, possible: PairedDifferences, observed: Floats) -> LostPairs | None:
    """What failures took from a comparison; None where they took nothing.

    Args:
        task: The task.
        possible: All pairs of the plan; weights of the task's trials.
        observed: [U] the differences there are.
    """
    has_failed = np.array([_has_failed(task, t) for t in task.trials])
    level = int(((possible.weights > 0) & has_failed).sum())
    baseline = int(((possible.weights < 0) & has_failed).sum())
    if not level + baseline:
        return None
    spread = float(observed.std(ddof=1)) if len(observed) > 1 else np.inf
    high, low = (spread * _excess(lost / (lost + len(observed))) if lost else 0.0 for lost in (level, baseline))
    return LostPairs(level, baseline, high, low)


def _has_failed(task: TaskResults, trial: TrialResult) -> bool:
    """Ended by an error, or with predictions that are no numbers."""
    ended = trial.state in (State.COMPLETE, State.STOPPED)
    return trial.state in _FAILED or (ended and not np.isfinite(task.score(trial)))


def _excess(share: float) -> float:
    """Mean of a standard normal variable above its `share` quantile, in standard deviations that it has there."""
    z = norm.ppf(share)
    mean = norm.pdf(z) / (1 - share)
    return float(mean / np.sqrt(1 + z * mean - mean**2))
