import hashlib
import math
import re
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from swath.core.description import Description, digest, to_json


@dataclass(frozen=True)
class Blur(Description):
    name: ClassVar[str] = "blur"
    radius: float = 1.5
    passes: int = 1
    edge: str = "wrap"
    fast: bool = False


@dataclass(frozen=True)
class Newer(Blur):
    version: ClassVar[int] = 2


@dataclass(frozen=True)
class Chain(Description):
    name: ClassVar[str] = "chain"
    steps: tuple[Blur, ...] = ()
    first: Blur = Blur()


@dataclass(frozen=True)
class Required(Description):
    name: ClassVar[str] = "required"
    size: int


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Blur(), "blur"),
        (Blur(radius=1.5, passes=1), "blur"),
        (Blur(radius=2.0), "blur(radius=2)"),
        (Blur(edge="clip", radius=1e-4, fast=True), "blur(radius=0.0001,edge=clip,fast=True)"),
        (Chain(), "chain"),
        (
            Chain((Blur(), Blur(passes=3)), Blur(radius=0.25)),
            "chain(steps=blur+blur(passes=3),first=blur(radius=0.25))",
        ),
        (Required(3), "required(size=3)"),
    ],
)
def test_the_canonical_form_names_what_differs_from_the_defaults(value: Description, text: str) -> None:
    assert value.canonical() == text


def test_json_holds_every_field_the_name_and_the_version() -> None:
    blur = {"name": "blur", "version": 1, "radius": 1.5, "passes": 1, "edge": "wrap", "fast": False}
    assert to_json(Blur()) == blur
    assert to_json(Newer()) == {**blur, "version": 2}
    assert to_json(Chain((Blur(), Newer(passes=2)))) == {
        "name": "chain",
        "version": 1,
        "steps": [blur, {**blur, "version": 2, "passes": 2}],
        "first": blur,
    }
    assert to_json([None, "a", 1, True, (0.5,)]) == [None, "a", 1, True, [0.5]]


@pytest.mark.parametrize("value", [object(), {"a": 1}, {1}, Blur, b"x"])
def test_what_has_no_place_in_a_description_is_refused(value: Any) -> None:
    kind = type(value).__name__
    with pytest.raises(TypeError, match=f"^{re.escape(kind)} has no place in a description$"):
        to_json((1, value))


def test_equal_descriptions_have_equal_json() -> None:
    assert Blur(radius=2) == Blur(radius=2.0)
    assert digest(to_json(Blur(radius=2))) == digest(to_json(Blur(radius=2.0)))
    assert digest(to_json(Blur(radius=2.5))) != digest(to_json(Blur(radius=2)))
    assert to_json(math.inf) == math.inf


def test_the_digest_is_sha256_of_sorted_compact_json_and_ignores_key_order() -> None:
    text = '{"a":[1,2.5,null],"b":{"c":"가","d":true}}'
    value = {"b": {"d": True, "c": "가"}, "a": [1, 2.5, None]}
    assert digest(value) == hashlib.sha256(text.encode()).hexdigest()[:20]
    assert digest({"a": value["a"], "b": {"c": "가", "d": True}}) == digest(value)
    assert digest(value, 64) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (to_json(Blur()), to_json(Newer())),  # the code version
        (to_json(Blur()), to_json(Blur(passes=2))),
        (to_json((Blur(), Newer())), to_json((Newer(), Blur()))),  # the order of a chain
        ({"a": 1}, {"a": "1"}),
        ({"a": 1}, {"a": True}),
        ([1, [2]], [[1], 2]),
    ],
)
def test_the_digest_tells_apart(one: Any, other: Any) -> None:
    assert digest(one) != digest(other)
