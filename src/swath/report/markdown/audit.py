"""What the data audit found, quoted on the leaderboard, and scores with and without the images it doubts."""

from swath.analysis.analyse import Analysis
from swath.analysis.flagged_images import without_flagged
from swath.core.metrics import METRIC_TITLES
from swath.core.text import count, shortened
from swath.report.format import escape, points_text, score_text, table
from swath.tasks.audit.findings import Audit

_CELLS = 5


def audit_section(analysis: Analysis, mark: str) -> list[str]:
    """The audit of the task's data, under a heading; [] when the store has none.

    Args:
        analysis: The task's numbers.
        mark: Of the heading.
    """
    audit = analysis.task.audit
    if audit is None:
        return []
    parts = [f"{mark} Data audit", *_quoted(audit)]
    return [*parts, *_without_flagged(audit, analysis)] if analysis.cells else parts


def _quoted(audit: Audit) -> list[str]:
    parts = []
    if audit.findings:
        rows = [[f.severity, f.kind.replace("_", " "), f"{f.count:,} {f.unit}", escape(f.text)] for f in audit.findings]
        parts.append(table(["severity", "kind", "count", "finding"], rows, "llrl"))
    else:
        parts.append("`swath audit` found nothing.")
    if audit.facts.adversarial:
        auc, low, high = audit.facts.adversarial
        parts.append(
            f"Can a model tell test from training images? AUC {auc:.3f} ({low:.3f} to {high:.3f}); 0.5 is chance."
        )
    return parts


def _without_flagged(audit: Audit, analysis: Analysis) -> list[str]:
    """The best cells scored on all validation images and on those that no finding makes doubtful."""
    sound = without_flagged(analysis.task, analysis.cells[:_CELLS], audit.flagged)
    if not sound.flagged:
        return []
    if not sound.scores:
        return ["The audit doubts every validation image, so nothing is left to score without them."]
    lines = [
        [escape(s.cell.cell), score_text(s.cell.score), score_text(s.score), points_text(100 * s.difference)]
        for s in sound.scores
    ]
    kinds = [f.kind.replace("_", " ") for f in audit.findings if f.flagged]
    note = (
        f"{count(sound.flagged, 'validation image')} of {sound.images:,} are in doubt ({shortened(kinds, 6)}). The "
        "cells were trained with such images among the training ones in both columns; only the scoring differs. "
        f"{'The order of these cells is the same.' if sound.same_order else 'The order of these cells changes.'}"
    )
    title = METRIC_TITLES[analysis.task.record.metric]
    return [table(["cell", f"{title}, all images", "without doubtful ones", "points"], lines, "lrrr"), note]
