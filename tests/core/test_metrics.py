import math
import warnings

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import expit, softmax
from sklearn.metrics import average_precision_score, f1_score
from torchmetrics.classification import MultilabelAveragePrecision

from swath.core import metrics
from tests.support.drawn_scores import draw

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]


def one_hot(labels: NDArray[np.int64], classes: int) -> Bytes:
    return np.eye(classes, dtype=np.uint8)[labels]


def test_macro_average_precision_equals_torchmetrics() -> None:
    targets, scores = draw(150, 8, seed=3)
    metric = MultilabelAveragePrecision(num_labels=8, average="macro", thresholds=None)
    expected = float(metric(torch.from_numpy(scores), torch.from_numpy(targets.astype(np.int64))))
    assert metrics.score("map", "multilabel", targets, scores) == pytest.approx(expected, abs=1e-6)


def test_multilabel_f1_equals_scikit_learn() -> None:
    targets, p = draw(120, 6, seed=5)
    targets[:, 4], p[:, 4] = 0, 0.1  # neither positives nor predictions
    targets[:, 5], p[:, 5] = 0, 0.9  # predictions only
    hard = metrics.decisions(p, "multilabel")
    np.testing.assert_array_equal(hard, p > 0.5)
    for weights in (None, np.random.default_rng(6).random((3, 120))):
        found = metrics.f1(targets, hard, weights)
        for row, w in zip(np.atleast_2d(found), [None] if weights is None else weights, strict=True):
            expected = f1_score(targets, hard, average=None, zero_division=np.nan, sample_weight=w)
            np.testing.assert_allclose(row, expected, rtol=1e-12)
            assert np.isnan(row).tolist() == [False] * 4 + [True, False]
            assert row[5] == 0
    expected = f1_score(targets, hard, average="macro", zero_division=np.nan)
    assert metrics.score("macro_f1", "multilabel", targets, p) == pytest.approx(expected, rel=1e-12)


def test_multiclass_f1_equals_scikit_learn() -> None:
    rng = np.random.default_rng(7)
    truth = rng.integers(0, 5, 200)
    p = 0.6 * one_hot(truth, 7) + rng.random((200, 7)) * np.array([1, 1, 1, 1, 1, 1, 0])  # class 6: nowhere at all
    predicted = p.argmax(axis=1)
    hard = metrics.decisions(p, "multiclass")
    np.testing.assert_array_equal(hard, one_hot(predicted, 7))
    expected = f1_score(truth, predicted, labels=range(7), average=None, zero_division=np.nan)
    np.testing.assert_allclose(metrics.f1(one_hot(truth, 7), hard), expected, rtol=1e-12)
    assert np.isnan(expected).tolist() == [False] * 6 + [True]
    macro = f1_score(truth, predicted, labels=range(7), average="macro", zero_division=np.nan)
    assert metrics.score("macro_f1", "multiclass", one_hot(truth, 7), p) == pytest.approx(macro, rel=1e-12)


def test_one_half_is_no_decision_and_the_first_of_equals_wins() -> None:
    p = np.array([[0.5, 0.5, np.nextafter(0.5, 1)]])
    assert metrics.decisions(p, "multilabel").tolist() == [[0, 0, 1]]
    assert metrics.decisions(np.array([[0.2, 0.4, 0.4]]), "multiclass").tolist() == [[0, 1, 0]]


def test_macro_leaves_out_what_could_not_be_scored() -> None:
    nan = np.nan
    parts = np.array([[0.2, nan, 0.6], [nan, nan, nan], [0.0, 0.5, 1.0], [nan, nan, 0.3]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = metrics.macro(parts)
    np.testing.assert_allclose(found, [0.4, nan, 0.5, 0.3])
    assert math.isnan(metrics.score("map", "multilabel", np.zeros((3, 2), np.uint8), np.ones((3, 2)) / 2))


def test_links_equal_scipy() -> None:
    x = np.random.default_rng(8).normal(0, 5, (50, 6))
    np.testing.assert_allclose(metrics.probabilities(x, "sigmoid"), expit(x), rtol=1e-12)
    np.testing.assert_allclose(metrics.probabilities(x, "softmax"), softmax(x, axis=1), rtol=1e-12)
    p = metrics.probabilities(x, "normalised_sigmoid")
    np.testing.assert_allclose(p, expit(x) / expit(x).sum(axis=1, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(p.sum(axis=1), 1)


@pytest.mark.parametrize("link", ["sigmoid", "normalised_sigmoid", "softmax"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_extreme_logits_neither_overflow_nor_warn(link: str, dtype: type) -> None:
    logits = np.array([[60000, -60000, 0], [-60000, -60000, -60000], [60000, 60000, 60000]], dtype)
    with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
        warnings.simplefilter("error")
        p = metrics.probabilities(logits, link)
    assert p.dtype == np.float64
    expected = {
        "sigmoid": [[1, 0, 0.5], [0, 0, 0], [1, 1, 1]],
        "normalised_sigmoid": [[2 / 3, 0, 1 / 3], [0, 0, 0], [1 / 3, 1 / 3, 1 / 3]],
        "softmax": [[1, 0, 0], [1 / 3, 1 / 3, 1 / 3], [1 / 3, 1 / 3, 1 / 3]],
    }
    np.testing.assert_allclose(p, expected[link], atol=1e-12)


def test_unknown_links_and_metrics_are_refused_with_the_allowed_ones() -> None:
    with pytest.raises(ValueError, match="link 'tanh' is none of sigmoid, normalised_sigmoid, softmax"):
        metrics.probabilities(np.zeros((1, 2)), "tanh")
    with pytest.raises(ValueError, match="metric 'auc' is none of map, macro_f1"):
        metrics.per_label("auc", "multilabel", np.zeros((1, 2), np.uint8), np.zeros((1, 2)))


def resampled_score(metric: str, kind: str, targets: Bytes, p: Floats) -> float:
    """The score of really resampled images, by scikit-learn; labels that cannot be scored left out."""
    if metric == "macro_f1":
        hard = one_hot(p.argmax(axis=1), p.shape[1]) if kind == "multiclass" else p > 0.5
        return float(f1_score(targets, hard, average="macro", zero_division=np.nan))
    labels = [c for c in range(targets.shape[1]) if targets[:, c].any()]
    return float(np.mean([average_precision_score(targets[:, c], p[:, c]) for c in labels]))


def draws(units: int, replicates: int, seed: int) -> NDArray[np.int64]:
    """How often each unit is drawn in each replicate."""
    return np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), size=replicates)


@pytest.mark.parametrize(
    ("metric", "kind"), [("map", "multilabel"), ("macro_f1", "multilabel"), ("macro_f1", "multiclass")]
)
def test_weights_equal_resampling_the_images(metric: str, kind: str) -> None:
    targets, p = draw(40, 4, seed=9, levels=8)  # the rare label is absent from some draws
    if kind == "multiclass":
        targets = one_hot(np.random.default_rng(1).integers(0, 4, 40), 4)
    members = [p, np.random.default_rng(10).random(p.shape)]
    weights = draws(40, 60, seed=11).astype(np.float64)
    found = np.mean([metrics.macro(metrics.per_label(metric, kind, targets, m, weights)) for m in members], axis=0)
    expected = []
    for counts in draws(40, 60, seed=11):
        images = np.repeat(np.arange(40), counts)
        expected.append(np.mean([resampled_score(metric, kind, targets[images], m[images]) for m in members]))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert found.std() > 0
