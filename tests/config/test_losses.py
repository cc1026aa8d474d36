from typing import Any

import pytest

from swath import losses
from swath.config.losses import BCE, Asymmetric, CrossEntropy, Focal, TwoWay, combination_problems, loss_problems


@pytest.mark.parametrize("loss", [BCE(), Focal(), Asymmetric()])
def test_every_loss_serves_both_kinds_by_sigmoids(loss: losses.Loss) -> None:
    assert loss_problems(loss, "multilabel") == loss_problems(loss, "multiclass") == []
    assert loss.link("multilabel") == "sigmoid"
    assert loss.link("multiclass") == "normalised_sigmoid"  # one-hot sigmoids do not sum to one


def test_cross_entropy_is_for_single_labels_and_two_way_for_several() -> None:
    assert loss_problems(CrossEntropy(), "multiclass") == loss_problems(TwoWay(), "multilabel") == []
    assert (CrossEntropy().link("multiclass"), TwoWay().link("multilabel")) == ("softmax", "sigmoid")
    assert loss_problems(CrossEntropy(), "multilabel") == [
        "loss cross_entropy serves multiclass tasks; this task is multilabel."
    ]
    assert loss_problems(TwoWay(), "multiclass") == ["loss two_way serves multilabel tasks; this task is multiclass."]
    assert TwoWay(t_pos=0).problems() == ["TwoWay(t_pos=0): allowed is a number from 0.01 to 1000."]


def test_fields_of_the_recipe_that_a_loss_has_no_use_for() -> None:
    assert combination_problems(BCE(), 0.1, "inverse") == combination_problems(TwoWay(), 0.0, "none") == []
    assert len(combination_problems(TwoWay(), 0.1, "inverse")) == 2


def test_the_defaults_are_the_papers() -> None:
    assert Focal() == Focal(gamma=2.0, alpha=0.25)  # Lin et al. 2017, section 5.1
    assert Asymmetric() == Asymmetric(gamma_neg=4.0, gamma_pos=1.0, clip=0.05)  # Ridnik et al. 2021, table 1


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        (BCE(), "bce"),
        (Focal(), "focal"),
        (Focal(gamma=1.5, alpha=-1), "focal(gamma=1.5,alpha=-1)"),
        (Asymmetric(gamma_pos=0), "asymmetric(gamma_pos=0)"),
    ],
)
def test_labels(loss: losses.Loss, text: str) -> None:
    assert loss.canonical() == text


@pytest.mark.parametrize(
    "loss", [Focal(0, 0), Focal(0.5, 1), Focal(2, -1), Asymmetric(0, 0, 0), Asymmetric(9, 9, 0.99)]
)
def test_the_ends_of_the_ranges_are_allowed(loss: losses.Loss) -> None:
    assert loss.problems() == []


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "2", None])
def test_exponents_out_of_range_are_named_with_the_allowed_ones(value: Any) -> None:
    assert Focal(gamma=value).problems() == [f"Focal(gamma={value!r}): allowed is 0 or more; the paper uses 2."]
    assert Asymmetric(value, value).problems() == [
        f"Asymmetric(gamma_neg={value!r}): allowed is 0 or more.",
        f"Asymmetric(gamma_pos={value!r}): allowed is 0 or more.",
    ]


@pytest.mark.parametrize("value", [-0.5, 1.01, -2, float("nan"), "0.25"])
def test_weights_out_of_range_are_named_with_the_allowed_ones(value: Any) -> None:
    assert Focal(alpha=value).problems() == [f"Focal(alpha={value!r}): allowed is 0 to 1, or -1 for no weighting."]


@pytest.mark.parametrize("value", [-0.01, 1, float("nan"), "0.05"])
def test_margins_out_of_range_are_named_with_the_allowed_ones(value: Any) -> None:
    expected = f"Asymmetric(clip={value!r}): allowed is 0 up to, but not including, 1."
    assert Asymmetric(clip=value).problems() == [expected]


def test_what_is_no_loss_lists_the_losses() -> None:
    assert loss_problems("Focl", "multilabel") == [
        "unknown loss 'Focl'. Did you mean 'Focal'? Allowed: Asymmetric, BCE, CrossEntropy, Focal, TwoWay. "
        "Write it as a value, e.g. losses.BCE()."
    ]


def test_every_loss_of_the_table_has_a_criterion() -> None:
    from swath.training.losses import CRITERIA

    assert CRITERIA.names() == sorted(loss.name for loss in losses.LOSSES.values())
    assert all(getattr(losses, name) is loss for name, loss in losses.LOSSES.items())
