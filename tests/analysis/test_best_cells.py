"""Which cells may be best, and the winner's score: against drawn sweeps whose truth is known, and against formulas."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logit, polygamma

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from drawn_scores import Chance, Design, draw

from swath.analysis import best_cells as module


def sweeps(design: Design, count: int):
    return [draw(design, np.random.default_rng([7, i])) for i in range(count)]


def test_the_interval_of_the_winner_holds_its_true_score_and_the_naive_score_is_too_high():
    """Twelve equal cells: the highest of them is high by luck alone."""
    drawn = [d for d in sweeps(Design("equal", (3, 4), 3, null=True, chance=Chance(0.002)), 80) if d.best]
    assert len(drawn) == 80
    held = [d.best.low <= d.winner <= d.best.high for d in drawn if d.best]
    assert np.mean(held) >= 0.9
    luck = [d.best.score - d.winner for d in drawn if d.best]
    naive = [d.highest - d.winner for d in drawn]
    assert np.mean(naive) > 0.004  # in scores of cells whose seeds differ by .006
    assert abs(np.mean(luck)) < 0.4 * np.mean(naive)


def test_equal_cells_are_nearly_all_tied_and_a_clear_winner_stands_alone():
    equal = sweeps(Design("equal", (6,), 3, null=True), 30)
    assert np.mean([len(d.best.tied) for d in equal if d.best]) > 5
    rng = np.random.default_rng(0)
    errors = rng.normal(0, 0.01, (4000, 3))
    alone = module._from_errors(["a", "b", "c"], np.array([0.9, 0.7, 0.6]), errors, base=2)
    assert alone.tied == ("a",)
    assert alone.gain == pytest.approx(0.3, abs=2e-3)
    assert alone.worse == 0
    # One of three: the interval is that of the largest of three absolute normal errors, on the scale of the logit.
    critical = np.quantile(np.abs(rng.standard_normal((400_000, 3))).max(axis=1), 0.95)
    step = critical * 0.01 / (0.9 * 0.1)
    assert (alone.low, alone.high) == pytest.approx((expit(logit(0.9) - step), expit(logit(0.9) + step)), abs=1e-3)


def test_one_seed_a_cell_says_nothing_of_the_best():
    assert all(d.best is None for d in sweeps(Design("once", (3, 4), 1), 3))


def test_variances_are_drawn_together_as_far_as_their_spread_is_chance():
    rng = np.random.default_rng(1)
    free = np.full(400, 4.0)
    same, known = module._moderated(rng.chisquare(4, 400) / 4, free, np.full(400, 0.2))
    assert same == pytest.approx(np.full(400, 0.2), rel=0.15)
    assert known.min() > 50
    # Variances that differ in truth: prior scaled inverse chi-squared with 6 degrees of freedom (Smyth 2004).
    truth = 6 / rng.chisquare(6, 4000)
    apart, known = module._moderated(truth * rng.chisquare(4, 4000) / 4, np.full(4000, 4.0), np.ones(4000))
    assert known[0] - 4 == pytest.approx(6, rel=0.2)
    assert np.corrcoef(apart, truth)[0, 1] > 0.7


def test_the_inverse_of_the_trigamma_function():
    for x in (0.3, 2.0, 50.0):
        assert module._trigamma_inverse(float(polygamma(1, x))) == pytest.approx(x, rel=1e-6)
