from typing import Any

import pytest

from swath import augment, schedules
from swath.config.recipe import Backbone, Recipe


@pytest.mark.parametrize(
    ("backbone", "text"),
    [
        (Backbone("resnet50"), "resnet50"),
        (Backbone("resnet50.a1_in1k"), "resnet50.a1_in1k"),
        (Backbone("resnet50", pretrained=False), "resnet50(scratch)"),
        (Backbone("resnet50", weights="/models/resnet50.safetensors", stem="reinit"), "resnet50(stem=reinit)"),
        (Backbone("resnet50", weights="/models/resnet50d.pth"), "resnet50(weights=resnet50d.pth)"),
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
        ("image_size", "a whole number from 16 to 2048, or 'native'", (15, 2049, 64.0, "nativ")),
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


@pytest.mark.parametrize(
    ("field", "allowed", "values"),
    [
        ("momentum", "a number from 0 to 0.999", (-0.1, 1, float("nan"), "0.9", True)),
        ("layer_decay", "a number from 0.01 to 1", (0, 1.1, None)),
        ("accumulation", "a whole number from 1 to 1024", (0, 1025, 2.0)),
        ("clip_norm", "a finite number, 0 or more", (-1, float("inf"), "1")),
        ("ema_decay", "a number from 0 to 0.999999", (-0.1, 1)),
        ("label_smoothing", "a number from 0 to 0.999", (-0.1, 1)),
        ("freeze_epochs", "a whole number from 0 to 20", (-1, 21, 1.0)),
    ],
)
def test_further_values_out_of_range(field: str, allowed: str, values: tuple[Any, ...]) -> None:
    for value in values:
        assert Recipe(**{field: value}).problems() == [f"Recipe({field}={value!r}): allowed is {allowed}."]


@pytest.mark.parametrize(
    ("field", "near", "known"),
    [
        ("precision", "fp61", "bf16, fp16, fp32, tf32"),
        ("decayed", "matrix", "all, matrices"),
        ("tta", "flips", "d4, flip, none"),
        ("class_weights", "inverted", "inverse, none, sqrt_inverse"),
    ],
)
def test_unknown_choices_list_the_known_ones(field: str, near: str, known: str) -> None:
    (problem,) = Recipe(**{field: near}).problems()  # type: ignore[arg-type]
    assert problem.startswith(f"unknown {field} of Recipe '{near}'.")
    assert problem.endswith(f"Allowed: {known}.")


@pytest.mark.parametrize("sizes", [224, (8,), (224, 224), (224.0,), "224"])
def test_sizes_of_test_time_augmentation(sizes: Any) -> None:
    assert Recipe(tta_sizes=(224, 256)).problems() == []
    (problem,) = Recipe(tta_sizes=sizes).problems()
    assert "give a tuple of different whole numbers from 16 to 2048" in problem


def test_what_is_no_description_is_named() -> None:
    assert Recipe(early_stop=schedules.EarlyStop(watch="val_loss")).problems() == []
    assert "give schedules.EarlyStop" in Recipe(early_stop=10).problems()[0]  # type: ignore[arg-type]
    assert Recipe(early_stop=schedules.EarlyStop(patience=0)).problems() == [
        "EarlyStop(patience=0): allowed is a whole number from 1 to 1000."
    ]
    assert "True or False" in Recipe(channels_last=1).problems()[0]  # type: ignore[arg-type]
    assert "schedules.Cosine()" in Recipe(schedule="cosine").problems()[0]  # type: ignore[arg-type]


def test_labels_of_nested_values() -> None:
    recipe = Recipe(schedule=schedules.Cosine(warmup_epochs=1), augment=(augment.HorizontalFlip(), augment.Rotate90()))
    assert recipe.canonical() == "recipe(schedule=cosine(warmup_epochs=1),augment=hflip+rotate90)"
