"""A reduced `make simulate`: the estimator's intervals hold planted effects, those of a broken one do not."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "bench"))

import simulate
from simulated_sweeps import (
    EASY,
    HARD,
    HARD_SHARE,
    SEED_COMMON,
    SEED_LABEL,
    TWELVE,
    World,
    expected_ap,
    plant,
    population_ap,
)

from swath.analysis.effects.noise import Noise
from swath.core import metrics
from swath.core.average_precision import average_precision

SWEEPS = 60


def setting(name: str) -> simulate.Setting:
    return next(s for s in simulate.settings() if s.name == name)


def test_intervals_hold_the_planted_effects():
    tally = simulate.run(setting("12 cells, 3 seeds, common"), SWEEPS, workers=1)
    assert tally.stated == 4 * SWEEPS
    assert 0.91 <= tally.covered / tally.stated <= 0.99
    assert tally.false / tally.families <= 0.12


def test_intervals_from_images_alone_would_not(monkeypatch: pytest.MonkeyPatch):
    """The check above can fail: without the training variance far fewer intervals hold the truth."""

    monkeypatch.setattr(Noise, "half_width", lambda self, level: 1.96 * self.image_variance**0.5)
    tally = simulate.run(setting("12 cells, 3 seeds, common"), SWEEPS, workers=1)
    assert tally.covered / tally.stated < 0.88


def test_one_pair_with_one_seed_states_no_interval():
    tally = simulate.run(setting("one pair, 1 seed, rare"), 2, workers=1)
    assert (tally.stated, tally.silent) == (0, 8)


def test_the_truth_is_that_of_many_images_and_seeds():
    """The integrals that stand for the truth against a sample of a million images."""
    rng = np.random.default_rng(0)
    y = (rng.random((1_000_000, 1)) < 0.1).astype(np.uint8)
    spread = np.where(rng.random(y.shape) < HARD_SHARE, HARD, EASY)
    scores = 2.5 * y + spread * rng.normal(size=y.shape)
    assert population_ap(0.1, np.array([2.5]))[0] == pytest.approx(average_precision(y, scores)[0], abs=2e-3)
    shifted = 2.5 + rng.normal(0, 0.3, 400)
    assert expected_ap(0.1, 2.5, 0.3) == pytest.approx(population_ap(0.1, shifted).mean(), abs=5e-3)


def test_simulated_scores_have_the_planted_quality():
    """Mean score of many trials on many images against the truth of their cell."""
    rng = np.random.default_rng(1)
    sweep = plant(TWELVE, simulate.COMMON, rng)
    cell = sweep.cells[-1]
    found = []
    for _ in range(6):
        world = World(sweep, 20_000, rng)
        found.append(metrics.score("map", "multilabel", world.targets, world.scores(cell)))
    seeds = sweep.noise_of(cell) * np.hypot(SEED_COMMON, SEED_LABEL / 17**0.5) * 0.15
    assert np.mean(found) == pytest.approx(sweep.truth(cell), abs=4 * seeds / 6**0.5 + 2e-3)
