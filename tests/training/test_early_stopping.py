"""The best epochs of scripted trainings, against a search over all of them."""

import numpy as np
import pytest
import torch

from swath.config.schedules import EarlyStop
from swath.training.early_stopping import BestEpochs, Weights

HALF_A = np.array([True, False, True, False])


def play(values: np.ndarray, rule: EarlyStop, restart: int = 0) -> tuple[BestEpochs, int]:
    """Epoch e gives image i the value values[e - 1, i]; a part's value is its mean. Returns the last epoch, too."""
    best = BestEpochs(rule, HALF_A)
    for epoch, row in enumerate(values, start=1):
        weights: Weights = {"epoch": torch.tensor(epoch)}
        best.see(epoch, lambda rows, row=row: float(row[rows].mean()), lambda weights=weights: weights)
        if epoch == restart:
            state = best.state()
            best = BestEpochs(rule, HALF_A)
            best.load(state)
        if best.stopped:
            return best, epoch
    return best, len(values)


@pytest.mark.parametrize("watch", ["score", "val_loss"])
@pytest.mark.parametrize("seed", range(8))
def test_the_best_of_every_part_is_kept_with_its_weights(watch: str, seed: int) -> None:
    values = np.random.default_rng(seed).random((12, 4))
    rule = EarlyStop(patience=100, watch=watch)  # type: ignore[arg-type]
    best, _ = play(values, rule, restart=seed)
    pick = np.argmax if watch == "score" else np.argmin
    for part, rows in (("all", slice(None)), ("a", HALF_A), ("b", ~HALF_A)):
        expected = int(pick(values[:, rows].mean(axis=1))) + 1
        assert best.epoch(part) == expected
        assert best.weights(part)["epoch"] == expected
    assert len(best.state()["weights"]) == len({best.epoch(p) for p in ("all", "a", "b")}), "no others are held"


@pytest.mark.parametrize("restart", [0, 1, 3, 5])
def test_patience_counts_epochs_without_an_improvement_of_more_than_min_delta(restart: int) -> None:
    column = np.array([0.5, 0.6, 0.6005, 0.6009, 0.6, 0.9])
    best, last = play(np.repeat(column[:, None], 4, axis=1), EarlyStop(patience=3, min_delta=0.001), restart)
    assert last == 5, "the last improvement of more than 0.001 was epoch 2"
    assert best.epoch("all") == 4, "the best is the best, however little better"
    creeping = np.array([0.5, 0.5009, 0.5018, 0.5027, 0.5036])[:, None].repeat(4, axis=1)
    assert play(creeping, EarlyStop(patience=2, min_delta=0.001), restart)[1] == 5, "small steps add up"


def test_a_half_that_cannot_be_scored_takes_the_first_epoch() -> None:
    values = np.tile([0.1, np.nan, 0.1, np.nan], (3, 1)) * np.arange(1, 4)[:, None]
    best, _ = play(values, EarlyStop())
    assert (best.epoch("a"), best.epoch("b")) == (3, 1)
