"""What the data audit found, quoted on the leaderboard, and scores with and without the images it doubts."""

import numpy as np

from swath.analysis.analyse import Analysis
from swath.analysis.cells import CellResult, pooled_score
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
    task = analysis.task
    rows = np.concatenate([task.validation[fold] for fold in sorted(task.validation)])
    kept = ~task.record.rows["id"].iloc[rows].isin(audit.flagged).to_numpy()
    doubtful = int((~kept).sum())
    if not doubtful:
        return []
    if not kept.any():
        return ["The audit doubts every validation image, so nothing is left to score without them."]
    best = analysis.cells[:_CELLS]
    scores = [(cell, cell.score, _score(analysis, cell, kept)) for cell in best]
    lines = [
        [escape(cell.cell), score_text(all_images), score_text(sound), points_text(100 * (sound - all_images))]
        for cell, all_images, sound in scores
    ]
    kinds = [f.kind.replace("_", " ") for f in audit.findings if f.flagged]
    order = [cell.cell for cell, _, sound in sorted(scores, key=lambda s: -s[2])]
    same = order == [cell.cell for cell in best]
    note = (
        f"{count(doubtful, 'validation image')} of {len(kept):,} are in doubt ({shortened(kinds, 6)}). The cells were "
        "trained with such images among the training ones in both columns; only the scoring differs. "
        f"{'The order of these cells is the same.' if same else 'The order of these cells changes.'}"
    )
    title = METRIC_TITLES[task.record.metric]
    return [table(["cell", f"{title}, all images", "without doubtful ones", "points"], lines, "lrrr"), note]


def _score(analysis: Analysis, cell: CellResult, kept: np.ndarray) -> float:
    return float(np.mean([pooled_score(analysis.task, run.probabilities, kept) for run in cell.runs]))
