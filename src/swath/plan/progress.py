"""How far a plan is: which trials the store has, which it lacks, what a search and a second phase still add."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from swath.config.search import Evaluated, Point
from swath.config.stopping import TwoPhase
from swath.core.errors import raise_if_any
from swath.plan.cache_needs import CacheNeeds, cache_needs
from swath.plan.cells import space_of
from swath.plan.disk_space import bytes_to_build, disk_problems
from swath.plan.plan import Plan
from swath.plan.trials import PlannedTrial, rule_of, second_phase
from swath.store.states import State
from swath.store.trials import Outcome, Trial


def read_progress(plan: Plan) -> "Progress":
    """What the store has of a plan; an interrupted search goes on where it was.

    Raises:
        InputError: A point of the search cannot be trained, or a disk cannot hold what is still to be built.
    """
    progress = Progress(plan)
    progress.refresh()
    while plan.sweep.search and progress.first_phase_over() and progress.grow():
        pass
    raise_if_any(disk_problems(plan.locations, bytes_to_build(progress.cache_needs())))
    return progress


class Progress:
    """A plan with the final states that the store has of it. It changes as trials end and a search asks for points.

    Args:
        plan: The plan.

    Attributes:
        plan: The plan with all trials so far: a search adds some.
        outcomes: Final states found in the store, by fingerprint.
        searched: True once the search has no further points.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.outcomes: dict[str, Outcome] = {}
        self.searched = False

    def refresh(self, trials: Sequence[PlannedTrial] | None = None) -> None:
        """Read the final states of trials, by default of all, from the store."""
        asked = self.plan.trials if trials is None else trials
        for trial, outcome in zip(asked, self.plan.read(asked, Trial.outcome), strict=True):
            self.outcomes.pop(trial.spec.fingerprint, None)
            if outcome is not None:
                self.outcomes[trial.spec.fingerprint] = outcome

    def lacking(self, retry_failed: bool = False) -> list[PlannedTrial]:
        """Trials the store does not have: not final, or stopped under another rule, or failed and to be retried.

        Trials of a second phase count once it is known which they are: see `listed`. A cell's further seeds count while
        its first seed may still survive, or has survived.
        """
        return [t for t in self.listed() if not self._has(t, retry_failed) and self._is_wanted(t)]

    def listed(self) -> list[PlannedTrial]:
        """The trials that belong to the sweep. Of a two-phase sweep's second phase: the chosen cells', once chosen."""
        trials, stop = self.plan.trials, self.plan.sweep.stop
        if not isinstance(stop, TwoPhase):
            return list(trials)
        over = self.first_phase_over() and (self.searched or not self.plan.sweep.search)
        first = [t for t in trials if t.phase == 1]
        chosen = second_phase(first, self.outcomes, stop.top) if over else set()
        return [t for t in trials if t.phase == 1 or t.cell.label in chosen]

    def first_phase_over(self) -> bool:
        """True when every trial of phase 1 that is known so far has ended."""
        return all(self._has(t, retry_failed=False) for t in self.plan.trials if t.phase == 1)

    def at_most_later(self) -> int:
        """How many trials will be added at most, by the search and by the second phase of a two-phase sweep."""
        sweep = self.plan.sweep
        cells = {t.cell.label: t.stratum[:2] for t in self.listed()}
        search = None if self.searched else sweep.search
        asked = sum(search.n - len(points) for points in self.plan.points.values()) if search else 0
        later = asked * len(sweep.seeds)
        stop = sweep.stop
        if isinstance(stop, TwoPhase) and not any(t.phase == 2 for t in self.listed()):
            most = sum(min(stop.top, n + asked) for n in Counter(cells.values()).values())
            later += min(len(cells) + asked, most + 1) * len(stop.seeds)
        return later * sweep.split.folds

    def cache_needs(self, retry_failed: bool = False) -> CacheNeeds:
        """What lacking trials need of the cache, as it is now."""
        return cache_needs(self.plan.locations.cache, self.lacking(retry_failed))

    def grow(self) -> bool:
        """Ask the search for its next points, in every cell of the grid whose points have all been evaluated.

        Returns:
            True when there are new trials to run.

        Raises:
            InputError: A new point cannot be trained.
        """
        search, before = self.plan.sweep.search, self.plan
        if search is None or self.searched:
            return False
        further: dict[str, list[Point]] = {}
        for cell in before.grid:
            of_cell = [t for t in before.trials if t.cell.origin == cell.label and t.phase == 1]
            if all(self._has(t, retry_failed=False) for t in of_cell):
                evaluated = [self._evaluated(of_cell, point) for point in before.points[cell.label]]
                further[cell.label] = search.ask(space_of(cell), evaluated)[: search.n - len(evaluated)]
        self.plan = before.with_points(further)
        added = self.plan.trials[len(before.trials) :]
        self.refresh(added)
        self.searched = not added
        return bool(added)

    def _evaluated(self, trials: Sequence[PlannedTrial], point: Point) -> Evaluated:
        """What became of a point, over its folds and seeds: the worst state, the mean score."""
        outcomes = [self.outcomes[t.spec.fingerprint] for t in trials if t.cell.point == point]
        states = {o.state for o in outcomes}
        state = next(s for s in (State.FAILED, State.STOPPED, State.COMPLETE) if s in states)
        score = fmean(math.nan if o.score is None else o.score for o in outcomes)
        return Evaluated(point, state, score, min(o.epochs for o in outcomes))

    def _is_wanted(self, trial: PlannedTrial) -> bool:
        sweep = self.plan.sweep
        if trial.phase == 1 or trial.cell.baseline or isinstance(sweep.stop, TwoPhase):
            return True
        for fold in range(sweep.split.folds):
            first = replace(trial, spec=replace(trial.spec, seed=sweep.seeds[0], fold=fold), phase=1, exempt=False)
            outcome = self.outcomes.get(first.spec.fingerprint)
            if outcome and outcome.state != State.COMPLETE and self._has(first, retry_failed=False):
                return False
        return True

    def _has(self, trial: PlannedTrial, retry_failed: bool) -> bool:
        outcome = self.outcomes.get(trial.spec.fingerprint)
        if outcome is None:
            return False
        if outcome.state == State.STOPPED:
            return outcome.rule == rule_of(self.plan.sweep.stop) and not trial.exempt
        return outcome.state == State.COMPLETE or not retry_failed
