"""Intervals over validation images: against the jackknife by hand, chance, and fresh images."""

import numpy as np
import pytest
from scipy import stats

from swath.analysis import score_intervals as found
from swath.core import metrics


def sample(rng: np.random.Generator, n: int):
    """Targets and scores of four labels, a fifth of the images much harder, as in bench/simulated_sweeps.py."""
    targets = (rng.random((n, 4)) < (0.1, 0.2, 0.3, 0.5)).astype(np.uint8)
    spread = np.where(rng.random((n, 1)) < 0.2, 1.6, 0.8)
    return targets, 3 * targets + spread * (0.7 * rng.normal(size=(n, 1)) + 0.7 * rng.normal(size=(n, 4)))


def test_the_interval_of_a_score_holds_the_score_on_fresh_images():
    rng = np.random.default_rng(0)
    truth = np.mean([metrics.score("map", "multilabel", *sample(rng, 40_000)) for _ in range(3)])
    held, plain = 0, 0
    for _ in range(300):
        targets, scores = sample(rng, 150)
        score = metrics.score("map", "multilabel", targets, scores)
        moves = found.left_out("map", "multilabel", targets, [scores], np.arange(150))
        low, high = found.of_score(score, moves)
        assert low <= score <= high
        held += low <= truth <= high
        plain += abs(score - truth) <= 1.96 * np.sqrt((moves**2).sum())
    assert 0.92 <= held / 300 <= 0.98
    assert plain < held  # neither logit nor t


def test_moves_of_equal_images_are_those_of_a_mean():
    """Where nothing is ranked, a jackknife of a mean: the textbook's variance, and nearly its t interval."""
    values = np.random.default_rng(1).normal(size=40)
    moves = (values - values.mean()) / np.sqrt(40 * 39)
    low, high = found.of_difference(values.mean(), moves)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.02)


def test_many_groups_are_left_out_in_blocks(monkeypatch: pytest.MonkeyPatch):
    targets, scores = sample(np.random.default_rng(2), 900)
    whole = found.left_out("map", "multilabel", targets, [scores], np.arange(900))
    monkeypatch.setattr(found, "_CHUNK_VALUES", 7 * 900)
    assert np.array_equal(whole, found.left_out("map", "multilabel", targets, [scores], np.arange(900)))
    monkeypatch.setattr(found, "BLOCKS", 100)
    blocks = found.left_out("map", "multilabel", targets, [scores], np.arange(900))
    assert len(blocks) == 100
    assert found.half_width(blocks) == pytest.approx(found.half_width(whole), rel=0.2)
    _, derivatives = found.moves_of("map", "multilabel", targets, scores, np.arange(900))
    assert found.half_width(derivatives) == pytest.approx(found.half_width(whole), rel=0.15)
    assert np.corrcoef(derivatives, whole)[0, 1] > 0.99


def test_groups_of_equal_images_widen_the_interval():
    targets, scores = sample(np.random.default_rng(3), 100)
    four, groups = (np.tile(targets, (4, 1)), [np.tile(scores, (4, 1))]), np.tile(np.arange(100), 4)
    alone = found.left_out("map", "multilabel", *four, np.arange(400))
    whole = found.left_out("map", "multilabel", *four, groups)
    assert np.sqrt((whole**2).sum() / (alone**2).sum()) == pytest.approx(2, rel=0.1)  # a quarter of the information


def test_ends_of_the_scale_and_single_groups():
    assert found.of_score(1.0, np.zeros(5)) == (1.0, 1.0)
    assert found.of_score(0.0, np.full(5, 0.1))[0] == 0.0
    low, high = found.of_score(0.99, np.full(5, 0.02))
    assert 0 < low < 0.99 < high < 1
    targets, scores = sample(np.random.default_rng(4), 20)
    alone = found.left_out("map", "multilabel", targets, [scores], np.zeros(20, np.int64))
    assert np.isnan(found.of_score(0.5, alone)).all()
    assert found.over_folds([np.ones(2), np.zeros(3)]).tolist() == [0.5, 0.5, 0, 0, 0]
