import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

from swath.analysis.ensembles.calibration import BINS, best_temperature, calibration, tempered


def multilabel(temperature=2.0, seed=0):
    """Logits whose honest probabilities are those at `temperature`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (3000, 4))
    targets = (rng.random(logits.shape) < 1 / (1 + np.exp(-logits / temperature))).astype(np.uint8)
    return targets, 1 / (1 + np.exp(-logits))


def multiclass(temperature=2.0, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (4000, 5))
    honest = np.exp(logits / temperature)
    honest /= honest.sum(axis=1, keepdims=True)
    targets = np.array([rng.multinomial(1, row) for row in honest]).astype(np.uint8)
    p = np.exp(logits)
    return targets, p / p.sum(axis=1, keepdims=True)


def test_errors_equal_torchmetrics():
    targets, p = multilabel()
    parts = np.arange(len(p)) % 5
    reference = binary_calibration_error(torch.tensor(p).flatten(), torch.tensor(targets).flatten(), n_bins=BINS)
    assert calibration("multilabel", targets, p, [p] * 5, parts).error == pytest.approx(float(reference), abs=1e-5)
    targets, p = multiclass()
    parts = np.arange(len(p)) % 5
    reference = multiclass_calibration_error(torch.tensor(p), torch.tensor(targets.argmax(1)), 5, n_bins=BINS)
    assert calibration("multiclass", targets, p, [p] * 5, parts).error == pytest.approx(float(reference), abs=1e-5)


@pytest.mark.parametrize(("kind", "make"), [("multilabel", multilabel), ("multiclass", multiclass)])
def test_the_temperature_that_made_the_labels_is_found(kind, make):
    targets, p = make(temperature=2.0)
    assert best_temperature(kind, targets, p) == pytest.approx(2.0, rel=0.08)
    found = calibration(kind, targets, p, [p] * 5, np.arange(len(p)) % 5)
    assert found.scaled_error < found.error / 3
    assert found.scaled_loss < found.loss


def test_losses_equal_scikit_learn():
    targets, p = multiclass()
    found = calibration("multiclass", targets, p, [p] * 5, np.arange(len(p)) % 5)
    assert found.loss == pytest.approx(log_loss(targets.argmax(1), p))
    targets, p = multilabel()
    found = calibration("multilabel", targets, p, [p] * 5, np.arange(len(p)) % 5)
    assert found.loss == pytest.approx(np.mean([log_loss(targets[:, c], p[:, c]) for c in range(4)]))


@pytest.mark.parametrize(("kind", "make"), [("multilabel", multilabel), ("multiclass", multiclass)])
def test_parts_whose_ensembles_have_other_scales_are_scaled_by_their_own_temperatures(kind, make):
    """Probabilities of the last part are twice as sure as of the first: each is scaled back to the same."""
    targets, p = make(temperature=1.0)
    parts = np.arange(len(p)) % 5
    fitted = [tempered(kind, p, 1 / (1 + k / 4)) for k in range(5)]
    found = calibration(kind, targets, p, fitted, parts)
    alone = calibration(kind, targets, p, [p] * 5, parts)
    assert found.scaled_loss == pytest.approx(alone.scaled_loss, rel=2e-3)
    assert found.loss > 1.03 * alone.loss, "as they are, they are too sure"
    assert found.temperature == alone.temperature


def test_temperature_one_changes_nothing_and_keeps_the_order():
    _, p = multiclass()
    assert np.allclose(tempered("multiclass", p, 1.0), p, atol=1e-6)
    _, p = multilabel()
    assert np.array_equal(np.argsort(tempered("multilabel", p, 3.0)[:, 0]), np.argsort(p[:, 0]))
