"""What starting a sweep would do: its tasks, the cells of its grids, its trials. Nothing of how far they are."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TypeVar

from swath.config.search import Point
from swath.config.sweep import Sweep
from swath.core.errors import raise_if_any
from swath.plan.cells import Cell, search_cells
from swath.plan.problems import cell_problems
from swath.plan.trials import PlannedTrial
from swath.preprocess.cache.entry import EntryPlan
from swath.preprocess.cache.features import FeaturePlan
from swath.store.storage import Locations
from swath.store.trials import Trial
from swath.tasks.prepare import TaskPlan

T = TypeVar("T")

COMMON_STREAMS = (
    "Trials of one seed share their random numbers (streams='common', which a sweep keeps that began with it), so "
    "cells of a seed err together and only further seeds make effects surer. A sweep under a new name has "
    "streams='own'."
)


@dataclass(frozen=True, eq=False)
class Plan:
    """All of a sweep's trials as far as its search has asked for them.

    Attributes:
        sweep: The sweep.
        locations: Where it reads and writes.
        tasks: Its tasks.
        grid: The cells of its grids; ranges of its search still stand in them.
        trials: Its trials, the baseline's first.
        make_trials: Makes the trials of further sound cells.
        points: What the search has asked for in each cell of the grid, by its label.
        commit: The git commit of swath's code, or "".
        refit: True where no image validates: the trials are listed apart, where rankings do not see them.
        command: The shell command that started it, or "".
    """

    sweep: Sweep
    locations: Locations
    tasks: tuple[TaskPlan, ...]
    grid: tuple[Cell, ...]
    trials: tuple[PlannedTrial, ...]
    make_trials: Callable[[Sequence[Cell]], list[PlannedTrial]] = field(repr=False)
    points: Mapping[str, Sequence[Point]] = field(default_factory=dict)
    commit: str = ""
    refit: bool = False
    command: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of its tasks, and that stops nothing."""
        notes = tuple(note for task in self.tasks for note in task.notes)
        return (*notes, COMMON_STREAMS) if self.sweep.streams == "common" and len(self.trials) > 1 else notes

    def entries(self) -> list[EntryPlan]:
        """The distinct cache entries of all trials."""
        return list({e.key: e for t in self.trials for e in t.entries.values()}.values())

    def features(self) -> list[FeaturePlan]:
        """The distinct feature entries of all trials."""
        return list({f.key: f for t in self.trials for f in t.features.values()}.values())

    def handle(self, trial: PlannedTrial) -> Trial:
        """The trial in the store."""
        return Trial(self.locations.storage, trial.spec.fingerprint)

    def read(self, trials: Sequence[PlannedTrial], what: Callable[[Trial], T]) -> list[T]:
        """Something of each trial in the store, in order; many at a time, for object stores are slow to answer."""
        with ThreadPoolExecutor(16) as pool:
            return list(pool.map(lambda t: what(self.handle(t)), trials))

    def with_points(self, further: Mapping[str, Sequence[Point]]) -> "Plan":
        """The same with the trials of further points of the search, behind those that were there.

        Args:
            further: Points that were not asked for before, by the label of the grid's cell.

        Raises:
            InputError: A point cannot be trained.
        """
        points = {label: (*known, *further.get(label, ())) for label, known in self.points.items()}
        known = {t.cell.label for t in self.trials}
        cells = [c.sized() for c in search_cells(self.grid, points) if c.label not in known]
        raise_if_any(problem for cell in cells for problem in cell_problems(cell))
        return replace(self, points=points, trials=(*self.trials, *self.make_trials(cells)))
