"""What starting a sweep would do: tasks read, files looked at, cells expanded, the store asked. No Ray, no torch.

Every problem is found here, before anything is started, and raised at once.
"""

import math
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import TypeVar

from swath.config.search import Evaluated, Point, Search
from swath.config.stopping import TwoPhase
from swath.config.sweep import Sweep
from swath.core.errors import raise_if_any
from swath.plan.cells import Cell, expand, grid_cells, space_of
from swath.plan.disk_space import steps_bytes
from swath.plan.problems import cell_problems
from swath.plan.trials import PlannedTrial, rule_of, second_phase
from swath.preprocess.cache import entry as caches
from swath.preprocess.cache.entry import EntryPlan
from swath.preprocess.cache.features import FeaturePlan
from swath.preprocess.cache.manifest import is_built
from swath.store.states import State
from swath.store.storage import Locations
from swath.store.trials import Outcome, Trial
from swath.tasks.prepare import TaskPlan

T = TypeVar("T")


@dataclass
class Plan:
    """All of a sweep's trials and what the store has of them.

    Attributes:
        sweep: The sweep.
        locations: Where it reads and writes.
        tasks: Its tasks.
        trials: Its trials, the baseline's first.
        outcomes: Final states found in the store, by fingerprint.
        points: What the search has asked for in each cell of the grid, by its label.
        notes: What the user should know, and that stops nothing.
        commit: The git commit of swath's code, or "".
        trials_of: Makes the trials of further cells.
        searched: True once the search has no further points.
        refit: True where nobody validates: the trials are listed apart, where rankings do not see them.
        command: The shell command that started it, or "".
    """

    sweep: Sweep
    locations: Locations
    tasks: list[TaskPlan]
    trials: list[PlannedTrial]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    points: dict[str, list[Point]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    commit: str = field(default_factory=lambda: code_commit())
    trials_of: Callable[[Sequence[Cell]], list[PlannedTrial]] = field(default=lambda cells: [], repr=False)  # noqa: ARG005
    searched: bool = False
    refit: bool = False
    command: str = ""

    def entries(self) -> list[EntryPlan]:
        """The distinct cache entries of all trials."""
        return list({e.key: e for t in self.trials for e in t.entries.values()}.values())

    def entries_needed(self, retry_failed: bool = False) -> list[EntryPlan]:
        """The entries that lacking trials need; trials on features that are there need no images."""
        uncomputed = {f.key for f in self.features_to_build(retry_failed)}
        wanted = {
            entry.key: entry
            for t in self.lacking(retry_failed)
            for part, entry in t.entries.items()
            if not t.features or t.features[part].key in uncomputed
        }
        return list(wanted.values())

    def entries_to_build(self, retry_failed: bool = False) -> list[EntryPlan]:
        """Those that are not finished."""
        return [e for e in self.entries_needed(retry_failed) if not is_built(self.locations.cache, e.key)]

    def features(self) -> list[FeaturePlan]:
        """The distinct feature entries of all trials."""
        return list({f.key: f for t in self.trials for f in t.features.values()}.values())

    def features_to_build(self, retry_failed: bool = False) -> list[FeaturePlan]:
        """The feature entries that lacking trials need and that are not finished."""
        wanted = {f.key: f for t in self.lacking(retry_failed) for f in t.features.values()}
        return [f for f in wanted.values() if not is_built(self.locations.cache, f.key)]

    def bytes_to_build(self) -> int:
        """Size of the shards that are still to be built, and about that of the results of expensive ops."""
        cache = self.locations.cache
        entries = self.entries_to_build()
        shards = sum(e.image_bytes * e.images_in(caches.missing_shards(cache, e)) for e in entries)
        return shards + steps_bytes(cache, entries) + sum(f.bytes for f in self.features_to_build())

    def handle(self, trial: PlannedTrial) -> Trial:
        """The trial in the store."""
        return Trial(self.locations.storage, trial.spec.fingerprint)

    def read(self, trials: Sequence[PlannedTrial], what: Callable[[Trial], T]) -> list[T]:
        """Something of each trial in the store, in order; many at a time, for object stores are slow to answer."""
        with ThreadPoolExecutor(16) as pool:
            return list(pool.map(lambda t: what(self.handle(t)), trials))

    def lacking(self, retry_failed: bool = False) -> list[PlannedTrial]:
        """Trials the store does not have: not final, or stopped under another rule, or failed and to be retried.

        Trials of a second phase count once it is known which they are: see `listed`. A cell's further seeds count while
        its first seed may still survive, or has survived.
        """
        return [t for t in self.listed() if not self._has(t, retry_failed) and self._is_wanted(t)]

    def listed(self) -> list[PlannedTrial]:
        """The trials that belong to the sweep. Of a two-phase sweep's second phase: the chosen cells', once chosen."""
        stop = self.sweep.stop
        if not isinstance(stop, TwoPhase):
            return self.trials
        over = self.first_phase_over() and (self.searched or not self.sweep.search)
        first = [t for t in self.trials if t.phase == 1]
        chosen = second_phase(first, self.outcomes, stop.top) if over else set()
        return [t for t in self.trials if t.phase == 1 or t.cell.label in chosen]

    def first_phase_over(self) -> bool:
        """True when every trial of phase 1 that is known so far has ended."""
        return all(self._has(t, retry_failed=False) for t in self.trials if t.phase == 1)

    def at_most_later(self) -> int:
        """How many trials will be added at most, by the search and by the second phase of a two-phase sweep."""
        cells = {t.cell.label: t.stratum[:2] for t in self.listed()}
        search = None if self.searched else self.sweep.search
        asked = sum(search.n - len(points) for points in self.points.values()) if search else 0
        found = asked * len(self.sweep.seeds)
        stop = self.sweep.stop
        if isinstance(stop, TwoPhase) and not any(t.phase == 2 for t in self.listed()):
            most = sum(min(stop.top, n + asked) for n in Counter(cells.values()).values())
            found += min(len(cells) + asked, most + 1) * len(stop.seeds)
        return found * self.sweep.split.folds

    def grow(self) -> bool:
        """Ask the search for its next points, in every cell of the grid whose points have all been evaluated.

        Returns:
            True when there are new trials to run.

        Raises:
            InputError: A new point cannot be trained.
        """
        search, known = self.sweep.search, {t.cell.label for t in self.trials}
        if search is None or self.searched:
            return False
        for cell in grid_cells(self.sweep):
            own = [t for t in self.trials if t.cell.origin == cell.label and t.phase == 1]
            if all(self._has(t, retry_failed=False) for t in own):
                evaluated = [self._evaluated(own, point) for point in self.points[cell.label]]
                self.points[cell.label] += search.ask(space_of(cell), evaluated)[: search.n - len(evaluated)]
        new = [c.sized() for c in expand(self.sweep, self.points) if c.label not in known]
        raise_if_any(problem for cell in new for problem in cell_problems(cell))
        added = self.trials_of(new)
        self.refresh(added)
        self.trials += added
        self.searched = not added
        return bool(added)

    def _evaluated(self, own: Sequence[PlannedTrial], point: Point) -> Evaluated:
        """What became of a point, over its folds and seeds: the worst state, the mean score."""
        outcomes = [self.outcomes[t.spec.fingerprint] for t in own if t.cell.point == point]
        states = {o.state for o in outcomes}
        state = next(s for s in (State.FAILED, State.STOPPED, State.COMPLETE) if s in states)
        score = fmean(math.nan if o.score is None else o.score for o in outcomes)
        return Evaluated(point, state, score, min(o.epochs for o in outcomes))

    def _is_wanted(self, trial: PlannedTrial) -> bool:
        if trial.phase == 1 or trial.cell.baseline or isinstance(self.sweep.stop, TwoPhase):
            return True
        for fold in range(self.sweep.split.folds):
            first = replace(trial, spec=replace(trial.spec, seed=self.sweep.seeds[0], fold=fold), phase=1, exempt=False)
            outcome = self.outcomes.get(first.spec.fingerprint)
            if outcome and outcome.state != State.COMPLETE and self._has(first, retry_failed=False):
                return False
        return True

    def _has(self, trial: PlannedTrial, retry_failed: bool) -> bool:
        outcome = self.outcomes.get(trial.spec.fingerprint)
        if outcome is None:
            return False
        if outcome.state == State.STOPPED:
            return outcome.rule == rule_of(self.sweep.stop) and not trial.exempt
        return outcome.state == State.COMPLETE or not retry_failed

    def refresh(self, trials: Sequence[PlannedTrial] | None = None) -> None:
        """Read the final states of trials, by default of all, from the store."""
        asked = self.trials if trials is None else trials
        for trial, outcome in zip(asked, self.read(asked, Trial.outcome), strict=True):
            self.outcomes.pop(trial.spec.fingerprint, None)
            if outcome is not None:
                self.outcomes[trial.spec.fingerprint] = outcome


def search_key(search: Search) -> tuple[str | int, ...]:
    """What two searches have in common when the points of one are points of the other; their number may differ."""
    return (search.name, search.seed)


def space_text(cell: Cell) -> dict[str, str]:
    """The ranges of a grid's cell as text."""
    return {name: str(one) for name, one in space_of(cell).items()}


def code_commit() -> str:
    """The git commit of swath's code where it is a checkout, "" elsewhere."""
    folder = Path(__file__).parent
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()
