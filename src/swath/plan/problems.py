"""What is wrong with a sweep as it was written: sentences, before anything is read or started."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from swath.config import chains, losses
from swath.config.grids import Grid, grids_in
from swath.config.losses import Loss
from swath.config.recipe import Backbone, Recipe
from swath.config.search import Search, ranges
from swath.config.splits import Split
from swath.config.stopping import Asha, TwoPhase
from swath.config.sweep import DESIGNS, SHARED, STREAMS, Sweep
from swath.config.task import Task
from swath.core.description import Description
from swath.core.registry import unknown
from swath.models import names as model_names
from swath.plan.cells import Cell
from swath.plan.image_size import size_problems


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
    problems = []
    if not isinstance(sweep.name, str) or not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,99}", sweep.name):
        problems.append(f"sweep name {sweep.name!r}: use letters, digits, '_', '-' and '.', at most 100.")
    problems += _seed_problems("seeds", sweep.seeds)
    if isinstance(sweep.stop, TwoPhase) and not isinstance(cast(Any, sweep.stop.seeds), Grid):
        again = _seed_problems("seeds of two_phase", sweep.stop.seeds)
        problems += again or _seeds_met_again(sweep.seeds, sweep.stop.seeds)
    for name in ("max_train_images", "max_test_images"):
        limit = getattr(sweep, name)
        if not isinstance(limit, Grid) and (not isinstance(limit, int) or limit < 0):
            problems.append(f"{name}={limit!r}: give a whole number of images, or 0 for all.")
    if not isinstance(sweep.matters, Grid) and not (isinstance(sweep.matters, float) and 0 < sweep.matters < 1):
        problems.append(
            f"matters={sweep.matters!r}: give a difference of the metric between 0 and 1, e.g. 0.005 for half a point."
        )
    if not isinstance(sweep.streams, Grid) and sweep.streams not in STREAMS:
        problems.append(unknown("streams", sweep.streams, STREAMS))
    if sweep.design not in DESIGNS:
        problems.append(unknown("design", sweep.design, DESIGNS))
    problems += _published_problems(sweep) + _search_problems(sweep)
    return problems + (_member_problems(sweep) if sweep.members else _misplaced_grids(sweep))


def _seed_problems(name: str, seeds: object) -> list[str]:
    if not isinstance(seeds, tuple) or not seeds or not all(isinstance(s, int) and 0 <= s < 2**32 for s in seeds):
        return [f"{name}={seeds!r}: give a tuple of one or more whole numbers from 0 to 2**32 - 1, as (0, 1, 2)."]
    if len(set(seeds)) != len(seeds):
        return [f"{name}={seeds!r}: a seed twice is the same trial twice; give different ones."]
    return []


def _seeds_met_again(first: object, second: tuple[int, ...]) -> list[str]:
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
    problems = sweep.search.problems() if sweep.search else []
    ranges_by_place = ranges(replace(sweep, members=()))
    for place, one in ranges_by_place.items():
        where = ".".join(str(p) for p in place if isinstance(p, str) and p != "values")  # of a grid
        problems += [f"{where}: {problem}" for problem in one.problems()]
        if place[0] in ("name", "task", "design", "label", "published", *SHARED):
            problems.append(f"{one} cannot stand on {place[0]}: a search is over what a cell is, within one task.")
        elif sweep.search is None:
            problems.append(
                f"{one} stands on {where}, and the sweep has no search: add search=random(20) or optuna(20)."
            )
    if sweep.search and not ranges_by_place:
        problems.append(
            f"search={sweep.search.canonical()} has nothing to search: put loguniform(...), uniform(...), "
            "integers(...) or choice(...) on a field."
        )
    if any(isinstance(m, Sweep) and m.search for m in sweep.members):
        problems.append(f"union {sweep.name!r}: a member has a search. Run the search as a sweep of its own.")
    return problems


def _published_problems(sweep: Sweep) -> list[str]:
    problems = []
    for label, scores in sweep.published.items() if isinstance(sweep.published, Mapping) else [("", None)]:
        values = scores if isinstance(scores, tuple) else (scores,)
        if not all(isinstance(v, int | float) and 0 <= v <= 1 for v in values) or not 1 <= len(values) <= 2:
            problems.append(
                f"published={{{label!r}: {scores!r}}}: give cell labels with one score or (public, private), each from "
                "0 to 1."
            )
    return problems


def _member_problems(sweep: Sweep) -> list[str]:
    """What is wrong with the members, and settings that a union has only one of."""
    problems = []
    for member in sweep.members:
        if not isinstance(member, Sweep):
            problems.append(f"union {sweep.name!r}: {member!r} is no Sweep.")
            continue
        problems += grid_problems(replace(member, name=sweep.name))
        odd = [f for f in SHARED if getattr(member, f) != getattr(sweep.members[0], f)]
        if odd:
            problems.append(
                f"union {sweep.name!r}: {member.name!r} differs from {sweep.members[0].name!r} in {', '.join(odd)}, "
                "which are the same for all cells of a sweep. Make them equal, or run two sweeps."
            )
    return problems


def _misplaced_grids(sweep: Sweep) -> list[str]:
    problems = []
    for path, values in grids_in(sweep):
        if not values:
            problems.append(f"the grid on {'.'.join(path)} is empty: give it at least one value.")
            continue
        if path[0] in ("name", "design", "label", "published", *SHARED):
            problems.append(f"a grid cannot stand on {path[0]}: it decides which cells compare, not what a cell is.")
        repeated = sorted({str(v) for i, v in enumerate(values) if v in values[:i]})
        if repeated:
            problems.append(f"the grid on {'.'.join(path)} has {', '.join(repeated)} twice: keep one.")
    return problems


def cell_problems(cell: Cell) -> list[str]:
    """Sentences about one cell's values: types, ranges, unknown names, combinations that cannot train."""
    sweep, problems = cell.sweep, []
    if isinstance(sweep.task, Task):
        problems += sweep.task.problems() + losses.loss_problems(sweep.loss, sweep.task.kind)
    else:
        problems.append(
            unknown("task", sweep.task, ()) + " Give a value of swath.tasks, e.g. tasks.DaconSatellite(DIR)."
        )
    chain = chains.chain_problems(sweep.preprocess)
    problems += chain
    problems += _typed("split", sweep.split, Split, "holdout(0.2)")
    problems += _typed("recipe", sweep.recipe, Recipe, "Recipe(epochs=20)")
    if not chain and isinstance(sweep.recipe, Recipe) and isinstance(sweep.backbone, Backbone | str):
        problems += size_problems(sweep.preprocess, sweep.recipe, cell.backbone)
    if isinstance(sweep.loss, Loss) and isinstance(sweep.recipe, Recipe):
        problems += losses.combination_problems(sweep.loss, sweep.recipe.label_smoothing, sweep.recipe.class_weights)
    if sweep.stop is not None:
        problems += _typed("stop", sweep.stop, Asha, "asha() or None")
    if not isinstance(sweep.backbone, Backbone | str):
        return [*problems, f"backbone={sweep.backbone!r}: give a timm name or a Backbone."]
    backbone = cell.backbone
    return [*problems, *backbone.problems(), *model_names.problems(backbone)]


def _typed(field: str, value: object, kind: type[Description], example: str) -> list[str]:
    return value.problems() if isinstance(value, kind) else [f"{field}={value!r}: give a value such as {example}."]
