"""The cells of a sweep: its grids multiplied, its search points put in, its members joined."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import cast

from swath.config.grids import Level, expanded, factors, level_label
from swath.config.nested import put
from swath.config.recipe import Backbone, Recipe
from swath.config.search import Point, Range, described, names, ranges
from swath.config.sweep import SEARCH, SHARED, Sweep
from swath.plan.image_size import sized

_SETTINGS = ("task", "preprocess", "backbone", "loss", "recipe")
"""In which cells of a union may differ."""


@dataclass(frozen=True)
class Cell:
    """One combination of the grid's values, before seeds and folds.

    Attributes:
        factors: Factor name to the label of its level, in the sweep's order; only what a grid stands on.
        baseline: True for the cell made of each grid's first value.
        sweep: The sweep with this cell's values in place of the grids.
        name: What to call it instead of its levels, "" for nothing.
        point: What a search chose for it, by name.
        origin: Label of the grid's cell that the search was in.
    """

    factors: dict[str, str]
    baseline: bool
    sweep: Sweep
    name: str = ""
    point: Point = field(default_factory=dict)
    origin: str = ""

    @property
    def backbone(self) -> Backbone:
        """The backbone as a value."""
        given = self.sweep.backbone
        return given if isinstance(given, Backbone) else Backbone(cast(str, given))

    def sized(self) -> "Cell":
        """The same with a number of pixels in place of "native": only its label still says so."""
        recipe = self.sweep.recipe
        if not isinstance(recipe, Recipe) or not isinstance(self.sweep.backbone, Backbone | str):
            return self
        return replace(self, sweep=replace(self.sweep, recipe=sized(recipe, self.backbone)))

    @property
    def label(self) -> str:
        """Its name, or the levels joined: `sharpen / resnet50 / bce`; the settings where there is no grid at all."""
        if self.name:
            return self.name
        if self.factors:
            return " / ".join(self.factors.values())
        levels = (self.sweep.preprocess, self.backbone, self.sweep.loss)
        return " / ".join(
            level_label((name,), v) for name, v in zip(("preprocess", "backbone", "loss"), levels, strict=True)
        )


def expand(sweep: Sweep) -> list[Cell]:
    """All cells of a sweep, the baseline first; those of a search are the first ones that it asks for."""
    grid = grid_cells(sweep)
    search = sweep.search
    return search_cells(grid, {cell.label: search.ask(space_of(cell), []) for cell in grid}) if search else grid


def search_cells(grid: Sequence[Cell], points: Mapping[str, Sequence[Point]]) -> list[Cell]:
    """The cells of a grid at the points of a search.

    Args:
        grid: Cells in which ranges still stand.
        points: What the search has asked for in each, by its label; the baseline's first is the baseline.
    """
    return [_at(cell, point, first=n == 0) for cell in grid for n, point in enumerate(points.get(cell.label, ()))]


def space_of(cell: Cell) -> dict[str, Range]:
    """The ranges of a grid's cell by name."""
    ranges_by_place = ranges(cell.sweep)
    return {name: ranges_by_place[place] for name, place in names(ranges_by_place).items()}


def space_text(cell: Cell) -> dict[str, str]:
    """The ranges of a grid's cell as text."""
    return {name: str(one) for name, one in space_of(cell).items()}


def edge_cells(grid: Sequence[Cell]) -> list[Cell]:
    """For each end and option of each range a cell with it: what can be checked before the points are known."""
    cells = []
    for cell in grid:
        space = space_of(cell)
        middle = {name: one.edges()[0] for name, one in space.items()}
        cells += [_at(cell, {**middle, n: edge}, first=False) for n, one in space.items() for edge in one.edges()]
    return cells


def _at(cell: Cell, point: Point, first: bool) -> Cell:
    """The grid's cell at a point of its search."""
    ranges_by_place = ranges(cell.sweep)
    places = names(ranges_by_place)
    space = {name: ranges_by_place[places[name]] for name in point}
    text = described(point, space)
    return replace(
        cell,
        factors={**cell.factors, SEARCH: text},
        baseline=cell.baseline and first,
        sweep=put(cell.sweep, {places[name]: space[name].value(plain) for name, plain in point.items()}),
        name=f"{cell.name} / {text}" if cell.name else "",
        point=point,
        origin=cell.label,
    )


def grid_cells(sweep: Sweep) -> list[Cell]:
    """The cells of the grids, of the star, or of a union's members; ranges of a search still stand in them."""
    if sweep.members:
        return _joined(sweep)
    cells = []
    for one, levels in expanded(sweep, star=sweep.design == "star"):
        changed = [level for level in levels if not level.is_first]
        name = factors(levels).values() if sweep.design == "grid" else _star_name(changed)
        named = bool(sweep.label) or sweep.design == "star"
        cells.append(
            Cell(factors(levels), not changed, one, " / ".join(filter(None, [sweep.label, *name])) if named else "")
        )
    return cells


def _star_name(changed: Sequence[Level]) -> list[str]:
    return [f"{factor} {level}" for factor, level in factors(list(changed)).items()] or ["baseline"]


def _joined(sweep: Sweep) -> list[Cell]:
    """The cells of a union's members, each once, with the settings they differ in as factors."""
    cells: dict[str, tuple[Cell, dict[str, str]]] = {}
    for member in sweep.members:
        adapted = replace(member, **{name: getattr(sweep, name) for name in ("name", *SHARED)})
        for cell in grid_cells(adapted):
            settings = _settings(cell)
            name = cell.name if adapted.label or adapted.members else ""
            values = [cell.backbone if f == "backbone" else getattr(cell.sweep, f) for f in _SETTINGS]
            cells.setdefault(repr((name, values)), (replace(cell, name=name), settings))
    names = dict.fromkeys(name for _, settings in cells.values() for name in settings)
    varied = [n for n in names if len({settings.get(n, "") for _, settings in cells.values()}) > 1]
    return [
        replace(cell, factors={n: settings.get(n, "-") for n in varied}, baseline=at == 0)
        for at, (cell, settings) in enumerate(cells.values())
    ]


def _settings(cell: Cell) -> dict[str, str]:
    """The level of everything in which cells of a union may differ: the recipe by its fields."""
    levels = {"backbone": cell.backbone, **{n: getattr(cell.sweep, n) for n in ("task", "preprocess", "loss")}}
    settings = {name: level_label((name,), levels[name]) for name in _SETTINGS if name in levels}
    recipe = cell.sweep.recipe
    if isinstance(recipe, Recipe):
        settings |= {f.name: level_label(("recipe", f.name), getattr(recipe, f.name)) for f in fields(recipe)}
    return settings
