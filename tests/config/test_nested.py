"""Parts of frozen values, and what is put in their place."""

import dataclasses

import pytest

from swath import ops
from swath.config.chains import Chain
from swath.config.grids import Grid, grid, grids_in
from swath.config.nested import below, parts, put, with_parts
from swath.config.ops import Op
from swath.config.recipe import Recipe
from swath.config.search import Range, uniform


def test_parts_are_fields_by_name_and_items_by_position() -> None:
    chain = Chain(train=(ops.Sharpen(),), test=())
    assert parts(chain) == [("train", (ops.Sharpen(),)), ("test", ())]
    assert parts(chain.train) == [(0, ops.Sharpen())]
    assert parts("text") == parts(3) == parts(Recipe) == [], "a class is a leaf, as text is"


def test_values_of_a_kind_are_found_where_they_stand() -> None:
    chain = Chain(train=(ops.Grayscale(), ops.Sharpen()), test=(ops.Grayscale(3),))
    assert dict(below(chain, Op)) == {
        ("train", 0): ops.Grayscale(),
        ("train", 1): ops.Sharpen(),
        ("test", 0): ops.Grayscale(3),
    }
    assert list(below(ops.Sharpen(), Op)) == [((), ops.Sharpen())]


def test_a_value_found_is_not_looked_into_but_a_grid_inside_a_grid_is_found_by_its_path() -> None:
    recipe = Recipe(lr=grid(1e-3, grid(1e-4, 1e-5)), clip_norm=uniform(0.1, 1.0))
    assert [place for place, _ in below(recipe, Grid)] == [("lr",)]
    assert list(grids_in(recipe)) == [(("lr",), (1e-3, Grid((1e-4, 1e-5)))), (("lr",), (1e-4, 1e-5))]
    assert [place for place, _ in below(recipe, Range)] == [("clip_norm",)]


def test_put_changes_these_places_and_shares_the_rest() -> None:
    chain = Chain(train=(ops.Grayscale(), ops.Sharpen()), test=(ops.Grayscale(3),))
    changed = put(chain, {("train", 1): ops.Clahe(), ("test",): ()})
    assert changed == Chain(train=(ops.Grayscale(), ops.Clahe()), test=())
    assert changed.train[0] is chain.train[0]
    assert put(chain, {}) is chain
    assert put(chain, {(): 7}) == 7
    assert with_parts((1, 2, 3), {1: 5}) == (1, 5, 3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        chain.train = ()  # type: ignore[misc]
