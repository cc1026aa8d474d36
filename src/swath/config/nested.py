"""Frozen values in each other (a sweep, its recipe, its ops): their parts, and the way to each by name and position."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

T = TypeVar("T")
Place = tuple[str | int, ...]
"""Way to a value: fields' names and positions in tuples."""


def parts(value: Any) -> list[tuple[str | int, Any]]:
    """The fields of a dataclass by name, the items of a tuple by position; none of anything else."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    return list(enumerate(value)) if isinstance(value, tuple) else []


def with_parts(value: T, changes: Mapping[str | int, Any]) -> T:
    """The value with other parts under these names or positions."""
    if not changes:
        return value
    if isinstance(value, tuple):
        return tuple(changes.get(at, part) for at, part in enumerate(value))  # type: ignore[return-value]
    return dataclasses.replace(value, **changes)  # type: ignore[type-var, arg-type]


def below(value: Any, kind: type[T], place: Place = ()) -> Iterator[tuple[Place, T]]:
    """The outermost values of a kind, each with its place: the value itself, or those in its parts."""
    if isinstance(value, kind):
        yield place, value
        return
    for name, part in parts(value):
        yield from below(part, kind, (*place, name))


def put(value: Any, values: Mapping[Place, Any]) -> Any:
    """The value with others at these places."""
    if () in values:
        return values[()]
    inside: dict[str | int, dict[Place, Any]] = {}
    for (name, *rest), other in values.items():
        inside.setdefault(name, {})[tuple(rest)] = other
    return with_parts(value, {name: put(part, inside[name]) for name, part in parts(value) if name in inside})
