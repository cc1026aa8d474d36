"""Values and gradients against the papers' formulas, worked out in numpy and by autograd of the plain formula."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from timm.loss import AsymmetricLossMultiLabel
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from swath.criteria import criterion
from swath.losses import BCE, Asymmetric, Focal, Loss

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
