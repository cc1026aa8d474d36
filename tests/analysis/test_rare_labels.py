import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from swath.analysis import rare_labels as rare
from swath.analysis.image_variance import gather


def few_positives(n: int = 90, seed: int = 0):
    rng = np.random.default_rng(seed)
    targets = (rng.random((n, 3)) < (0.4, 0.06, 0.5)).astype(np.uint8)
    members = [np.clip(rng.random((n, 3)) * 0.7 + 0.3 * targets, 0, 1) for _ in range(2)]
    return targets, members


def test_rare_labels_are_those_with_1_to_19_positives():
    targets = np.zeros((50, 4), np.uint8)
    targets[:19, 0] = targets[:20, 1] = targets[:1, 2] = 1
    assert rare.rare_labels(targets).tolist() == [0, 2]


def test_replicates_are_scores_of_the_drawn_images():
    targets, members = few_positives()
    groups = np.arange(90) // 2
    draws = rare.draw(groups, seed=1, replicates=20)
    found = rare.replicated("map", "multilabel", targets, members, draws, np.array([1]))
    assert found.shape == (20, 2, 1)
    for b in range(20):
        rows = np.concatenate([np.repeat(np.flatnonzero(groups == g), int(draws.counts[b, g])) for g in range(45)])
        for t, p in enumerate(members):
            if targets[rows, 1].any():
                assert found[b, t, 0] == pytest.approx(average_precision_score(targets[rows, 1], p[rows, 1]), abs=1e-9)
            else:
                assert np.isnan(found[b, t, 0])


def test_a_draw_without_positives_drops_the_label_on_both_sides():
    targets, members = few_positives()
    targets[:, 1] = 0
    targets[7, 1] = 1  # drawn in about 63 % of the samples
    fold = gather("map", "multilabel", targets, np.arange(90), [0, 1], members, replicates=400)
    assert fold.rare.tolist() == [1]
    assert fold.dropped[0] == pytest.approx(np.exp(-1), abs=0.08)
    assert fold.drawn is not None
    assert fold.drawn_rare is not None
    absent = np.isnan(fold.drawn_rare)
    assert (absent[:, 0] == absent[:, 1]).all()
    assert np.isfinite(fold.drawn).all()


def test_the_correction_counts_groups_that_carry_the_label():
    targets = np.array([[1, 1], [1, 0], [1, 1], [0, 0]], np.uint8)
    found = rare.correction(targets, np.array([0, 0, 1, 2]))
    assert found == pytest.approx(np.sqrt([2, 2]))
    assert rare.correction(targets, np.arange(4)) == pytest.approx(np.sqrt([3 / 2, 2]))


def test_variance_of_a_mean_of_labels_is_that_of_fresh_samples():
    """Macro mAP of one trial, three of its labels rare: the estimate against many fresh sets of images."""
    rng = np.random.default_rng(0)
    shares = np.array([0.02, 0.02, 0.03, 0.3])

    def sample():
        targets = (rng.random((400, 4)) < shares).astype(np.uint8)
        return targets, rng.normal(size=(400, 4)) + 1.5 * targets

    estimated, scores = [], []
    for _ in range(60):
        targets, p = sample()
        fold = gather("map", "multilabel", targets, np.arange(400), [0], [p], replicates=200)
        estimated.append(fold.variance(np.ones((1, 1)))[0])
    for _ in range(1500):
        targets, p = sample()
        order = np.argsort(-p, axis=0)
        y = np.take_along_axis(targets, order, axis=0)
        precision = np.cumsum(y, axis=0) / np.arange(1, 401)[:, None]
        scores.append(np.nanmean((y * precision).sum(axis=0) / y.sum(axis=0)))
    assert np.mean(estimated) == pytest.approx(np.var(scores), rel=0.2)
