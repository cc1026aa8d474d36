"""The points of a search as the store keeps them: numbers on the scale they were drawn on, and choices."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from swath.store.sweeps import ListedSearch

Value = float | int | str
"""A number, or the text of a choice."""


@dataclass(frozen=True)
class Parameter:
    """A range of a search, from its text `loguniform(1e-05,0.1)`.

    Attributes:
        name: Short name, as in `lr=0.0003`.
        kind: `uniform`, `loguniform`, `integers` or `choice`.
        low: Lowest value; 0 for a choice.
        high: Highest value; 0 for a choice.
        options: Texts of a choice's values.
    """

    name: str
    kind: str
    low: float = 0.0
    high: float = 0.0
    options: tuple[str, ...] = ()

    @property
    def numeric(self) -> bool:
        """False for a choice."""
        return self.kind != "choice"

    def place(self, value: Value) -> float:
        """Where a value lies on the range's own scale: 0 is its lowest, 1 its highest; of a choice its number."""
        if isinstance(value, str):
            return float(self.options.index(value))
        if self.kind == "loguniform":
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def at(self, place: float) -> float:
        """The number at a place; whole ones are rounded."""
        if self.kind == "loguniform":
            value = self.low * (self.high / self.low) ** place
        else:
            value = self.low + place * (self.high - self.low)
        within = min(max(value, self.low), self.high)
        return float(round(within)) if self.kind == "integers" else within


@dataclass(frozen=True)
class Point:
    """A point of a search in one cell of the grid.

    Attributes:
        cell: Label of the sweep's cell at this point.
        origin: Label of the grid's cell it was asked for in.
        values: Value of each parameter by its name.
    """

    cell: str
    origin: str
    values: Mapping[str, Value]


@dataclass(frozen=True)
class Space:
    """The cells of the grid that are searched over the same ranges, with their points in the order asked for.

    Attributes:
        search: `random` or `optuna`.
        parameters: The ranges.
        points: Cell by cell of the grid.
    """

    search: str
    parameters: tuple[Parameter, ...]
    points: tuple[Point, ...]

    @property
    def origins(self) -> tuple[str, ...]:
        """Labels of its cells of the grid."""
        return tuple(dict.fromkeys(point.origin for point in self.points))


def spaces(searches: Mapping[str, ListedSearch], cells: Collection[str]) -> tuple[Space, ...]:
    """The searched spaces among a task's cells: one, or several where the grid's cells have other ranges.

    Args:
        searches: Points by the label of the grid's cell, as the sweep's record has them.
        cells: Labels of the task's cells; points of other tasks are left out.
    """
    by_space: dict[tuple[str, ...], list[tuple[str, ListedSearch]]] = {}
    for origin, listed in searches.items():
        key = tuple(f"{name}: {text}" for name, text in sorted(listed.space.items()))
        by_space.setdefault(key, []).append((origin, listed))
    found = []
    for alike in by_space.values():
        first = alike[0][1]
        all_points = [plain for _, listed in alike for plain in listed.points]
        parameters = {
            name: _reaching(parameter(name, text), [plain[name] for plain in all_points])
            for name, text in first.space.items()
        }
        points = [
            point for origin, listed in alike for point in _points(origin, listed, parameters) if point.cell in cells
        ]
        if points and parameters:
            found.append(Space(str(first.search[0]), tuple(parameters.values()), tuple(points)))
    return tuple(found)


def parameter(name: str, text: str) -> Parameter:
    """A range from what `str` of a `swath.config.search.Range` writes."""
    kind, _, inside = text.removesuffix(")").partition("(")
    if kind == "choice":
        return Parameter(name, kind, options=_split(inside))
    low, high = map(float, inside.split(","))
    return Parameter(name, kind, low, high)


def _reaching(one: Parameter, values: Sequence[float]) -> Parameter:
    """The range with every value in it: its text has six digits of its ends."""
    return replace(one, low=min([one.low, *values]), high=max([one.high, *values])) if one.numeric else one


def value_text(value: Value) -> str:
    """As labels show it: `0.0003`, `focal(gamma=1)`."""
    return value if isinstance(value, str) else f"{value:g}"


def _points(origin: str, listed: ListedSearch, parameters: Mapping[str, Parameter]) -> list[Point]:
    """Each of the two labels a cell may have: that of the grid's cell and the point, or where no grid is the point."""
    points = []
    for plain in listed.points:
        values = {name: _value(parameters[name], one) for name, one in plain.items()}
        text = ",".join(f"{name}={value_text(value)}" for name, value in values.items())
        points += [Point(label, origin, values) for label in (f"{origin} / {text}", text)]
    return points


def _value(one: Parameter, plain: float | int) -> Value:
    return plain if one.numeric else one.options[int(plain)]


def _split(text: str) -> tuple[str, ...]:
    """Parts between the commas that stand in no parentheses."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return tuple(parts)
