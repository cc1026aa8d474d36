"""All that a task's searches say: points, best so far, importances, slices. Points are no levels of a factor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swath.analysis.cells import CellResult
from swath.analysis.image_variance import FoldEvidence
from swath.analysis.results import TaskResults
from swath.analysis.searches.gaussian_process import GaussianProcess
from swath.analysis.searches.image_moves import image_moves
from swath.analysis.searches.importance import fanova
from swath.analysis.searches.slices import Slice, slices, spread
from swath.analysis.searches.space import Parameter, Point, Space, Value
from swath.store.states import State

Floats = NDArray[np.float64]
LEAST = 8
"""Finished points below which no model is fitted."""
EXPLAINED = 0.1
"""Share of the differences between points that a model must explain before anything is read off it."""
_MOST = 300  # points in the model, whose work grows with their cube
_DRAWS = 2400
_DESIGN = 256  # places at which the model is asked for importances


@dataclass(frozen=True)
class ScoredPoint:
    """A finished point.

    Attributes:
        cell: Label of its cell.
        origin: Label of the grid's cell it was asked for in.
        values: Value of each parameter.
        score: Mean over seeds and folds.
        runs: Seeds behind it.
    """

    cell: str
    origin: str
    values: Mapping[str, Value]
    score: float
    runs: int


@dataclass(frozen=True)
class BestSoFar:
    """What the search found in one cell of the grid, point after point.

    Attributes:
        origin: Label of the grid's cell.
        asked: Points asked for.
        scores: Best score after each point, in the order asked; NaN before the first that finished.
        number: Which point is the best, from 1; 0 for none.
        best: That point, or None.
    """

    origin: str
    asked: int
    scores: tuple[float, ...]
    number: int
    best: ScoredPoint | None


@dataclass(frozen=True)
class SearchResult:
    """What the points over one space say.

    Attributes:
        search: `random` or `optuna`.
        origins: Labels of the grid's cells that were searched.
        parameters: The ranges.
        points: Finished points, in the order asked.
        stopped: Points of which a trial was stopped early; they are in no model.
        failed: Points of which a trial failed, none finished.
        waiting: Other points without a finished seed.
        best: Best so far in each cell of the grid.
        modelled: Points that the model was fitted to; 0 where there is none.
        explained: Share of the differences between points that the model predicts, each point left out in turn.
        images: True where the bands cover the choice of validation images.
        importances: Share of each field, largest first; {} where the model explains too little.
        constant: Parameters with one value in all finished points.
        slices: Along each parameter that varies; () where the model explains too little.
    """

    search: str
    origins: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    points: tuple[ScoredPoint, ...]
    stopped: int
    failed: int
    waiting: int
    best: tuple[BestSoFar, ...]
    modelled: int
    explained: float
    images: bool
    importances: dict[str, float]
    constant: tuple[str, ...]
    slices: tuple[Slice, ...]


@dataclass(frozen=True)
class _Model:
    modelled: int = 0
    explained: float = float("nan")
    images: bool = False
    importances: Mapping[str, float] | None = None
    slices: tuple[Slice, ...] = ()


def search_results(
    task: TaskResults, cells: Sequence[CellResult], evidence: Sequence[FoldEvidence] = ()
) -> list[SearchResult]:
    """What each searched space of a task says; [] without a search.

    Args:
        task: The task.
        cells: Its finished cells.
        evidence: What was read of its trials for the effects; without it bands leave out the choice of images.
    """
    return [_result(task, space, {cell.cell: cell for cell in cells}, evidence) for space in task.searches]


def _result(
    task: TaskResults, space: Space, cells: Mapping[str, CellResult], evidence: Sequence[FoldEvidence]
) -> SearchResult:
    points = [
        ScoredPoint(p.cell, p.origin, p.values, cells[p.cell].score, len(cells[p.cell].runs))
        for p in space.points
        if p.cell in cells and np.isfinite(cells[p.cell].score)
    ]
    states = _states(task)
    finished = {p.cell for p in points}
    lacking = [states[p.cell] for p in space.points if p.cell not in finished]
    stopped, failed = (sum(state in s for s in lacking) for state in (State.STOPPED, State.FAILED))
    varying = tuple(one for one in space.parameters if len({p.values[one.name] for p in points}) > 1)
    model = _model(task, varying, points, [cells[p.cell] for p in points], evidence)
    return SearchResult(
        search=space.search,
        origins=space.origins,
        parameters=space.parameters,
        points=tuple(points),
        stopped=stopped,
        failed=failed,
        waiting=len(lacking) - stopped - failed,
        best=tuple(_best(origin, space.points, {p.cell: p for p in points}) for origin in space.origins),
        modelled=model.modelled,
        explained=model.explained,
        images=model.images,
        importances=dict(model.importances or {}),
        constant=tuple(one.name for one in space.parameters if points and one not in varying),
        slices=model.slices,
    )


def _states(task: TaskResults) -> dict[str, set[State]]:
    """The states of each cell's trials, the gravest alone: a stopped point counts as stopped once."""
    states: dict[str, set[State]] = {}
    for trial in task.trials:
        states.setdefault(trial.cell, set()).add(trial.state)
    return {cell: {State.STOPPED} if State.STOPPED in found else found for cell, found in states.items()}


def _best(origin: str, asked: Sequence[Point], finished: Mapping[str, ScoredPoint]) -> BestSoFar:
    of_origin = [p.cell for p in asked if p.origin == origin]
    scores = np.array([finished[cell].score if cell in finished else np.nan for cell in of_origin])
    so_far = tuple(np.fmax.accumulate(scores).tolist())
    if np.isnan(scores).all():
        return BestSoFar(origin, len(of_origin), so_far, 0, None)
    number = int(np.nanargmax(scores))
    return BestSoFar(origin, len(of_origin), so_far, number + 1, finished[of_origin[number]])


def _model(
    task: TaskResults,
    varying: Sequence[Parameter],
    points: Sequence[ScoredPoint],
    cells: Sequence[CellResult],
    evidence: Sequence[FoldEvidence],
) -> _Model:
    """Slices and importances over the parameters that vary and the grid's factors, from finished points."""
    scores = np.array([p.score for p in points])
    distinct = {tuple(p.values[one.name] for one in varying) for p in points}
    if len(distinct) < LEAST or np.ptp(scores) == 0:
        return _Model()
    # Many more say no more of a smooth function than so many, spread evenly over the search.
    kept = np.unique(np.linspace(0, len(points) - 1, min(_MOST, len(points))).astype(int))
    points, cells, scores = [points[i] for i in kept], [cells[i] for i in kept], scores[kept]
    factors = {n: v for n in task.factors if len(set(v := [c.factors.get(n, "-") for c in cells])) > 1}
    places = [[one.place(p.values[one.name]) for p in points] for one in varying]
    places += [[float(list(dict.fromkeys(v)).index(x)) for x in v] for v in factors.values()]
    levels = [0 if one.numeric else len(one.options) for one in varying] + [len(set(v)) for v in factors.values()]
    x = np.array(places).T
    process = GaussianProcess(x, [n > 0 for n in levels], scores, np.array([float(p.runs) for p in points]))
    explained = process.explained()
    if explained < EXPLAINED:
        return _Model(len(points), explained)
    moves = image_moves(task, cells, evidence, _DRAWS)
    fields = [*varying, *(Parameter(n, "choice", options=tuple(dict.fromkeys(v))) for n, v in factors.items())]
    return _Model(
        modelled=len(points),
        explained=explained,
        images=moves is not None,
        importances=_importances(process, fields, spread(x, levels, _DESIGN)),
        slices=tuple(slices(process, varying, x, levels, np.zeros((_DRAWS, len(x))) if moves is None else moves)),
    )


def _importances(process: GaussianProcess, fields: Sequence[Parameter], design: Floats) -> dict[str, float]:
    """Of the model's predictions at points spread evenly: so few points as a search has mislead a forest of trees."""
    rows = [
        {one.name: place if one.numeric else one.options[int(place)] for one, place in zip(fields, row, strict=True)}
        for row in design.tolist()
    ]
    return fanova(rows, process.predicted(design).tolist())
