"""Every function for average precision against scikit-learn, and against each other where they must agree."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import auc, average_precision_score, precision_recall_curve

from swath.core.average_precision import (
    average_precision,
    average_precision_from_counts,
    average_precision_with_derivatives,
    bin_counts,
    precision_recall_areas,
    ranked_average_precision,
)
from tests.support.drawn_scores import draw

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]
DTYPES = (np.float16, np.float32, np.float64)


def binned_average_precision(targets: Bytes, p: NDArray[np.floating]) -> Floats:
    return average_precision_from_counts(*bin_counts(np.flatnonzero(targets), p))


def scikit_learns(targets: Bytes, scores: NDArray[np.floating], weights: Floats | None = None) -> list[float]:
    labels = range(targets.shape[1])
    return [float(average_precision_score(targets[:, c], scores[:, c], sample_weight=weights)) for c in labels]


def logistic(images: int, classes: int = 4, seed: int = 0) -> tuple[Bytes, NDArray[np.float32]]:
    """Targets, and probabilities from logits with noise; hardly any are equal."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((images, classes)) < np.linspace(0.1, 0.5, classes)).astype(np.uint8)
    return targets, expit(2 * ((targets - 0.5) * 1.35 + 1.2 * rng.normal(size=targets.shape))).astype(np.float32)


@pytest.mark.parametrize("levels", [0, 1, 2, 5, 20])
@pytest.mark.parametrize("n", [2, 7, 200])
def test_average_precision_equals_scikit_learn(n: int, levels: int) -> None:
    targets, scores = draw(n, 6, seed=n, levels=levels)
    np.testing.assert_allclose(average_precision(targets, scores), scikit_learns(targets, scores), rtol=1e-12)


@pytest.mark.parametrize("levels", [0, 4])
def test_weighted_average_precision_equals_scikit_learn(levels: int) -> None:
    targets, scores = draw(90, 4, seed=1, levels=levels)
    rng = np.random.default_rng(2)
    weights = np.stack([np.ones(90), rng.random(90), rng.integers(1, 4, 90), rng.integers(0, 3, 90)]).astype(float)
    weights[3, 0] = 1  # keeps a positive of every label
    expected = [scikit_learns(targets, scores, w) for w in weights]
    np.testing.assert_allclose(average_precision(targets, scores, weights), expected, rtol=1e-12)


@pytest.mark.parametrize("levels", [0, 1, 5, 20])
@pytest.mark.parametrize("n", [2, 7, 200])
def test_areas_by_steps_and_trapezoids_equal_scikit_learn(n: int, levels: int) -> None:
    targets, scores = draw(n, 6, seed=n, levels=levels)
    steps, trapezoids = precision_recall_areas(targets, scores)
    curves = [precision_recall_curve(targets[:, c], scores[:, c])[:2] for c in range(6)]
    np.testing.assert_allclose(steps, scikit_learns(targets, scores), rtol=1e-12)
    np.testing.assert_allclose(trapezoids, [auc(recall, precision) for precision, recall in curves], rtol=1e-12)


@pytest.mark.parametrize("levels", [0, 1, 5, 20])
@pytest.mark.parametrize("n", [2, 7, 200])
def test_average_precision_with_derivatives_equals_scikit_learn(n: int, levels: int) -> None:
    targets, scores = draw(n, 6, seed=n, levels=levels)
    values, derivative = average_precision_with_derivatives(targets, scores)
    np.testing.assert_allclose(values, scikit_learns(targets, scores), rtol=1e-12)
    assert derivative.shape == (6, n)
    assert derivative.dtype == np.float32


@pytest.mark.parametrize("levels", [0, 5])
def test_derivatives_are_scikit_learns_finite_differences(levels: int) -> None:
    targets, scores = draw(40, 3, seed=5, levels=levels)
    _, derivative = average_precision_with_derivatives(targets, scores)
    step = 1e-5 * np.eye(40)
    rises = np.array([np.subtract(*(scikit_learns(targets, scores, 1 + s) for s in (e, -e))) for e in step])
    assert derivative == pytest.approx(rises.T / 2e-5, abs=1e-6)


def test_ranked_average_precision_is_scikit_learns() -> None:
    for seed in range(5):
        targets, p = logistic(300, seed=seed)
        assert ranked_average_precision(targets, p) == pytest.approx(scikit_learns(targets, p), abs=1e-12)


def test_ranked_average_precision_takes_equal_scores_in_the_images_order() -> None:
    targets, scores = draw(120, 5, seed=6, levels=5)
    falling = scores - 1e-6 * np.arange(120)[:, None]
    np.testing.assert_allclose(ranked_average_precision(targets, scores), scikit_learns(targets, falling), rtol=1e-12)
    assert not np.allclose(ranked_average_precision(targets, scores), scikit_learns(targets, scores), atol=1e-3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_binned_average_precision_is_close_to_scikit_learns(dtype: type) -> None:
    for seed in range(5):
        targets, p = logistic(2000, seed=seed)
        p = p.astype(dtype)
        exact = scikit_learns(targets, p)
        assert np.abs(binned_average_precision(targets, p) - exact).max() < 2e-3


def test_binned_average_precision_of_few_distinct_scores_is_exact() -> None:
    rng = np.random.default_rng(1)
    targets = (rng.random((200, 3)) < 0.3).astype(np.uint8)
    targets[:, 2] = 0
    p = rng.choice([0.0, 1e-4, 0.1, 0.5, 0.9, 1.0], targets.shape)
    found = binned_average_precision(targets, p)
    assert found[:2] == pytest.approx(scikit_learns(targets[:, :2], p[:, :2]), abs=1e-12)
    assert np.isnan(found[2])


def test_counts_of_blocks_of_images_are_those_of_the_blocks_alone_and_add_up() -> None:
    targets, p = logistic(500)
    block = np.random.default_rng(2).integers(0, 3, 500)
    by_block = bin_counts(np.flatnonzero(targets), p, block)
    for b in range(3):
        alone = bin_counts(np.flatnonzero(targets[block == b]), p[block == b])
        np.testing.assert_array_equal(by_block[:, b], alone)
    np.testing.assert_array_equal(by_block.sum(axis=1), bin_counts(np.flatnonzero(targets), p))


def test_average_precision_by_hand() -> None:
    # Ranked 1 0 1 0: precision 1/1 at the first positive, 2/3 at the second, half the recall each.
    targets = np.array([[1], [0], [1], [0]], np.uint8)
    scores = np.array([[0.9], [0.8], [0.7], [0.6]])
    assert average_precision(targets, scores)[0] == pytest.approx((1 + 2 / 3) / 2)
    # All equal: one threshold, precision = prevalence, whatever the order of the rows.
    assert average_precision(targets, np.full((4, 1), 0.5))[0] == pytest.approx(0.5)
    assert average_precision(targets[::-1], np.full((4, 1), 0.5))[0] == pytest.approx(0.5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("levels", [0, 8])
def test_scores_of_every_float_type_are_compared_as_they_are(dtype: type, levels: int) -> None:
    targets, scores = draw(300, 4, seed=7, levels=levels)
    rounded = scores.astype(dtype)  # float16 makes ties of its own
    expected = scikit_learns(targets, rounded.astype(np.float64))
    np.testing.assert_allclose(average_precision(targets, rounded), expected, rtol=1e-12)
    np.testing.assert_allclose(average_precision(targets, rounded, np.ones((1, 300)))[0], expected, rtol=1e-12)
    np.testing.assert_allclose(average_precision_with_derivatives(targets, rounded)[0], expected, rtol=1e-12)


def test_a_label_without_positives_has_no_average_precision() -> None:
    targets, scores = draw(20, 3, seed=4)
    targets[:, 1] = 0
    parts = average_precision(targets, scores)
    assert np.isnan(parts).tolist() == [False, True, False]
    weights = np.ones((2, 20))
    weights[1, targets[:, 0] == 1] = 0  # the second weighting leaves label 0 no positive
    assert np.isnan(average_precision(targets, scores, weights)).tolist() == [
        [False, True, False],
        [True, True, bool((targets[targets[:, 0] == 0, 2] == 0).all())],
    ]
    for found in (*precision_recall_areas(targets, scores), ranked_average_precision(targets, scores)):
        assert np.isnan(found).tolist() == [False, True, False]


def test_a_label_without_positives_moves_nothing() -> None:
    targets, scores = draw(30, 3, seed=4, levels=20)
    targets[:, 1] = 0
    values, derivative = average_precision_with_derivatives(targets, scores)
    assert np.isnan(values).tolist() == [False, True, False]
    assert not derivative[1].any()


def test_a_label_of_positives_only_has_average_precision_1() -> None:
    targets, scores = np.ones((30, 2), np.uint8), draw(30, 2, seed=8, levels=5)[1]
    values, derivative = average_precision_with_derivatives(targets, scores)
    for found in (
        *precision_recall_areas(targets, scores),
        *average_precision(targets, scores, np.random.default_rng(0).random((2, 30)) + 0.1),
        values,
        ranked_average_precision(targets, scores),
        binned_average_precision(targets, scores),
    ):
        assert found == pytest.approx([1, 1], abs=1e-12)
    assert derivative == pytest.approx(np.zeros((2, 30)), abs=1e-7)


def test_a_score_that_is_no_number_ranks_last() -> None:
    targets, scores = draw(60, 3, seed=9, levels=10)
    broken = scores.copy()
    scores[7], broken[7] = -1, np.nan
    expected = scikit_learns(targets, scores)
    np.testing.assert_allclose(average_precision(targets, broken), expected, rtol=1e-12)
    np.testing.assert_allclose(average_precision(targets, broken, np.ones((1, 60)))[0], expected, rtol=1e-12)
    np.testing.assert_allclose(average_precision_with_derivatives(targets, broken)[0], expected, rtol=1e-12)
    np.testing.assert_array_equal(ranked_average_precision(targets, broken), ranked_average_precision(targets, scores))


def test_no_images_have_no_average_precision() -> None:
    targets, scores = np.zeros((0, 3), np.uint8), np.zeros((0, 3))
    values, derivative = average_precision_with_derivatives(targets, scores)
    for found in (
        *precision_recall_areas(targets, scores),
        *average_precision(targets, scores, np.zeros((2, 0))),
        values,
        ranked_average_precision(targets, scores),
        binned_average_precision(targets, scores),
    ):
        assert np.isnan(found).tolist() == [True] * 3
    assert derivative.shape == (3, 0)


def test_shapes_that_do_not_fit_are_refused() -> None:
    targets, scores = draw(6, 3, seed=0)
    for function in (average_precision, average_precision_with_derivatives, ranked_average_precision):
        with pytest.raises(ValueError, match=r"targets \(6, 3\) and scores \(5, 3\) differ in shape"):
            function(targets, scores[:5])
    with pytest.raises(ValueError, match=r"weights \(2, 5\) are not of the 6 images: give \[B, 6\]"):
        average_precision(targets, scores, np.ones((2, 5)))
