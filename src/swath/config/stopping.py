"""Asynchronous successive halving as plain code: rungs, strata and the decision. No Ray.

The stopping variant of ASHA (Li et al. 2020, arXiv 1810.05934; as in Ray and Syne Tune): a trial that reaches a rung
goes on when it is among the best 1/reduction of the trials recorded there so far, itself included. The first arrival
therefore always goes on. Trials are compared within a stratum only: one task, one backbone, one fold.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import fmean
from typing import ClassVar, Literal

from swath.core.description import Description
from swath.core.registry import unknown

EXEMPT = ("none", "baseline", "first_seed")
Stratum = tuple[str, str, int]


@dataclass(frozen=True)
class Asha(Description):
    """The stopping rule of a sweep.

    Attributes:
        grace_epochs: The first rung: no trial stops before it.
        reduction: At every rung about 1/reduction of the trials go on; rungs lie at grace * reduction^k epochs.
        exempt: Trials that fill rungs and never stop. `baseline`: those of the cell made of each grid's first value;
            `first_seed`: the first seed of every cell, so that final effects rest on trials that nobody chose, and the
            further seeds compete; `none`: none of them.
    """

    name: ClassVar[str] = "asha"
    grace_epochs: int = 3
    reduction: int = 3
    exempt: Literal["none", "baseline", "first_seed"] = "none"

    @property
    def rule(self) -> str:
        """What decides when a trial stops: stored with a stopped trial, which counts under an equal rule only."""
        return self.canonical()

    @property
    def later_seeds(self) -> tuple[int, ...]:
        """Seeds beside the sweep's own."""
        return ()

    def rungs(self, epochs: int, passes: int = 1) -> dict[int, int]:
        """Rungs by the epoch at which a trial of `epochs` epochs reaches them. The last epoch is none: nothing to save.

        Rungs count passes over the training images, so that trials which see each image twice an epoch (`Both()`) are
        compared after as many steps; an odd rung is met half an epoch late.

        >>> Asha(3, 3).rungs(20), Asha(3, 3).rungs(20, passes=2)
        ({3: 3, 9: 9}, {2: 3, 5: 9, 14: 27})
        """
        rungs, rung = {}, self.grace_epochs
        while (epoch := math.ceil(rung / passes)) < epochs:
            rungs[epoch] = rung
            rung *= self.reduction
        return rungs

    def role(self, seed: int, first: int, baseline: bool) -> tuple[int, bool]:
        """Phase of a trial, 1 or 2, and whether it is exempt from stopping.

        Args:
            seed: Its seed.
            first: The sweep's first seed.
            baseline: True for the baseline cell.
        """
        if self.exempt == "first_seed":
            return 1, seed == first
        return (1, self.exempt == "baseline" and baseline) if seed == first else (2, True)

    def problems(self) -> list[str]:
        # Whole numbers only: no epoch would ever meet a rung at 2.5.
        problems = [
            f"{self.name}({field}={value!r}): allowed is a whole number of {low} or more."
            for field, value, low in (("grace_epochs", self.grace_epochs, 1), ("reduction", self.reduction, 2))
            if not isinstance(value, int) or value < low
        ]
        if self.exempt not in EXEMPT:
            problems.append(unknown(f"exempt of {self.name}", self.exempt, EXEMPT))
        return problems


@dataclass(frozen=True)
class TwoPhase(Asha):
    """ASHA over the grid, then the best cells of each stratum, and the baseline, with fresh seeds that never stop.

    What was chosen by its score is not estimated by that score: the first phase's trials stay out of final estimates.

    Attributes:
        top: Cells of each stratum (task and backbone, over all folds) that enter the second phase.
        seeds: Seeds of the second phase; none of the sweep's own.
    """

    name: ClassVar[str] = "two_phase"
    top: int = 6
    seeds: tuple[int, ...] = (101, 102, 103)

    @property
    def rule(self) -> str:
        return Asha(self.grace_epochs, self.reduction, self.exempt).canonical()

    @property
    def later_seeds(self) -> tuple[int, ...]:
        return self.seeds

    def role(self, seed: int, first: int, baseline: bool) -> tuple[int, bool]:
        if seed in self.seeds:
            return 2, True
        return super().role(first, first, baseline)  # all of the sweep's own seeds compete

    def problems(self) -> list[str]:
        problems = super().problems()
        if not isinstance(self.top, int) or self.top < 1:
            problems.append(f"two_phase(top={self.top!r}): allowed is a whole number of 1 or more.")
        if self.exempt == "first_seed":
            problems.append(
                "two_phase(exempt='first_seed') would stop nothing in its first phase: use asha, or 'baseline'."
            )
        return problems


@dataclass
class Rungs:
    """Scores recorded at each rung of each stratum.

    Attributes:
        rule: The stopping rule.
    """

    rule: Asha
    _scores: dict[tuple[Stratum, int], dict[str, float]] = field(default_factory=lambda: defaultdict(dict))

    def record(self, stratum: Stratum, trial: str, rung: int, score: float) -> None:
        """Enter a score at a rung; recording a trial twice changes nothing but its score."""
        self._scores[stratum, rung][trial] = score

    def goes_on(self, stratum: Stratum, trial: str, rung: int) -> bool:
        """True when the recorded trial is among the best ceil(n / reduction) of the n at its rung. NaN stops."""
        scores = self._scores[stratum, rung]
        score = scores[trial]
        if math.isnan(score):
            return False
        better = sum(s > score for s in scores.values())
        return better < math.ceil(len(scores) / self.rule.reduction)

    def at(self, stratum: Stratum, rung: int) -> dict[str, float]:
        """Scores at one rung by trial."""
        return dict(self._scores.get((stratum, rung), {}))


@dataclass(frozen=True)
class Reached:
    """How far a trial of a first phase got.

    Attributes:
        stratum: Of the trial.
        cell: Label of its cell.
        share: Of its epochs, 0 to 1; below 0 for one that failed.
        score: At its last epoch; higher is better.
    """

    stratum: Stratum
    cell: str
    share: float
    score: float


def best_cells(trials: Iterable[Reached], top: int) -> set[str]:
    """Labels of the best cells of each task and backbone, over all folds and seeds of a first phase.

    Cells that got further come first, then those that scored higher where they got; failed ones are out.
    """
    cells: dict[tuple[str, str], dict[str, list[tuple[float, float]]]] = {}
    for trial in trials:
        failed = trial.share < 0 or math.isnan(trial.score)
        reached = (-1.0, 0.0) if failed else (trial.share, trial.score)
        cells.setdefault(trial.stratum[:2], {}).setdefault(trial.cell, []).append(reached)
    chosen: set[str] = set()
    for of_stratum in cells.values():
        means = {label: tuple(map(fmean, zip(*reached, strict=True))) for label, reached in of_stratum.items()}
        sound = [label for label, reached in of_stratum.items() if min(reached)[0] >= 0]
        chosen |= set(sorted(sound, key=lambda label: means[label], reverse=True)[:top])
    return chosen
