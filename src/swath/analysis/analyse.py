"""All that is computed from one task's results, once, for the leaderboard, the pictures and the tables alike."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from swath.analysis.best_cells import BestCells, best_cells
from swath.analysis.cells import CellResult, cell_results
from swath.analysis.effects.comparable import final_members
from swath.analysis.effects.paired_effects import comparisons, evidence
from swath.analysis.effects.summary import TaskEffects, from_evidence
from swath.analysis.ensembles.calibration import Calibration, calibration
from swath.analysis.ensembles.cross_fit import Ensemble, cross_fit_parts, ensembles
from swath.analysis.ensembles.diversity import Diversity, diversity
from swath.analysis.ensembles.pool import Pool
from swath.analysis.ensembles.thresholds import Thresholds, thresholds
from swath.analysis.results import TaskResults
from swath.analysis.searches.summary import SearchResult, search_results


@dataclass(frozen=True)
class Analysis:
    """A task's numbers.

    Attributes:
        task: The results they come from.
        cells: Finished cells, best first.
        effects: What matched trials say of each factor.
        ensembles: With their cross-fitted scores; [] before any trial has finished.
        best: Which cells may be the best, and what the highest is worth; None where too little is known.
        diversity: What averaging runs that differ in one factor is worth.
        thresholds: Per label, for the best ensemble of a multilabel task; None where they cannot be cross-fitted.
        calibration: Of the best ensemble; None where it cannot be cross-fitted.
        searches: What the points of its searches say.
        max_ms: The most milliseconds that all members of an ensemble may take for an image.
    """

    task: TaskResults
    cells: Sequence[CellResult]
    effects: TaskEffects
    ensembles: Sequence[Ensemble]
    best: BestCells | None = None
    diversity: Sequence[Diversity] = ()
    thresholds: Thresholds | None = None
    calibration: Calibration | None = None
    searches: Sequence[SearchResult] = ()
    max_ms: float = math.inf

    @property
    def baseline(self) -> CellResult | None:
        """The baseline cell, or None while it has not finished."""
        return next((c for c in self.cells if c.baseline), None)


def analyse(task: TaskResults, max_ms: float = math.inf) -> Analysis:
    """Compute a task's numbers; ensembles keep to a bound on the milliseconds they take for an image."""
    members = final_members(task)
    asked = comparisons(task, members.members)
    gathered = evidence(task, members.members, asked)
    cells = cell_results(task, evidence=gathered)
    effects = from_evidence(task, members, asked, gathered)
    pool = Pool.of(task, max_ms)
    all_ensembles = ensembles(pool)
    best_thresholds, best_calibration = _of_best(pool, all_ensembles)
    return Analysis(
        task=task,
        cells=cells,
        effects=effects,
        ensembles=all_ensembles,
        best=best_cells(task, cells, gathered),
        diversity=diversity(pool) if len(pool.runs) > 1 else (),
        thresholds=best_thresholds,
        calibration=best_calibration,
        searches=search_results(task, cells, gathered),
        max_ms=max_ms,
    )


def _of_best(pool: Pool, all_ensembles: Sequence[Ensemble]) -> tuple[Thresholds | None, Calibration | None]:
    """Thresholds and calibration of the best ensemble, cross-fitted."""
    parts = cross_fit_parts(pool) if all_ensembles else None
    if parts is None:
        return None, None
    best, record = all_ensembles[-1], pool.task.record
    p, fitted = pool.mixed(best.final), [pool.mixed(mix) for mix in best.chosen]
    chosen = thresholds(pool.targets, p, fitted, parts, record.labels) if record.kind == "multilabel" else None
    return chosen, calibration(record.kind, pool.targets, p, fitted, parts)


def other_metrics(analysis: Analysis) -> list[str]:
    """Names of the scores that a task's cells have beside its own metric."""
    return [n for n in analysis.cells[0].scores if n != analysis.task.record.metric] if analysis.cells else []
