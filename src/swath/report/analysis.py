"""All that is computed from one task's results, once, for the leaderboard, the pictures and the tables alike."""

from collections.abc import Sequence
from dataclasses import dataclass

from swath.report.cells import CellResult, cell_results
from swath.report.ensemble import Ensemble, ensembles
from swath.report.factors import FactorResult, factor_results
from swath.report.results import TaskResults


@dataclass(frozen=True)
class Analysis:
    """A task's numbers.

    Attributes:
        task: The results they come from.
        cells: Finished cells, best first.
        factors: Matched comparisons of each factor's levels.
        ensembles: Averages with their cross-fitted scores; [] before any trial has finished.
    """

    task: TaskResults
    cells: Sequence[CellResult]
    factors: Sequence[FactorResult]
    ensembles: Sequence[Ensemble]

    @property
    def baseline(self) -> CellResult | None:
        """The baseline cell, or None while it has not finished."""
        return next((c for c in self.cells if c.baseline), None)


def analyse(task: TaskResults) -> Analysis:
    """Compute a task's numbers."""
    return Analysis(task, cell_results(task), factor_results(task), ensembles(task))
