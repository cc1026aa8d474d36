"""Asynchronous successive halving as plain code: rungs, strata and the decision. No Ray.

The stopping variant of ASHA (Li et al. 2020, arXiv 1810.05934; as in Ray and Syne Tune): a trial that reaches a rung
goes on when it is among the best 1/reduction of the trials recorded there so far, itself included. The first arrival
therefore always goes on. Trials are compared within a stratum only: one task, one backbone, one fold.
"""

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from swath.description import Description
from swath.registry import unknown

EXEMPT = ("none", "baseline")
Stratum = tuple[str, str, int]


@dataclass(frozen=True)
class Asha(Description):
    """The stopping rule of a sweep.

    Attributes:
        grace_epochs: The first rung: no trial stops before it.
        reduction: At every rung about 1/reduction of the trials go on; rungs lie at grace * reduction^k epochs.
        exempt: `baseline` never stops the cell made of each grid's first value; `none` exempts nothing.
    """

    name: ClassVar[str] = "asha"
    grace_epochs: int = 3
    reduction: int = 3
    exempt: Literal["none", "baseline"] = "none"

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """Rung epochs of a trial of `epochs` epochs; the last epoch is no rung, nothing is left to save there.

        >>> Asha(3, 3).rungs(20)
        (3, 9)
        """
        found, rung = [], self.grace_epochs
        while rung < epochs:
            found.append(rung)
            rung *= self.reduction
        return tuple(found)

    def problems(self) -> list[str]:
        # Whole numbers only: no epoch would ever meet a rung at 2.5.
        found = [
            f"asha({field}={value!r}): allowed is a whole number of {low} or more."
            for field, value, low in (("grace_epochs", self.grace_epochs, 1), ("reduction", self.reduction, 2))
            if not isinstance(value, int) or value < low
        ]
        if self.exempt not in EXEMPT:
            found.append(unknown("exempt of asha", self.exempt, EXEMPT))
        return found


@dataclass
class Rungs:
    """Scores recorded at each rung of each stratum.

    Attributes:
        rule: The stopping rule.
    """

    rule: Asha
    _scores: dict[tuple[Stratum, int], dict[str, float]] = field(default_factory=lambda: defaultdict(dict))

    def record(self, stratum: Stratum, trial: str, epoch: int, score: float) -> None:
        """Enter a score at a rung epoch; recording a trial twice changes nothing but its score."""
        self._scores[stratum, epoch][trial] = score

    def goes_on(self, stratum: Stratum, trial: str, epoch: int) -> bool:
        """True when the recorded trial is among the best ceil(n / reduction) of the n at its rung. NaN stops."""
        scores = self._scores[stratum, epoch]
        own = scores[trial]
        if math.isnan(own):
            return False
        better = sum(s > own for s in scores.values())
        return better < math.ceil(len(scores) / self.rule.reduction)

    def at(self, stratum: Stratum, epoch: int) -> dict[str, float]:
        """Scores at one rung by trial."""
        return dict(self._scores.get((stratum, epoch), {}))
