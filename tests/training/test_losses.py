"""Values and gradients against the papers' formulas, worked out in numpy and by autograd of the plain formula."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp
from sklearn.utils.class_weight import compute_class_weight
from timm.loss import AsymmetricLossMultiLabel
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from swath.config.losses import BCE, Asymmetric, CrossEntropy, Focal, Loss, TwoWay
from swath.training.losses import criterion, label_weights

Floats = NDArray[np.float64]


def sigmoid(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))


def bce_terms(loss: BCE, x: Floats, y: Floats) -> Floats:
    p = sigmoid(x)
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


def focal_terms(loss: Focal, x: Floats, y: Floats) -> Floats:
    """Lin et al. 2017, eq. 5: -alpha_t (1 - p_t)^gamma log(p_t)."""
    p_t = np.where(y == 1, sigmoid(x), 1 - sigmoid(x))
    alpha_t = np.where(y == 1, loss.alpha, 1 - loss.alpha) if loss.alpha >= 0 else 1.0
    return -alpha_t * (1 - p_t) ** loss.gamma * np.log(p_t)


def asymmetric_terms(loss: Asymmetric, x: Floats, y: Floats) -> Floats:
    """Ridnik et al. 2021, eq. 7: L+ = (1 - p)^g+ log(p), L- = p_m^g- log(1 - p_m), p_m = max(p - m, 0) (eq. 5)."""
    p = sigmoid(x)
    p_m = np.maximum(p - loss.clip, 0)
    positive = (1 - p) ** loss.gamma_pos * np.log(p)
    negative = p_m**loss.gamma_neg * np.log(1 - p_m)
    return -np.where(y == 1, positive, negative)


TERMS: dict[type[Loss], Callable[[Any, Floats, Floats], Floats]] = {
    BCE: bce_terms,
    Focal: focal_terms,
    Asymmetric: asymmetric_terms,
}
LOSSES = [
    BCE(),
    Focal(),
    Focal(gamma=0.5, alpha=0.7),
    Focal(gamma=3.0, alpha=-1),
    Asymmetric(),
    Asymmetric(gamma_neg=2.0, gamma_pos=0.0, clip=0.2),
    Asymmetric(gamma_neg=0.5, gamma_pos=0.5, clip=0.05),
    Asymmetric(gamma_neg=0.0, gamma_pos=0.0, clip=0.0),
    Asymmetric(gamma_neg=4.0, gamma_pos=2.0, clip=0.0),
]


def problem(rows: int = 6, labels: int = 5, seed: int = 0, spread: float = 2.0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    return rng.normal(0, spread, (rows, labels)), (rng.random((rows, labels)) < 0.4).astype(np.float64)


def value_and_gradient(loss: Loss, x: Floats, y: Floats, dtype: torch.dtype = torch.float64) -> tuple[float, Floats]:
    logits = torch.tensor(x, dtype=dtype, requires_grad=True)
    value = criterion(loss)(logits, torch.tensor(y, dtype=dtype))
    value.backward()
    assert logits.grad is not None
    return value.item(), logits.grad.double().numpy()


@pytest.mark.parametrize("loss", LOSSES, ids=Loss.canonical)
@pytest.mark.parametrize("shape", [(6, 5), (1, 3), (40, 2)])
def test_values_are_the_papers_formula_averaged_over_images_and_labels(loss: Loss, shape: tuple[int, int]) -> None:
    x, y = problem(*shape)
    expected = TERMS[type(loss)](loss, x, y).mean()
    assert value_and_gradient(loss, x, y)[0] == pytest.approx(expected, rel=2e-6)


@pytest.mark.parametrize("loss", LOSSES, ids=Loss.canonical)
def test_gradients_are_the_papers_formulas(loss: Loss) -> None:
    x, y = problem(seed=1)
    step = 1e-5
    terms = TERMS[type(loss)]
    # Every term depends on its own logit only, so one central difference gives all derivatives.
    expected = (terms(loss, x + step, y) - terms(loss, x - step, y)) / (2 * step) / x.size
    np.testing.assert_allclose(value_and_gradient(loss, x, y)[1], expected, rtol=2e-5, atol=2e-8)


def test_gradients_by_hand() -> None:
    x, y = problem(seed=2)
    p = sigmoid(x)
    np.testing.assert_allclose(value_and_gradient(BCE(), x, y)[1], (p - y) / x.size, rtol=1e-6)
    # Lin et al. 2017, appendix B: dFL/dx = y' (1 - p_t)^gamma (gamma p_t log(p_t) + p_t - 1), y' = +1 or -1.
    sign, p_t = np.where(y == 1, 1, -1), np.where(y == 1, p, 1 - p)
    expected = sign * (1 - p_t) ** 2 * (2 * p_t * np.log(p_t) + p_t - 1) / x.size
    np.testing.assert_allclose(value_and_gradient(Focal(2.0, -1), x, y)[1], expected, rtol=1e-6)
    # Ridnik et al. 2021, eq. 9, for the negatives: dL/dz = p_m^g (p (1-p) / (1-p_m) - g p (1-p) log(1-p_m) / p_m).
    m, g = 0.1, 3.0
    p_m = np.maximum(p - m, 1e-300)
    slope = p * (1 - p)
    expected = np.where(p > m, p_m**g * (slope / (1 - p_m) - g * slope * np.log(1 - p_m) / p_m), 0) / x.size
    found = value_and_gradient(Asymmetric(g, 0.0, m), x, np.zeros_like(x))[1]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("loss", [Focal(), Focal(1.0, -1)], ids=Loss.canonical)
def test_focal_is_torchvisions_mean(loss: Focal) -> None:
    x, y = (torch.tensor(v, dtype=torch.float32) for v in problem(7, 9))
    expected = sigmoid_focal_loss(x, y, alpha=loss.alpha, gamma=loss.gamma, reduction="sum") / (7 * 9)
    torch.testing.assert_close(criterion(loss)(x, y), expected)


def test_asymmetric_is_timms_sum_over_images_and_labels() -> None:
    x, y = (torch.tensor(v, dtype=torch.float32) for v in problem(7, 9))
    expected = AsymmetricLossMultiLabel(gamma_neg=4, gamma_pos=1, clip=0.05, reduction="sum")(x, y) / (7 * 9)
    torch.testing.assert_close(criterion(Asymmetric())(x, y), expected)


@pytest.mark.parametrize("loss", LOSSES, ids=Loss.canonical)
def test_the_batch_and_the_number_of_labels_do_not_scale_the_loss(loss: Loss) -> None:
    x, y = (torch.tensor(v) for v in problem(4, 3))
    function = criterion(loss)
    torch.testing.assert_close(function(x.repeat(5, 1), y.repeat(5, 1)), function(x, y))
    torch.testing.assert_close(function(x.repeat(1, 4), y.repeat(1, 4)), function(x, y))


def test_without_focusing_all_three_are_cross_entropy() -> None:
    x, y = (torch.tensor(v) for v in problem())
    expected = criterion(BCE())(x, y)
    torch.testing.assert_close(criterion(Focal(gamma=0.0, alpha=-1))(x, y), expected)
    torch.testing.assert_close(criterion(Focal(gamma=0.0, alpha=0.5))(x, y), expected / 2)
    torch.testing.assert_close(
        criterion(Asymmetric(0.0, 0.0, 0.0))(x, y), expected.float(), check_dtype=False, rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize("loss", LOSSES, ids=Loss.canonical)
def test_one_hot_targets_pull_their_class_up_and_the_others_down(loss: Loss) -> None:
    y = np.eye(4)[[2, 0, 1]]
    gradient = value_and_gradient(loss, np.zeros((3, 4)), y)[1]
    assert (np.sign(gradient) == np.where(y == 1, -1, 1)).all()
    net = torch.zeros(3, 4, requires_grad=True)
    optimizer = torch.optim.Adam([net], lr=0.3)
    for _ in range(60):
        optimizer.zero_grad()
        criterion(loss)(net, torch.tensor(y, dtype=torch.float32)).backward()
        optimizer.step()
    assert net.detach().argmax(dim=1).tolist() == [2, 0, 1]


@pytest.mark.parametrize("loss", LOSSES, ids=Loss.canonical)
@pytest.mark.parametrize("size", [30.0, 100.0, 1e4])
def test_extreme_logits_give_finite_losses_and_gradients(loss: Loss, size: float) -> None:
    x = np.array([[size, -size, size, -size]])
    y = np.array([[1.0, 1.0, 0.0, 0.0]])
    value, gradient = value_and_gradient(loss, x, y, torch.float32)
    assert np.isfinite(value)
    assert value > 1
    assert np.isfinite(gradient).all()


def test_the_loss_is_a_scalar_that_backpropagates_to_the_logits_only() -> None:
    x, y = (torch.tensor(v, dtype=torch.float32) for v in problem())
    for loss in LOSSES:
        value: Tensor = criterion(loss)(x.clone().requires_grad_(), y)
        assert value.shape == ()
        assert value.dtype == torch.float32
        assert value.requires_grad


def test_cross_entropy_is_the_mean_over_images_of_the_log_softmax_of_their_class() -> None:
    x, _ = problem(7, 4)
    y = np.eye(4)[np.random.default_rng(1).integers(0, 4, 7)]
    value, gradient = value_and_gradient(CrossEntropy(), x, y)
    assert value == pytest.approx(-(y * log_softmax(x, axis=1)).sum() / 7)
    np.testing.assert_allclose(gradient, (np.exp(log_softmax(x, axis=1)) - y) / 7, rtol=1e-6)
    mixed = 0.3 * y + 0.7 * y[::-1]
    shares = 0.3 * value + 0.7 * value_and_gradient(CrossEntropy(), x, y[::-1].copy())[0]
    assert value_and_gradient(CrossEntropy(), x, mixed)[0] == pytest.approx(shares)


@pytest.mark.parametrize("loss", [TwoWay(), TwoWay(t_pos=1.0, t_neg=2.0)], ids=Loss.canonical)
def test_two_way_is_the_papers_formula(loss: TwoWay) -> None:
    """Kobayashi 2023, eqs. 9 to 11, written out image by image and label by label."""
    x, y = problem(9, 5, seed=3)
    y[4] = 0  # an image without labels has no part in the first way,
    y[:, 2] = 0  # a label without images none in the second

    def one(logits: Floats, targets: Floats) -> float:
        negatives = loss.t_neg * logsumexp(logits[targets == 0] / loss.t_neg)
        positives = loss.t_pos * logsumexp(-logits[targets == 1] / loss.t_pos)
        return float(np.log1p(np.exp(negatives + positives)))

    images = [one(x[i], y[i]) for i in range(9) if y[i].any()]
    labels = [one(x[:, c], y[:, c]) for c in range(5) if y[:, c].any()]
    value, gradient = value_and_gradient(loss, x, y)
    assert value == pytest.approx(np.mean(images) + np.mean(labels), rel=1e-5)
    assert np.isfinite(gradient).all()
    assert gradient[0, y[0] == 1].max() < 0 < gradient[0, y[0] == 0].min()


def test_two_way_without_positives_or_without_negatives_is_finite() -> None:
    for y in (np.zeros((3, 4)), np.ones((3, 4))):
        value, gradient = value_and_gradient(TwoWay(), problem(3, 4)[0], y, torch.float32)
        assert value == pytest.approx(0.0)
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("loss", [BCE(), Focal(), Asymmetric()], ids=Loss.canonical)
def test_weights_are_factors_of_the_positives(loss: Loss) -> None:
    x, y = problem(8, 3, seed=5)
    weights = np.array([2.0, 1.0, 0.5])
    found = criterion(loss, torch.tensor(weights))(torch.tensor(x), torch.tensor(y)).item()
    expected = (TERMS[type(loss)](loss, x, y) * np.where(y == 1, weights, 1)).mean()
    assert found == pytest.approx(expected, rel=2e-6)


def test_weights_of_cross_entropy_are_factors_of_the_classes() -> None:
    x, weights = problem(6, 3)[0], np.array([2.0, 1.0, 0.5])
    y = np.eye(3)[[0, 1, 2, 2, 1, 0]]
    found = criterion(CrossEntropy(), torch.tensor(weights))(torch.tensor(x), torch.tensor(y)).item()
    assert found == pytest.approx(-(y * weights * log_softmax(x, axis=1)).sum() / 6)


def test_weights_from_frequencies() -> None:
    targets = torch.tensor([[1, 1, 0, 1], [0, 1, 0, 1], [0, 0, 0, 1], [0, 0, 0, 1]], dtype=torch.uint8)
    assert label_weights(BCE(), "none", targets) is None
    # Negatives over positives: 3/1, 2/2; a label without positives, or without negatives, weighs 1.
    assert label_weights(BCE(), "inverse", targets).tolist() == [3, 1, 1, 1]  # type: ignore[union-attr]
    assert label_weights(Focal(), "sqrt_inverse", targets).tolist() == pytest.approx([3**0.5, 1, 1, 1])  # type: ignore[union-attr]
    one_hot = torch.eye(3, dtype=torch.uint8)[[0, 0, 0, 1, 1, 2]]
    # scikit-learn's "balanced": images / (classes x images of the class).
    expected = compute_class_weight("balanced", classes=np.arange(3), y=one_hot.argmax(dim=1).numpy())
    assert label_weights(CrossEntropy(), "inverse", one_hot).tolist() == pytest.approx(expected)  # type: ignore[union-attr]
