"""Sweeps with a search: scripted logits, whose quality is a function of the point."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from swath.config.search import Optuna, Point, Random, Range, described
from swath.store.storage import Storage
from swath.store.sweeps import ListedSearch
from tests.support.fake_store import FakeTask, FakeTrial, Study, write_study

SPACE = {"lr": Range("loguniform", 1e-5, 1e-1), "weight_decay": Range("uniform", 0.0, 0.1)}
Quality = Callable[[Point, FakeTrial], float]


def searched_study(
    storage: Storage,
    quality: Quality,
    points: int = 16,
    cells: Sequence[Mapping[str, str]] = ({},),
    space: Mapping[str, Range] = SPACE,
    search: Random | Optuna | None = None,
    seeds: Sequence[int] = (0,),
    state: Callable[[int], str | None] = lambda number: "COMPLETE",
    asked: Sequence[Point] | None = None,
    **more: Any,
) -> Study:
    """A sweep with the same points in each cell of a grid.

    Args:
        storage: The store.
        quality: Of a trial at a point: how far its logits follow the targets.
        points: Number of random points.
        cells: Fields of `FakeTrial` in each cell of the grid.
        space: Ranges by name.
        search: What is said to have asked for the points.
        seeds: Of every cell.
        state: Of the trials of a numbered point.
        asked: The points themselves, instead of random ones.
        more: Fields of the task.
    """
    task = FakeTask(**more)
    given = list(Random(points).ask(space, []) if asked is None else asked)
    trials, searches = [], {}
    for cell in cells:
        origin = FakeTrial(**cell).cell  # type: ignore[arg-type]
        kind = search or Random(points)
        texts = {name: str(one) for name, one in space.items()}
        searches[origin] = ListedSearch(search=kind.key, space=texts, points=tuple(given))
        for seed in seeds:
            for number, point in enumerate(given):
                text = described(point, space)
                trial = FakeTrial(**cell, seed=seed, extra={"search": text}, state=state(number))  # type: ignore[arg-type]
                trial.quality = quality(point, trial)
                trials.append(trial)
    return write_study(storage, [task], {task.label: trials}, rule="", extra={"search": searches})
