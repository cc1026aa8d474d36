"""A sweep as one frozen value: `grid(...)` may stand on any field, and expanding it gives the cells."""

import dataclasses
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from swath import chains, losses, model_names
from swath.asha import Asha
from swath.chains import Chain, Preprocess
from swath.description import Description
from swath.losses import BCE, Loss
from swath.recipe import Backbone, Recipe
from swath.registry import unknown
from swath.splits import Holdout, KFold, Split
from swath.task import Task

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


def holdout(fraction: float = 0.2, seed: int = 0) -> Holdout:
    """Validate on one stratified share of the training images."""
    return Holdout(fraction, seed)


def kfold(k: int = 5, seed: int = 0) -> KFold:
    """Train every cell k times, each time validating on another stratified part of the training images."""
    return KFold(k, seed)


def asha(grace_epochs: int = 3, reduction: int = 3, exempt: str = "none") -> Asha:
    """Stop hopeless trials early; see `swath.asha.Asha`."""
    return Asha(grace_epochs, reduction, cast(Any, exempt))


@dataclass(frozen=True)
class Resources:
    """What one trial gets; never part of a trial's identity, but for the threads.

    Attributes:
        cpus: CPUs, and threads of a trial that trains on them.
        gpus: GPUs or a share of one; None takes a whole one where the cluster has any.
    """

    cpus: int = 1
    gpus: float | None = None

    def problems(self) -> list[str]:
        """Sentences about values out of range."""
        found = []
        if not isinstance(self.cpus, int) or self.cpus < 1:
            found.append(f"cpus={self.cpus!r}: a trial takes a whole number of CPUs, 1 or more.")
        if self.gpus is not None and not (0 <= self.gpus < 1 or (self.gpus >= 1 and float(self.gpus).is_integer())):
            found.append(f"gpus={self.gpus!r}: give a share below 1, e.g. 0.5, or a whole number.")
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


@dataclass(frozen=True)
class Cell:
    """One combination of the grid's values, before seeds and folds.

    Attributes:
        factors: Factor name to the label of its level, in the sweep's order; only what a grid stands on.
        baseline: True for the cell made of each grid's first value.
        sweep: The sweep with this cell's values in place of the grids.
    """

    factors: dict[str, str]
    baseline: bool
    sweep: Sweep

    @property
    def backbone(self) -> Backbone:
        """The backbone as a value."""
        given = self.sweep.backbone
        return given if isinstance(given, Backbone) else Backbone(cast(str, given))

    @property
    def label(self) -> str:
        """The levels joined: `sharpen / resnet50 / bce`; the settings where there is no grid at all."""
        if self.factors:
            return " / ".join(self.factors.values())
        levels = (self.sweep.preprocess, self.backbone, self.sweep.loss)
        return " / ".join(
            _label((name,), v) for name, v in zip(("preprocess", "backbone", "loss"), levels, strict=True)
        )


def expand(sweep: Sweep) -> list[Cell]:
    """All cells of a sweep, the baseline first."""
    return [Cell(_factors(levels), all(first for _, _, first in levels), one) for one, levels in _expanded(sweep, ())]


def label_problems(cells: list[Cell]) -> list[str]:
    """A sentence for each label that stands for more than one cell: a leaderboard could not tell them apart."""
    counts = Counter(cell.label for cell in cells)
    return [
        f"{n} different cells would all be called {label!r}: give their levels names that differ "
        "(another file name for weights=, another title= for a Csv task)."
        for label, n in counts.items()
        if n > 1
    ]


_Level = tuple[tuple[str, ...], Any, bool]


def _expanded(value: Any, path: tuple[str, ...]) -> Iterator[tuple[Any, list[_Level]]]:
    """Every way to resolve the grids below `value`, with the level chosen at each outermost grid."""
    if isinstance(value, Grid):
        first = True
        for option in value.values:
            for resolved, _ in _expanded(option, path):
                yield resolved, [(path, resolved, first)]
                first = False
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in dataclasses.fields(value)]
        parts = [list(_expanded(getattr(value, n), (*path, n))) for n in names]
        for combination in itertools.product(*parts):
            changes = {n: v for n, (v, levels) in zip(names, combination, strict=True) if levels}
            levels = [level for _, below in combination for level in below]
            yield (replace(value, **changes) if changes else value), levels
    elif isinstance(value, tuple):
        parts = [list(_expanded(v, path)) for v in value]
        for combination in itertools.product(*parts):
            yield tuple(v for v, _ in combination), [level for _, below in combination for level in below]
    else:
        yield value, []


def _factors(levels: list[_Level]) -> dict[str, str]:
    """Factor name to level label; two grids in one chain are `preprocess` and `preprocess 2`."""
    found: dict[str, str] = {}
    for path, level, _ in levels:
        name = _factor(path)
        again = sum(key.partition(" ")[0] == name for key in found)
        found[f"{name} {again + 1}" if again else name] = _label(path, level)
    return found


def _factor(path: tuple[str, ...]) -> str:
    """`preprocess`, `backbone`, `loss`, or the last field's name (`lr` for `recipe.lr`)."""
    return path[-1] if path[0] == "recipe" else ".".join(path)


def _label(path: tuple[str, ...], level: Any) -> str:
    if path[0] == "preprocess" and isinstance(level, tuple | Chain):
        return chains.label(level)
    if isinstance(level, Task):
        return level.label
    if isinstance(level, Description):
        return level.canonical()
    return f"{level:g}" if isinstance(level, float) else str(level)


def grid_problems(sweep: Sweep) -> list[str]:
    """Sentences about the sweep itself and its grids; the cells can only be expanded when there are none."""
    found = []
    if not isinstance(sweep.name, str) or not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,99}", sweep.name):
        found.append(f"sweep name {sweep.name!r}: use letters, digits, '_', '-' and '.', at most 100.")
    seeds = sweep.seeds
    if not isinstance(seeds, tuple) or not seeds or not all(isinstance(s, int) and 0 <= s < 2**32 for s in seeds):
        found.append(f"seeds={seeds!r}: give a tuple of one or more whole numbers from 0 to 2**32 - 1, as (0, 1, 2).")
    elif len(set(seeds)) != len(seeds):
        found.append(f"seeds={seeds!r}: a seed twice is the same trial twice; give different ones.")
    limit = sweep.max_train_images
    if not isinstance(limit, Grid) and (not isinstance(limit, int) or limit < 0):
        found.append(f"max_train_images={limit!r}: give a whole number of images, or 0 for all.")
    for path, values in _grids(sweep, ()):
        if not values:
            found.append(f"the grid on {'.'.join(path)} is empty: give it at least one value.")
            continue
        if path[0] in ("name", "seeds", "split", "stop", "max_train_images"):
            found.append(f"a grid cannot stand on {path[0]}: it decides which cells compare, not what a cell is.")
        repeated = sorted({str(v) for i, v in enumerate(values) if v in values[:i]})
        if repeated:
            found.append(f"the grid on {'.'.join(path)} has {', '.join(repeated)} twice: keep one.")
    return found


def _grids(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], tuple[Any, ...]]]:
    if isinstance(value, Grid):
        yield path, value.values
        for option in value.values:
            yield from _grids(option, path)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _grids(getattr(value, field.name), (*path, field.name))
    elif isinstance(value, tuple):
        for option in value:
            yield from _grids(option, path)


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
    if not chain and isinstance(sweep.recipe, Recipe):
        found += _size_problems(sweep)
    if sweep.stop is not None:
        found += _typed("stop", sweep.stop, Asha, "asha() or None")
    if not isinstance(sweep.backbone, Backbone | str):
        return [*found, f"backbone={sweep.backbone!r}: give a timm name or a Backbone."]
    backbone = cell.backbone
    return [*found, *backbone.problems(), *model_names.problems(backbone)]


def _size_problems(sweep: Sweep) -> list[str]:
    """A sentence when the chain gives images of another size than the recipe says the model sees."""
    wanted = sweep.recipe.image_size
    return [
        f"preprocess={chains.label(sweep.preprocess)} gives images of {size} px, Recipe(image_size={wanted!r}) says "
        "the model sees another size: leave size_px out of Resize, or make the two equal."
        for size in sorted(chains.sizes_px(sweep.preprocess, wanted) - {wanted})
    ]


def _typed(field: str, value: Any, kind: type[Description], example: str) -> list[str]:
    return value.problems() if isinstance(value, kind) else [f"{field}={value!r}: give a value such as {example}."]
