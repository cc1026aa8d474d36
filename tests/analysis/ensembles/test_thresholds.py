import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_curve

from swath.analysis.ensembles.thresholds import FEW_POSITIVES, best_thresholds, f1_scores, thresholds


def make(images=400, classes=5, seed=0):
    rng = np.random.default_rng(seed)
    targets = (rng.random((images, classes)) < np.array([0.4, 0.2, 0.1, 0.01, 0.008])[:classes]).astype(np.uint8)
    p = 1 / (1 + np.exp(-(3 * targets - 2.5 + rng.normal(size=targets.shape))))
    return targets, p


def test_thresholds_reach_the_largest_f1_of_the_precision_recall_curve():
    targets, p = make()
    values = best_thresholds(targets, p)
    for label in range(3):
        precision, recall, _ = precision_recall_curve(targets[:, label], p[:, label])
        best = np.nanmax(2 * precision * recall / np.maximum(precision + recall, 1e-12))
        assert f1_score(targets[:, label], p[:, label] > values[label]) == pytest.approx(best, abs=1e-12)


def test_labels_with_few_positives_share_one_threshold():
    targets, p = make()
    few = targets.sum(axis=0) < FEW_POSITIVES
    assert few.tolist() == [False, False, False, True, True]
    values = best_thresholds(targets, p)
    assert values[3] == values[4]
    pooled = [f1_score(targets[:, few].ravel(), p[:, few].ravel() > t) for t in np.unique(p[:, few])]
    assert f1_score(targets[:, few].ravel(), p[:, few].ravel() > values[3]) == pytest.approx(max(pooled))


def test_f1_three_ways_equals_scikit_learn():
    targets, p = make()
    hard = (p > 0.4).astype(np.uint8)
    found = f1_scores(targets, hard)
    assert found.macro == pytest.approx(f1_score(targets, hard, average="macro", zero_division=np.nan))
    assert found.micro == pytest.approx(f1_score(targets, hard, average="micro"))
    assert found.samples == pytest.approx(f1_score(targets, hard, average="samples", zero_division=1.0))


def test_each_part_is_decided_by_thresholds_chosen_without_it():
    targets, p = make()
    parts = np.arange(len(p)) % 5
    found = thresholds(targets, p, [p] * 5, parts, tuple("abcde"))
    hard = np.zeros_like(targets)
    for part in range(5):
        hard[parts == part] = p[parts == part] > best_thresholds(targets[parts != part], p[parts != part])
    assert found.after.macro == pytest.approx(f1_score(targets, hard, average="macro", zero_division=np.nan))
    assert found.naive.macro > found.after.macro
    assert found.pooled == ("d", "e")
    assert found.moved[0] == pytest.approx(f1_score(targets[:, 0], hard[:, 0]) - f1_score(targets[:, 0], p[:, 0] > 0.5))


def test_parts_whose_ensembles_have_other_scales_are_decided_by_their_own_thresholds():
    """Squares and roots keep the order of the images; thresholds of one scale decide nothing on another."""
    targets, p = make()
    parts = np.arange(len(p)) % 5
    fitted = [p ** (k + 1) for k in range(5)]
    found = thresholds(targets, p, fitted, parts, tuple("abcde"))
    alone = thresholds(targets, p, [p] * 5, parts, tuple("abcde"))
    common = targets.sum(axis=0) >= FEW_POSITIVES  # rare ones share a threshold, which powers change
    assert found.moved[common] + _halved(targets, fitted, parts)[common] == pytest.approx(
        alone.moved[common] + _halved(targets, [p] * 5, parts)[common], abs=0.02
    )
    assert found.before.macro < alone.before.macro - 0.02, "one half is another threshold on every scale"
    assert found.values.tolist() == alone.values.tolist()


def _halved(targets, fitted, parts):
    half = np.stack([fitted[part][i] for i, part in enumerate(parts)]) > 0.5
    return np.array([f1_score(targets[:, c], half[:, c], zero_division=0) for c in range(targets.shape[1])])


def test_a_label_without_positives_is_decided_by_one_half():
    targets, p = make(classes=3)
    targets[:] = 0
    assert best_thresholds(targets, p).tolist() == [0.5, 0.5, 0.5]
