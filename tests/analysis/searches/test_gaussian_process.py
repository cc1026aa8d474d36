"""Bands against known functions, and the model's numbers against ways of computing them that know nothing of it."""

import numpy as np
import pytest

from swath.analysis.searches.gaussian_process import GaussianProcess
from swath.analysis.searches.slices import slices
from swath.analysis.searches.space import Parameter

FIELDS = [Parameter("lr", "uniform", 0, 1), Parameter("weight_decay", "uniform", 0, 1)]
SWEEPS = 16


def score(x: np.ndarray) -> np.ndarray:
    """Rises to a peak at .7 and falls; the second number adds a little, with an interaction."""
    return 0.35 + 0.3 * np.exp(-(((x[:, 0] - 0.7) / 0.3) ** 2)) + 0.05 * x[:, 0] * x[:, 1]


def drawn(sweep: int, n: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([sweep, n])
    x = rng.random((n, 2))
    return x, score(x) + noise * rng.standard_normal(n)


def truth(x: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Mean over the second number within what was tried, by a fine grid."""
    other = np.linspace(x[:, 1].min(), x[:, 1].max(), 401)
    return np.array([score(np.stack([np.full(401, v), other], axis=1)).mean() for v in at])


@pytest.mark.parametrize(("n", "noise"), [(8, 0.03), (20, 0.05)])
def test_bands_hold_the_true_slice(n: int, noise: float):
    held, widths = [], []
    for sweep in range(SWEEPS):
        x, y = drawn(sweep, n, noise)
        process = GaussianProcess(x, [False, False], y, np.ones(n))
        one = slices(process, FIELDS, x, [0, 0], np.zeros((480, n)))[0]
        expected = truth(x, np.array(one.values, float))
        held.append(np.mean((np.array(one.low) <= expected) & (expected <= np.array(one.high))))
        widths.append(np.subtract(one.high, one.low).mean())
    assert np.mean(held) >= 0.9
    assert np.mean(widths) < 0.22  # and say something: the score moves by .3


def test_a_parameter_that_does_nothing_is_flat_and_gets_no_advice():
    clear = 0
    for sweep in range(SWEEPS):
        rng = np.random.default_rng(sweep)
        x = rng.random((16, 2))
        y = 0.4 + 0.3 * np.exp(-(((x[:, 0] - 0.7) / 0.25) ** 2)) + 0.03 * rng.standard_normal(16)
        process = GaussianProcess(x, [False, False], y, np.ones(16))
        one = slices(process, FIELDS, x, [0, 0], np.zeros((480, 16)))[1]
        clear += not one.flat
        assert one.advice is None or not one.flat
    assert clear <= 0.15 * SWEEPS


def test_advice_to_narrow_keeps_the_best_value_and_the_edge_is_told():
    kept = narrowed = 0
    for sweep in range(SWEEPS):
        x, y = drawn(sweep, 20, 0.02)
        process = GaussianProcess(x, [False, False], y, np.ones(20))
        advice = slices(process, FIELDS, x, [0, 0], np.zeros((480, 20)))[0].advice
        if advice and advice.kind == "narrow":
            narrowed += 1
            kept += advice.low <= 0.72 <= advice.high  # the peak, moved a little by the interaction
            assert advice.high - advice.low <= 0.6
    assert narrowed >= 0.8 * SWEEPS
    assert kept >= 0.9 * narrowed
    x = np.random.default_rng(0).random((20, 2))
    for sign, kind in ((1, "up"), (-1, "down")):
        process = GaussianProcess(x, [False, False], 0.5 + sign * 0.3 * x[:, 0] ** 2, np.ones(20))
        advice = slices(process, FIELDS, x, [0, 0], np.zeros((480, 20)))[0].advice
        assert advice is not None
        assert advice.kind == kind


def test_a_slice_is_the_mean_of_predictions_over_the_other_fields():
    x, y = drawn(0, 16, 0.02)
    process = GaussianProcess(x, [False, False], y, np.ones(16))
    others = np.random.default_rng(1).random((32, 2))
    at = np.linspace(0.1, 0.9, 5)
    by_slice = process.slice(0, at, others, np.zeros((9600, 16)))
    by_prediction = [process.predicted(np.stack([np.full(32, v), others[:, 1]], axis=1)).mean() for v in at]
    assert by_slice.mean(axis=0) == pytest.approx(by_prediction, abs=4 * by_slice.std(axis=0).max() / np.sqrt(9600))


def test_an_error_of_all_scores_moves_the_slice_as_a_whole():
    x, y = drawn(0, 16, 0.005)
    process = GaussianProcess(x, [False, False], y, np.ones(16))
    common = 0.05 * np.random.default_rng(0).standard_normal((4800, 1)) * np.ones((1, 16))
    others, at = x, np.array([0.3, 0.7])
    alone, moved = (process.slice(0, at, others, m) for m in (np.zeros((4800, 16)), common))
    assert moved.std(axis=0) == pytest.approx(np.hypot(alone.std(axis=0), 0.05), rel=0.1)
    assert np.diff(moved).std() == pytest.approx(np.diff(alone).std(), rel=0.1)  # its shape stays


def test_what_is_explained_is_a_prediction_of_points_left_out():
    x, y = drawn(0, 24, 0.01)
    assert GaussianProcess(x, [False, False], y, np.ones(24)).explained() > 0.9
    noise = np.random.default_rng(3).standard_normal(24)
    assert GaussianProcess(x, [False, False], noise, np.ones(24)).explained() < 0.2


def test_a_category_is_equal_or_not_whatever_its_number():
    rng = np.random.default_rng(0)
    level = rng.integers(0, 3, 40)
    y = np.array([0.5, 0.8, 0.5])[level] + 0.01 * rng.standard_normal(40)
    process = GaussianProcess(level[:, None].astype(float), [True], y, np.ones(40))
    predicted = process.predicted(np.arange(3.0)[:, None])
    assert predicted == pytest.approx([y[level == k].mean() for k in range(3)], abs=0.01)
