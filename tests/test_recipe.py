from typing import Any

import pytest

from swath.recipe import Backbone, Recipe


@pytest.mark.parametrize(
    ("backbone", "text"),
    [
        (Backbone("resnet50"), "resnet50"),
        (Backbone("resnet50.a1_in1k"), "resnet50.a1_in1k"),
        (Backbone("resnet50", pretrained=False), "resnet50(scratch)"),
        (Backbone("resnet50", weights="/a/b/best.pth"), "resnet50(weights=best.pth)"),
        (Backbone("resnet50", weights="C:\\a\\best.pth", stem="reinit"), "resnet50(weights=best.pth,stem=reinit)"),
        (Backbone("resnet50", pretrained=False, stem="reinit"), "resnet50(scratch,stem=reinit)"),
    ],
)
def test_labels_of_backbones(backbone: Backbone, text: str) -> None:
    assert backbone.canonical() == text


def test_labels_of_recipes_name_what_differs_from_the_defaults() -> None:
    assert Recipe().canonical() == "recipe"
    assert Recipe(lr=1e-4, optimizer="adamw", epochs=3).canonical() == "recipe(epochs=3,optimizer=adamw,lr=0.0001)"


def test_the_ends_of_the_ranges_are_allowed() -> None:
    assert Recipe().problems() == Recipe(1, 2, "adamw", 10, 0, 16).problems() == []
    assert Recipe(100_000, 65_536, "adam", 1e-12, 1e3, 2048).problems() == []
    assert Backbone("anything").problems() == Backbone("x", weights="y", stem="reinit").problems() == []


@pytest.mark.parametrize(
    ("field", "allowed", "values"),
    [
        ("epochs", "a whole number from 1 to 100000", (0, 100_001, 1.0, True, "3", None)),
        ("batch_size", "a whole number from 2 to 65536", (1, 65_537, 2.0, "3")),
        ("image_size", "a whole number from 16 to 2048", (15, 2049, 64.0, "native")),
        ("lr", "above 0 and at most 10", (0, -1e-3, 10.1, float("nan"), "1e-3", None)),
        ("weight_decay", "0 or more", (-1e-9, float("nan"), "0", float("inf"))),
    ],
)
def test_values_out_of_range_are_named_with_the_allowed_ones(field: str, allowed: str, values: tuple[Any, ...]) -> None:
    for value in values:
        assert Recipe(**{field: value}).problems() == [f"Recipe({field}={value!r}): allowed is {allowed}."]


def test_all_problems_come_at_once() -> None:
    assert len(Recipe(0, 0, "sdg", 0, -1, 0).problems()) == 6  # type: ignore[arg-type]
    assert Recipe(optimizer="adamW").problems() == [  # type: ignore[arg-type]
        "unknown optimizer 'adamW'. Did you mean 'adam' or 'adamw'? Allowed: adam, adamw, sgd."
    ]
