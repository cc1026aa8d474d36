"""Which classes a cell takes for which."""

import numpy as np

from swath import metrics
from swath.report.cells import CellResult, Floats
from swath.report.results import TaskResults


def confusion_shares(task: TaskResults, cell: CellResult) -> Floats | None:
    """Of each class's validation images the share predicted as each class, probabilities averaged over the seeds.

    Args:
        task: The task.
        cell: A finished cell.

    Returns:
        [C, C], rows are the truth; None for a task of several labels per image.
    """
    if task.record.kind != "multiclass":
        return None
    p = np.mean([run.probabilities for run in cell.runs], axis=0)
    rows = np.concatenate([task.validation[f] for f in sorted(task.validation)])
    hard = metrics.decisions(p, "multiclass")
    counts = task.record.targets[rows].T.astype(np.int64) @ hard.astype(np.int64)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
