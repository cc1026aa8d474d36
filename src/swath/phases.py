"""What earlier trials decide for later ones: the stopping rule, and which cells a second phase trains."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from swath.planned import PlannedTrial
from swath.predictions import Outcome
from swath.stopping import Asha


def rule_of(stop: Asha | None) -> str:
    """The stopping rule as stored with a stopped trial; "" for none."""
    return stop.rule if stop else ""


def second_phase(first: Sequence[PlannedTrial], outcomes: Mapping[str, Outcome], top: int) -> set[str]:
    """Labels of the best cells of each stratum, over all folds and seeds of the first phase, and of the baseline.

    Cells that got further come first, then those that scored higher where they got; failed ones are out.
    """
    cells: dict[tuple[str, str], dict[str, list[tuple[float, float]]]] = {}
    for trial in first:
        outcome = outcomes[trial.spec.fingerprint]
        failed = outcome.state == "FAILED" or outcome.score is None or math.isnan(outcome.score)
        reached = (-1.0, 0.0) if failed else (outcome.epochs / trial.spec.recipe.epochs, outcome.score or 0.0)
        cells.setdefault(trial.stratum[:2], {}).setdefault(trial.cell.label, []).append(reached)
    chosen = {t.cell.label for t in first if t.cell.baseline}
    for stratum in cells.values():
        means = {label: tuple(map(fmean, zip(*reached, strict=True))) for label, reached in stratum.items()}
        sound = [label for label, reached in stratum.items() if min(reached)[0] >= 0]
        chosen |= set(sorted(sound, key=lambda label: means[label], reverse=True)[:top])
    return chosen
