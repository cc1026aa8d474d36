"""A sweep as one frozen value: `grid(...)` may stand on any field, and expanding it gives the cells."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, cast

from swath import chains, losses, model_names
from swath.asha import Asha, TwoPhase
from swath.chains import Preprocess
from swath.description import Description
from swath.grids import Grid, Level, expanded, factors, grids_in, level_label
from swath.losses import BCE, Loss
from swath.recipe import Backbone, Recipe
from swath.registry import unknown
from swath.search import Point, Range, Search, described, names, ranges, resolved
from swath.sizes import size_problems, sized
from swath.splits import Holdout, KFold, Split
from swath.task import Task

DESIGNS = ("grid", "star")
SEARCH = "search"
"""Factor whose levels are the points of a search: cells at one point match, the points themselves are no choice."""
SHARED = ("split", "seeds", "stop", "max_train_images", "max_test_images")
"""Fields that decide which trials compare: a union has one value of each, and no grid stands on them."""


def holdout(fraction: float = 0.2, seed: int = 0) -> Holdout:
    """Validate on one stratified share of the training images."""
    return Holdout(fraction, seed)


def kfold(k: int = 5, seed: int = 0) -> KFold:
    """Train every cell k times, each time validating on another stratified part of the training images."""
    return KFold(k, seed)


def asha(grace_epochs: int = 3, reduction: int = 3, exempt: str = "none") -> Asha:
    """Stop hopeless trials early; see `swath.asha.Asha`."""
    return Asha(grace_epochs, reduction, cast(Any, exempt))


def two_phase(
    top: int = 6,
    seeds: tuple[int, ...] = (101, 102, 103),
    grace_epochs: int = 3,
    reduction: int = 3,
    exempt: str = "none",
) -> TwoPhase:
    """ASHA over the grid, then the best cells with fresh seeds to the end; see `swath.asha.TwoPhase`."""
    return TwoPhase(grace_epochs, reduction, cast(Any, exempt), top, seeds)


@dataclass(frozen=True)
class Resources:
    """What one trial gets; never part of a trial's identity, but for the threads.

    Attributes:
        cpus: CPUs of each worker, and threads of one that trains on them.
        gpus: GPUs of each worker, or a share of one; None takes a whole one where the cluster has any. A trial with a
            share waits until that share of the GPU's memory is free.
        workers: Workers that train one trial together, each on its own GPU (or CPUs). They share each batch of the
            recipe, so the result is that of one worker, up to float order and the draws of dropout.
    """

    cpus: int = 1
    gpus: float | None = None
    workers: int = 1

    def problems(self) -> list[str]:
        """Sentences about values out of range."""
        found = []
        if not isinstance(self.cpus, int) or self.cpus < 1:
            found.append(f"cpus={self.cpus!r}: a trial takes a whole number of CPUs, 1 or more.")
        if self.gpus is not None and not (0 <= self.gpus < 1 or (self.gpus >= 1 and float(self.gpus).is_integer())):
            found.append(f"gpus={self.gpus!r}: give a share below 1, e.g. 0.5, or a whole number.")
        if not isinstance(self.workers, int) or self.workers < 1:
            found.append(f"workers={self.workers!r}: a trial takes a whole number of workers, 1 or more.")
        elif self.workers > 1 and self.gpus not in (None, 0, 1):
            found.append(
                f"workers={self.workers}, gpus={self.gpus:g}: each worker of a trial takes one whole GPU or none; give "
                "gpus=1, gpus=0 or leave it out."
            )
        return found


@dataclass(frozen=True)
class Sweep:
    """A study: a grid over task x preprocessing x backbone x loss (and any recipe field) with replicates.

    Attributes:
        name: Letters, digits, `_`, `-` and `.`; names the reports and the list of cells in the store.
        task: Where the data come from.
        split: Which training images validate.
        preprocess: A tuple of ops, `()` is raw; or `chain(train=..., test=...)`.
        backbone: A timm name, `hf:NAME`, or a `Backbone`.
        loss: One of `swath.losses`.
        recipe: Training settings.
        seeds: Training seeds, each a replicate of every cell.
        stop: The stopping rule, or None to train every cell to the end.
        max_train_images: Use at most this many training images (a fixed draw); 0 uses all.
        max_test_images: Predict at most this many test images (the first ones); 0 predicts all.
        design: `grid` crosses all grids; `star` has the baseline (the first value of every grid) and one change at a
            time.
        label: What reports call its cell, where a union's cells have names of their own ("A base"); with grids the
            levels follow.
        search: How values are found where ranges (`loguniform(...)` and the like) stand; its points are tried in each
            cell of the grid.
        published: Scores on record, by cell label: one, or (public, private); shown beside the sweep's own.
        members: Sweeps whose cells these are instead; see `union`.
    """

    name: str
    task: Task
    split: Split = Holdout()
    preprocess: Preprocess = ()
    backbone: Backbone | str = "resnet50"
    loss: Loss = BCE()
    recipe: Recipe = Recipe()
    seeds: tuple[int, ...] = (0,)
    stop: Asha | None = None
    max_train_images: int = 0
    max_test_images: int = 0
    design: Literal["grid", "star"] = "grid"
    label: str = ""
    search: Search | None = None
    published: Mapping[str, float | tuple[float, ...]] = field(default_factory=dict)
    members: tuple["Sweep", ...] = ()


def union(*sweeps: Sweep, name: str, published: Mapping[str, float | tuple[float, ...]] | None = None) -> Sweep:
    """The cells of several sweeps as one sweep, where no product of grids can express them.

    The first cell of the first sweep is the baseline. Factors are the settings in which the cells differ (task,
    preprocess, backbone, loss and the fields of the recipe), so cells that differ in one setting only still form
    matched pairs. A cell that several sweeps have is one cell.

    Args:
        sweeps: One or more; split, seeds, stop and the numbers of images must be the same in all.
        name: Of the new sweep.
        published: Scores on record, by cell label; () takes those of the sweeps.
    """
    kept = {label: score for sweep in sweeps for label, score in sweep.published.items()}
    shared = {f: getattr(sweeps[0], f) for f in SHARED} if sweeps else {}
    task = sweeps[0].task if sweeps else cast(Any, None)
    return Sweep(name, task, **shared, published=kept if published is None else published, members=tuple(sweeps))


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


def expand(sweep: Sweep, points: Mapping[str, Sequence[Point]] | None = None) -> list[Cell]:
    """All cells of a sweep, the baseline first.

    Args:
        sweep: The sweep.
        points: What its search has asked for so far, by the label of the grid's cell; its first batch where not given.
    """
    if sweep.members:
        return _joined(sweep)
    if sweep.search is None:
        return grid_cells(sweep)
    found = []
    for cell in grid_cells(sweep):
        asked = (points or {}).get(cell.label) or sweep.search.ask(space_of(cell), [])
        found += [_at(cell, point, first=number == 0) for number, point in enumerate(asked)]
    return found


def space_of(cell: Cell) -> dict[str, Range]:
    """The ranges of a grid's cell by name."""
    found = ranges(cell.sweep)
    return {name: found[place] for name, place in names(found).items()}


def edge_cells(sweep: Sweep) -> list[Cell]:
    """For each end and option of each range a cell with it: what can be checked before the points are known."""
    found = []
    for cell in grid_cells(sweep) if sweep.search and not sweep.members else []:
        space = space_of(cell)
        middle = {name: one.edges()[0] for name, one in space.items()}
        found += [_at(cell, {**middle, n: edge}, first=False) for n, one in space.items() for edge in one.edges()]
    return found


def _at(cell: Cell, point: Point, first: bool) -> Cell:
    """The grid's cell at a point of its search."""
    places, space = names(ranges(cell.sweep)), space_of(cell)
    values = {places[name]: space[name].value(plain) for name, plain in point.items()}
    text = described(point, space)
    return replace(
        cell,
        factors={**cell.factors, SEARCH: text},
        baseline=cell.baseline and first,
        sweep=resolved(cell.sweep, values),
        name=f"{cell.name} / {text}" if cell.name else "",
        point=point,
        origin=cell.label,
    )


def grid_cells(sweep: Sweep) -> list[Cell]:
    """The cells of the grids, or of the star; ranges still stand in them."""
    found = []
    for one, levels in expanded(sweep, (), sweep.design == "star"):
        changed = [level for level in levels if not level[2]]
        name = factors(levels).values() if sweep.design == "grid" else _star_name(changed)
        named = bool(sweep.label) or sweep.design == "star"
        found.append(
            Cell(factors(levels), not changed, one, " / ".join(filter(None, [sweep.label, *name])) if named else "")
        )
    return found


def _star_name(changed: Sequence[Level]) -> list[str]:
    return [f"{factor} {level}" for factor, level in factors(list(changed)).items()] or ["baseline"]


def _joined(sweep: Sweep) -> list[Cell]:
    """The cells of a union's members, each once, with the settings they differ in as factors."""
    found: dict[str, tuple[Cell, dict[str, str]]] = {}
    for member in sweep.members:
        own = replace(member, **{name: getattr(sweep, name) for name in ("name", *SHARED)})
        for cell in expand(own):
            settings = _settings(cell)
            name = cell.name if own.label or own.members else ""
            values = [cell.backbone if f == "backbone" else getattr(cell.sweep, f) for f in _SETTINGS]
            found.setdefault(repr((name, values)), (replace(cell, name=name), settings))
    names = dict.fromkeys(name for _, settings in found.values() for name in settings)
    varied = [n for n in names if len({settings.get(n, "") for _, settings in found.values()}) > 1]
    return [
        replace(cell, factors={n: settings.get(n, "-") for n in varied}, baseline=at == 0)
        for at, (cell, settings) in enumerate(found.values())
    ]


_SETTINGS = ("task", "preprocess", "backbone", "loss", "recipe")


def _settings(cell: Cell) -> dict[str, str]:
    """The level of everything in which cells of a union may differ: the recipe by its fields."""
    levels = {"backbone": cell.backbone, **{n: getattr(cell.sweep, n) for n in ("task", "preprocess", "loss")}}
    found = {name: level_label((name,), levels[name]) for name in _SETTINGS if name in levels}
    recipe = cell.sweep.recipe
    if isinstance(recipe, Recipe):
        found |= {f.name: level_label(("recipe", f.name), getattr(recipe, f.name)) for f in fields(recipe)}
    return found


def label_problems(cells: list[Cell]) -> list[str]:
    """A sentence for each label that stands for more than one cell: a leaderboard could not tell them apart."""
    counts = Counter(cell.label for cell in cells)
    return [
        f"{n} different cells would all be called {label!r}: give their levels names that differ "
        "(another file name for weights=, another title= for a Csv task)."
        for label, n in counts.items()
        if n > 1
    ]


def published_problems(sweep: Sweep, cells: list[Cell]) -> list[str]:
    """A sentence for each published score whose cell the sweep does not have."""
    labels = [cell.label for cell in cells]
    return [unknown("cell in published", label, labels) for label in sweep.published if label not in labels]


def grid_problems(sweep: Sweep) -> list[str]:
    """Sentences about the sweep itself and its grids; the cells can only be expanded when there are none."""
    found = []
    if not isinstance(sweep.name, str) or not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,99}", sweep.name):
        found.append(f"sweep name {sweep.name!r}: use letters, digits, '_', '-' and '.', at most 100.")
    found += _seed_problems("seeds", sweep.seeds)
    if isinstance(sweep.stop, TwoPhase) and not isinstance(cast(Any, sweep.stop.seeds), Grid):
        again = _seed_problems("seeds of two_phase", sweep.stop.seeds)
        found += again or _seeds_met_again(sweep.seeds, sweep.stop.seeds)
    for name in ("max_train_images", "max_test_images"):
        limit = getattr(sweep, name)
        if not isinstance(limit, Grid) and (not isinstance(limit, int) or limit < 0):
            found.append(f"{name}={limit!r}: give a whole number of images, or 0 for all.")
    if sweep.design not in DESIGNS:
        found.append(unknown("design", sweep.design, DESIGNS))
    found += _published_problems(sweep) + _search_problems(sweep)
    return found + (_member_problems(sweep) if sweep.members else _misplacedgrids_in(sweep))


def _seed_problems(name: str, seeds: Any) -> list[str]:
    if not isinstance(seeds, tuple) or not seeds or not all(isinstance(s, int) and 0 <= s < 2**32 for s in seeds):
        return [f"{name}={seeds!r}: give a tuple of one or more whole numbers from 0 to 2**32 - 1, as (0, 1, 2)."]
    if len(set(seeds)) != len(seeds):
        return [f"{name}={seeds!r}: a seed twice is the same trial twice; give different ones."]
    return []


def _seeds_met_again(first: Any, second: tuple[int, ...]) -> list[str]:
    both = sorted(set(second) & set(first)) if isinstance(first, tuple) else []
    if not both:
        return []
    return [
        f"two_phase(seeds={second!r}) has the sweep's own {both}: what was chosen by a seed is not estimated by it. "
        "Give seeds that the first phase does not use."
    ]


def _search_problems(sweep: Sweep) -> list[str]:
    """Ranges without a search, a search without ranges, ranges where none may stand."""
    if not isinstance(sweep.search, Search | None):
        return [f"search={sweep.search!r}: give random(20), optuna(20) or None."]
    found = sweep.search.problems() if sweep.search else []
    there = ranges(replace(sweep, members=()))
    for place, one in there.items():
        where = ".".join(str(p) for p in place if isinstance(p, str) and p != "values")  # of a grid
        found += [f"{where}: {problem}" for problem in one.problems()]
        if place[0] in ("name", "task", "design", "label", "published", *SHARED):
            found.append(f"{one} cannot stand on {place[0]}: a search is over what a cell is, within one task.")
        elif sweep.search is None:
            found.append(f"{one} stands on {where}, and the sweep has no search: add search=random(20) or optuna(20).")
    if sweep.search and not there:
        found.append(
            f"search={sweep.search.canonical()} has nothing to search: put loguniform(...), uniform(...), "
            "integers(...) or choice(...) on a field."
        )
    if any(isinstance(m, Sweep) and m.search for m in sweep.members):
        found.append(f"union {sweep.name!r}: a member has a search. Run the search as a sweep of its own.")
    return found


def _published_problems(sweep: Sweep) -> list[str]:
    found = []
    for label, scores in sweep.published.items() if isinstance(sweep.published, Mapping) else [("", None)]:
        values = scores if isinstance(scores, tuple) else (scores,)
        if not all(isinstance(v, int | float) and 0 <= v <= 1 for v in values) or not 1 <= len(values) <= 2:
            found.append(
                f"published={{{label!r}: {scores!r}}}: give cell labels with one score or (public, private), each from "
                "0 to 1."
            )
    return found


def _member_problems(sweep: Sweep) -> list[str]:
    """What is wrong with the members, and settings that a union has only one of."""
    found = []
    for member in sweep.members:
        if not isinstance(member, Sweep):
            found.append(f"union {sweep.name!r}: {member!r} is no Sweep.")
            continue
        found += grid_problems(replace(member, name=sweep.name))
        odd = [f for f in SHARED if getattr(member, f) != getattr(sweep.members[0], f)]
        if odd:
            found.append(
                f"union {sweep.name!r}: {member.name!r} differs from {sweep.members[0].name!r} in {', '.join(odd)}, "
                "which are the same for all cells of a sweep. Make them equal, or run two sweeps."
            )
    return found


def _misplacedgrids_in(sweep: Sweep) -> list[str]:
    found = []
    for path, values in grids_in(sweep, ()):
        if not values:
            found.append(f"the grid on {'.'.join(path)} is empty: give it at least one value.")
            continue
        if path[0] in ("name", "design", "label", "published", *SHARED):
            found.append(f"a grid cannot stand on {path[0]}: it decides which cells compare, not what a cell is.")
        repeated = sorted({str(v) for i, v in enumerate(values) if v in values[:i]})
        if repeated:
            found.append(f"the grid on {'.'.join(path)} has {', '.join(repeated)} twice: keep one.")
    return found


def cell_problems(cell: Cell) -> list[str]:
    """Sentences about one cell's values: types, ranges, unknown names, combinations that cannot train."""
    sweep, found = cell.sweep, []
    if isinstance(sweep.task, Task):
        found += sweep.task.problems() + losses.loss_problems(sweep.loss, sweep.task.kind)
    else:
        found.append(unknown("task", sweep.task, ()) + " Give a value of swath.tasks, e.g. tasks.DaconSatellite(DIR).")
    chain = chains.chain_problems(sweep.preprocess)
    found += chain
    found += _typed("split", sweep.split, Split, "holdout(0.2)")
    found += _typed("recipe", sweep.recipe, Recipe, "Recipe(epochs=20)")
    if not chain and isinstance(sweep.recipe, Recipe) and isinstance(sweep.backbone, Backbone | str):
        found += size_problems(sweep.preprocess, sweep.recipe, cell.backbone)
    if isinstance(sweep.loss, Loss) and isinstance(sweep.recipe, Recipe):
        found += losses.combination_problems(sweep.loss, sweep.recipe.label_smoothing, sweep.recipe.class_weights)
    if sweep.stop is not None:
        found += _typed("stop", sweep.stop, Asha, "asha() or None")
    if not isinstance(sweep.backbone, Backbone | str):
        return [*found, f"backbone={sweep.backbone!r}: give a timm name or a Backbone."]
    backbone = cell.backbone
    return [*found, *backbone.problems(), *model_names.problems(backbone)]


def _typed(field: str, value: Any, kind: type[Description], example: str) -> list[str]:
    return value.problems() if isinstance(value, kind) else [f"{field}={value!r}: give a value such as {example}."]
