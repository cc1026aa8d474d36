"""Grids: several values in one place of a sweep, and every way to choose among them."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, cast

from swath.config import chains
from swath.config.chains import Chain
from swath.config.nested import below, parts, with_parts
from swath.config.task import Task
from swath.core.description import Description

T = TypeVar("T")


@dataclass(frozen=True)
class Grid:
    """Values to try in one place."""

    values: tuple[Any, ...]


def grid(*values: T) -> T:
    """Try each value in this place; several grids multiply. The first value is the baseline of its factor.

    Typed as one of its values, so type checkers accept a grid on any field.
    """
    return cast(T, Grid(values))


class Level(NamedTuple):
    """The value chosen at an outermost grid.

    Attributes:
        path: Where the grid stands: fields' names.
        value: What was chosen, without grids.
        is_first: True for the grid's first value.
    """

    path: tuple[str, ...]
    value: Any
    is_first: bool


def expanded(value: Any, path: tuple[str, ...] = (), star: bool = False) -> Iterator[tuple[Any, list[Level]]]:
    """Every way to resolve the grids below `value`, with the level chosen at each outermost grid."""
    if isinstance(value, Grid):
        first = True
        for option in value.values:
            for resolved, _ in expanded(option, path, star=False):
                yield resolved, [Level(path, resolved, first)]
                first = False
        return
    inside = parts(value)
    # Grids in one chain stand on one path, whatever their positions.
    paths = [(*path, name) if isinstance(name, str) else path for name, _ in inside]
    choices = [list(expanded(part, at, star)) for at, (_, part) in zip(paths, inside, strict=True)]
    for combination in _combinations(choices, star):
        changes = {name: v for (name, _), (v, levels) in zip(inside, combination, strict=True) if levels}
        yield with_parts(value, changes), [level for _, levels in combination for level in levels]


def _combinations(parts: list[list[T]], star: bool) -> Iterator[tuple[T, ...]]:
    """The product of the parts, or for a star the first of each, then one change at a time."""
    if not star:
        yield from itertools.product(*parts)
        return
    first = tuple(part[0] for part in parts)
    yield first
    for at, part in enumerate(parts):
        for other in part[1:]:
            yield (*first[:at], other, *first[at + 1 :])


def factors(levels: list[Level]) -> dict[str, str]:
    """Factor name to level label; two grids in one chain are `preprocess` and `preprocess 2`."""
    labels: dict[str, str] = {}
    for path, level, _ in levels:
        name = factor_name(path)
        again = sum(key.partition(" ")[0] == name for key in labels)
        labels[f"{name} {again + 1}" if again else name] = level_label(path, level)
    return labels


def factor_name(path: tuple[str, ...]) -> str:
    """`preprocess`, `backbone`, `loss`, or the last field's name (`lr` for `recipe.lr`)."""
    return path[-1] if path[0] == "recipe" else ".".join(path)


def level_label(path: tuple[str, ...], level: Any) -> str:
    """What reports call a value that stands at this path."""
    if path[0] == "preprocess" and isinstance(level, tuple | Chain):
        return chains.label(level)
    if isinstance(level, Task):
        return level.label
    if isinstance(level, Description):
        return level.canonical()
    if isinstance(level, tuple):
        return "+".join(level_label(path, item) for item in level) or "none"
    return f"{level:g}" if isinstance(level, float) else str(level)


def grids_in(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], tuple[Any, ...]]]:
    """Where grids stand below a value, then those on their own values, each with its path and its values."""
    for place, nested in below(value, Grid):
        here = (*path, *(name for name in place if isinstance(name, str)))
        yield here, nested.values
        for option in nested.values:
            yield from grids_in(option, here)


def mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """`change` applied to a value, or to each value of a grid; values that become equal stay once."""
    if isinstance(value, Grid):
        return Grid(tuple(dict.fromkeys(mapped(v, change) for v in value.values)))
    return change(value)
