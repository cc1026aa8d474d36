"""The sections of a leaderboard about ensembles, thresholds and calibration."""

import math

import numpy as np

from swath.analysis.analyse import Analysis
from swath.analysis.ensembles.cross_fit import Ensemble
from swath.analysis.ensembles.diversity import parts
from swath.analysis.ensembles.rules import BEST, RANKS, SINGLE, choice
from swath.analysis.ensembles.thresholds import FEW_POSITIVES, F1Scores
from swath.core.text import count, shortened
from swath.report.format import code, escape, points_text, score_text, table

_MEMBERS_SHOWN = 15
_LABELS_SHOWN = 12


def ensembles_section(analysis: Analysis) -> list[str]:
    """Every ensemble with its cross-fitted score, the members of the best, and what their differences are worth."""
    by_name = {e.name: e for e in analysis.ensembles}
    best = by_name[BEST]
    headers = ["ensemble", "members", "cross-fitted score", "95 % interval", "points to single", "95 % interval"]
    sections = [table(headers, [_row(e) for e in analysis.ensembles], "l"), _note(best), *_cost(analysis, best)]
    if best.size > 1 or best.average == "probabilities":
        sections += _members(analysis, best)
    if analysis.diversity:
        rows = [
            [escape(d.factor), str(d.pairs), points_text(d.gain), f"{d.correlation:.2f}"] for d in analysis.diversity
        ]
        sections += [
            "What averaging two runs is worth when they differ in one thing only: gain over the mean of their two "
            "scores, and the correlation of their errors.",
            table(["differ in", "pairs", "points gained", "error correlation"], rows, "l"),
        ]
    return sections


def _row(e: Ensemble) -> list[str]:
    gain, low, high = (100 * x for x in e.gain)
    itself = e.name == SINGLE
    return [
        escape(e.name),
        str(e.size),
        score_text(e.score),
        f"{e.low:.4f} to {e.high:.4f}" if math.isfinite(e.low) else "",
        "" if itself else points_text(gain),
        "" if itself or not math.isfinite(low) else f"{points_text(low)} to {points_text(high)}",
    ]


def _note(best: Ensemble) -> str:
    if not best.part_sizes:
        return "All validation images are of one group, so there is no score that the choice has not seen."
    return (
        f"The validation images are in {len(best.part_sizes)} parts. Each part is predicted by the ensemble, or the "
        "single run, that was chosen on the other parts; these predictions together are scored once, as ranks where "
        "choices differ, for losses differ in scale. Ensembles that come to the same have one score. Intervals cover "
        "the choice of images, not the luck in which runs the rule takes in the end; the points are paired. The "
        "members column, and what `swath predict` uses, is the same "
        f"rule on all validation images, where `{BEST}` scores {score_text(best.naive)}: too good. For `{BEST}` the "
        f"number of members is chosen, too: {best.size}. `best-per-...` takes the best run of each level of a factor; "
        f"`greedy` is {choice('greedy')}; `weighted` has {choice('weighted')}; `{RANKS}` averages ranks of the "
        f"members of `{BEST}`. Take `{BEST}`: its score counts the choice of its members. To take whichever row is "
        "highest would be one more choice, for which no score here allows."
    )


def _cost(analysis: Analysis, best: Ensemble) -> list[str]:
    """What predicting with the best ensemble takes, and the bound on it."""
    if math.isnan(best.ms_per_image):
        return []
    bound = f"; chosen were only ensembles of {analysis.max_ms:g} ms or less" if analysis.max_ms < math.inf else ""
    return [
        f"All members of `{best.name}` together take {best.ms_per_image:.3g} ms for an image, fold models and test-"
        f"time augmentation counted, as measured in training{bound}."
    ]


def _members(analysis: Analysis, best: Ensemble) -> list[str]:
    named = parts(analysis.task, best)
    if not named:
        run = best.members[0]
        return [f"`{best.name}` is one run: {code(run.cell)}, seed {run.seed}."]
    rows = [
        [escape(p.cell), str(p.seed), f"{p.weight:.2f}", score_text(p.score), points_text(p.adds)]
        for p in named[:_MEMBERS_SHOWN]
    ]
    more = len(named) - _MEMBERS_SHOWN
    text = f"Members of `{best.name}`: own score, and points that the ensemble loses without it."
    return [
        text,
        table(["cell", "seed", "weight", "score", "adds"], rows, "l") + (f"\n\nand {more} more." if more > 0 else ""),
    ]


def thresholds_section(analysis: Analysis) -> list[str]:
    """F1 at one half and at thresholds per label, and which labels move; [] for a single-label task."""
    f1 = analysis.thresholds
    if f1 is None:
        return []

    def row(name: str, f1: F1Scores) -> list[str]:
        return [name, score_text(f1.macro), score_text(f1.micro), score_text(f1.samples)]

    rows = [row("0.5 for all", f1.before), row("per label, cross-fitted", f1.after)]
    labels = analysis.task.record.labels
    moved = [i for i in np.argsort(-np.abs(np.nan_to_num(f1.moved))) if abs(f1.moved[i]) > 0][:_LABELS_SHOWN]
    text = (
        f"Hard decisions of the ensemble `{BEST}`. Thresholds of the largest F1 are chosen without the images they are "
        f"scored on; on the images that chose them macro F1 would read {score_text(f1.naive.macro)}."
    )
    if f1.pooled:
        few = shortened([escape(label) for label in f1.pooled], 20)
        text += f" Labels with fewer than {FEW_POSITIVES} positives share one threshold: {few}."
    parts = [text, table(["thresholds", "macro F1", "micro F1", "F1 per image"], rows, "l")]
    if moved:
        rows = [[escape(labels[i]), f"{f1.values[i]:.3f}", points_text(100 * float(f1.moved[i]))] for i in moved]
        parts.append(f"The {count(len(moved), 'label')} that move most:")
        parts.append(table(["label", "threshold", "F1 points"], rows, "l"))
    return parts


def calibration_section(analysis: Analysis) -> str:
    """How far the best ensemble's probabilities can be believed, in two sentences."""
    calibration = analysis.calibration
    if calibration is None:
        return ""
    sure = "too sure" if calibration.temperature > 1 else "not sure enough"
    return (
        f"Calibration of `{BEST}`: expected calibration error {calibration.error:.4f}, negative log-likelihood "
        f"{calibration.loss:.4f}. The best temperature is {calibration.temperature:.2f}: the probabilities are {sure}. "
        f"Scaled by it, cross-fitted, they have {calibration.scaled_error:.4f} and {calibration.scaled_loss:.4f}; "
        "no ranking changes."
    )
