"""Derivatives against finite differences, and the variances they give against resampling and theory."""

import numpy as np
import pytest

from swath.analysis import influence
from swath.core import metrics
from swath.core.average_precision import average_precision, average_precision_with_derivatives


def labelled(n: int, c: int, seed: int = 0, ties: bool = True):
    rng = np.random.default_rng(seed)
    targets = (rng.random((n, c)) < np.linspace(0.1, 0.6, c)).astype(np.uint8)
    logits = rng.normal(size=(n, c)) + 1.5 * targets
    return targets, metrics.probabilities(np.round(logits, 1) if ties else logits, "sigmoid")


@pytest.mark.parametrize("metric", ["map", "macro_f1"])
@pytest.mark.parametrize("kind", ["multilabel", "multiclass"])
def test_derivatives_are_those_of_finite_differences(metric, kind):
    targets, p = labelled(60, 4)
    if kind == "multiclass":
        targets = np.eye(4, dtype=np.uint8)[np.random.default_rng(1).integers(4, size=60)]
    values, derivative = influence.per_label(metric, kind, targets, p)
    assert values == pytest.approx(metrics.per_label(metric, kind, targets, p), abs=1e-12)
    step = 1e-5
    up = metrics.per_label(metric, kind, targets, p, 1 + step * np.eye(60))
    down = metrics.per_label(metric, kind, targets, p, 1 - step * np.eye(60))
    assert derivative == pytest.approx(((up - down) / (2 * step)).T, abs=1e-6)
    assert derivative.sum(axis=1) == pytest.approx(np.zeros(4), abs=1e-5)


def test_a_label_that_cannot_be_scored_moves_nothing():
    targets, p = labelled(30, 3)
    targets[:, 1] = 0
    values, derivative = influence.per_label("map", "multilabel", targets, p)
    assert np.isnan(values).tolist() == [False, True, False]
    assert not derivative[1].any()
    values, derivative = influence.f1(targets, np.zeros_like(targets))
    assert np.isnan(values).tolist() == [False, True, False]
    assert np.isfinite(derivative).all()


def test_variance_agrees_with_the_jackknife():
    """Leaving each image out in turn: Efron's jackknife variance, (n - 1) / n sum of squares about the mean."""
    targets, p = labelled(300, 3, ties=False)
    _, derivative = average_precision_with_derivatives(targets, p)
    left_out = average_precision(targets, p, 1 - np.eye(300))
    jackknife = 299 / 300 * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0)
    assert influence.variance(derivative) == pytest.approx(jackknife, rel=0.1)


def test_variance_agrees_with_the_bootstrap_of_whole_groups():
    """Of the difference of two macro scores, with groups whose images are alike."""
    targets, p = labelled(150, 3, ties=False)
    other = np.clip(p + np.random.default_rng(5).normal(0, 0.1, p.shape), 0, 1)
    targets, p, other = (np.repeat(x, 3, axis=0) for x in (targets, p, other))
    groups = np.repeat(np.random.default_rng(2).permutation(150), 3)
    derivative = sum(
        sign * average_precision_with_derivatives(targets, q)[1].mean(axis=0) for q, sign in ((other, 1), (p, -1))
    )
    grouped = influence.group_sums(np.asarray(derivative, np.float32), groups)
    counts = np.random.default_rng(3).multinomial(150, np.full(150, 1 / 150), 3000)[:, groups].astype(np.float64)
    drawn = np.subtract(*(metrics.macro(average_precision(targets, q, counts)) for q in (other, p)))
    assert influence.variance(grouped) == pytest.approx(drawn.var(ddof=1), rel=0.12)
    # Taken for single images, three alike would count as three: a third of the variance.
    assert influence.variance(np.asarray(derivative, np.float32)) < 0.5 * drawn.var(ddof=1)


def test_a_mean_has_the_variance_of_textbooks():
    correct = (np.random.default_rng(0).random(200) < 0.8).astype(np.float64)
    value, derivative = influence.mean(correct)
    assert value == correct.mean()
    assert influence.variance(derivative) == pytest.approx(correct.var(ddof=1) / 200, rel=1e-5)


def test_group_sums():
    derivative = np.arange(12, dtype=np.float32).reshape(2, 6)
    groups = np.array([2, 0, 0, 1, 2, 1])
    expected = [[[row[groups == g].sum() for g in range(3)] for row in derivative]]
    assert influence.group_sums(derivative, groups) == pytest.approx(np.array(expected[0]))
    order = np.array([3, 1, 0, 2, 5, 4])
    assert influence.group_sums(derivative, order)[:, order] == pytest.approx(derivative)
