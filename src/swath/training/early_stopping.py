"""The best epochs of a training that may stop early, and their weights."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from swath.config.schedules import EarlyStop

Weights = dict[str, Tensor]


@dataclass
class _Best:
    value: float
    epoch: int


class BestEpochs:
    """The best epochs so far, on all validation images and on each half of them, and when to stop.

    Args:
        rule: When to stop.
        half_a: bool [N], the validation images of half A; the others are half B.
    """

    def __init__(self, rule: EarlyStop, half_a: NDArray[np.bool_]) -> None:
        self._rule = rule
        self._rows = {"all": np.ones(len(half_a), bool), "a": half_a, "b": ~half_a}
        self._best: dict[str, _Best] = {}
        self._weights: dict[int, Weights] = {}
        self._improved = _Best(-math.inf, 0)
        self._epoch = 0

    @property
    def stopped(self) -> bool:
        """True when no more epochs should be trained."""
        return self._epoch - self._improved.epoch >= self._rule.patience

    def see(self, epoch: int, value: Callable[[NDArray[np.bool_]], float], weights: Callable[[], Weights]) -> None:
        """Take note of an epoch.

        Args:
            epoch: From 1.
            value: What the rule watches, on some of the validation images.
            weights: A copy of the weights that made the predictions.
        """
        self._epoch = epoch
        values = {part: self._upwards(value(rows)) for part, rows in self._rows.items()}
        for part, now in values.items():
            if part not in self._best or now > self._best[part].value:
                self._best[part] = _Best(now, epoch)
        if values["all"] > self._improved.value + self._rule.min_delta or epoch == 1:
            self._improved = _Best(values["all"], epoch)
        best_epochs = {best.epoch for best in self._best.values()}
        if epoch in best_epochs:
            self._weights[epoch] = weights()
        self._weights = {e: w for e, w in self._weights.items() if e in best_epochs}

    def _upwards(self, value: float) -> float:
        if math.isnan(value):  # nothing in this half can be scored
            return -math.inf
        return value if self._rule.watch == "score" else -value

    def epoch(self, part: str) -> int:
        """The best epoch on `all` validation images, or those of half `a` or `b`."""
        return self._best[part].epoch

    def weights(self, part: str) -> Weights:
        """The weights of that epoch, on the CPU."""
        return self._weights[self.epoch(part)]

    def state(self) -> dict[str, Any]:
        """What the next epoch depends on."""
        return {
            "best": {part: (best.value, best.epoch) for part, best in self._best.items()},
            "improved": (self._improved.value, self._improved.epoch),
            "weights": self._weights,
            "epoch": self._epoch,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self._best = {part: _Best(value, epoch) for part, (value, epoch) in state["best"].items()}
        value, epoch = state["improved"]
        self._improved = _Best(value, epoch)
        self._weights = {epoch: {k: v.cpu() for k, v in w.items()} for epoch, w in state["weights"].items()}
        self._epoch = state["epoch"]
