"""Labels that cannot be right, or cannot be learned: from the label table alone."""

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2_contingency

from swath.tasks.audit.audited_task import AuditedTask
from swath.tasks.audit.findings import EXAMPLES, Finding, some
from swath.tasks.audit.label_runs import filled_runs

FEW = 20
"""Positives below which a label's average precision is rough."""
DRIFT_P = 0.01
_ALWAYS = 0.98  # share of the images with either label that have both
_SERIOUS_SHARE = 0.005
_EMPTY_USUAL = 0.05


def label_findings(task: AuditedTask) -> list[Finding]:
    """All that the labels of the training images have to say."""
    findings = [_without_positives(task), _few_positives(task), _absent_from_part(task), _drift(task)]
    if not task.multiclass:
        findings += [_filled(task), _counts(task), _empty(task), _pairs(task)]
    return [finding for finding in findings if finding]


def _positives(task: AuditedTask) -> NDArray[np.int64]:
    return task.targets[task.train].sum(axis=0, dtype=np.int64)


def _without_positives(task: AuditedTask) -> Finding | None:
    positives, images = _positives(task), len(task.train)
    same = [(name, "no image") for name, n in zip(task.labels, positives, strict=True) if n == 0]
    same += [(name, "every image") for name, n in zip(task.labels, positives, strict=True) if n == images]
    if not same:
        return None
    return Finding(
        kind="labels_without_choice",
        severity="serious",
        text=f"{len(same)} of {len(task.labels)} labels are on no training image, or on every one.",
        count=len(same),
        unit="labels",
        advice="Nothing can be learned or scored: take the columns out, or look for what was lost when the csv was "
        "made (a renamed column, a filter).",
        examples=some([f"{name} ({how})" for name, how in same]),
    )


def _few_positives(task: AuditedTask) -> Finding | None:
    positives = _positives(task)
    few = [i for i in np.argsort(positives, kind="stable") if 0 < positives[i] < FEW]
    if not few:
        return None
    what = "classes have" if task.multiclass else "labels have"
    return Finding(
        kind="few_positives",
        severity="warning",
        text=f"{len(few)} of {len(task.labels)} {what} fewer than {FEW} training images.",
        count=len(few),
        unit="labels",
        advice="Their part of the score is rough and moves with the split: collect more, join them with a related "
        "label, or leave them out of what you compare.",
        examples=some([f"{task.labels[i]} ({positives[i]})" for i in few]),
    )


def _absent_from_part(task: AuditedTask) -> Finding | None:
    """Labels that some part of the split lacks though there are some."""
    positives, absent = _positives(task), []
    for fold in range(task.folds):
        validates = task.targets[task.fold == fold].sum(axis=0, dtype=np.int64)
        where = "validation" if task.folds == 1 else f"validation of fold {fold}"
        for i, label in enumerate(task.labels):
            if positives[i] and validates[i] == 0:
                absent.append(f"{label} ({where})")
            elif positives[i] and validates[i] == positives[i]:
                absent.append(f"{label} (training, {where} has all)")
    if not absent or not (task.fold >= 0).any():
        return None
    return Finding(
        kind="labels_absent_from_part",
        severity="warning",
        text=f"{len(absent)} times a label that there is has no image in a part of the split.",
        count=len(absent),
        unit="labels",
        advice="The label is left out of that score, or cannot be learned there: another seed of the split, fewer "
        "folds, or more images of it.",
        examples=some(absent),
    )


def _drift(task: AuditedTask) -> Finding | None:
    """Labels whose share differs between the parts of the split by more than chance (chi-squared, Holm)."""
    parts = [np.flatnonzero(task.fold == f) for f in range(-1, task.folds)]
    parts = [rows for rows in parts if len(rows)]
    if len(parts) < 2:
        return None
    sizes = np.array([len(rows) for rows in parts])
    having = np.stack([task.targets[rows].sum(axis=0, dtype=np.int64) for rows in parts])
    tested = np.flatnonzero((having.sum(axis=0) > 0) & (having.sum(axis=0) < sizes.sum()))
    tables = (np.stack([having[:, i], sizes - having[:, i]]) for i in tested)
    p = np.array([float(cast(Any, chi2_contingency(table)).pvalue) for table in tables])
    order = np.argsort(p, kind="stable")
    adjusted = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    drifting = tested[order][adjusted < DRIFT_P]
    if not len(drifting):
        return None
    shares = having / sizes[:, None]
    return Finding(
        kind="frequency_drift",
        severity="warning",
        text=f"{len(drifting)} of {len(task.labels)} labels are more frequent in one part of the split than in "
        "another, beyond chance.",
        count=len(drifting),
        unit="labels",
        advice="Groups that a split keeps together can force this. Thresholds and calibration found on such a "
        "validation part do not carry over: try another seed, finer groups, or k-fold.",
        examples=some(
            [f"{task.labels[i]} ({' / '.join(f'{share:.1%}' for share in shares[:, i][:6])})" for i in drifting]
        ),
    )


def _filled(task: AuditedTask) -> Finding | None:
    runs = filled_runs(task.targets[task.train])
    if not runs:
        return None
    rows = [int(task.train[run.row]) for run in runs]
    share = len(runs) / len(task.train)
    return Finding(
        kind="filled_runs",
        severity="serious" if share >= _SERIOUS_SHARE else "warning",
        text=f"{len(runs)} images ({share:.1%}) have a run of neighbouring label columns at 1 that chance does not "
        "give: blocks of the table seem to have been filled.",
        count=len(runs),
        unit="images",
        advice="Look at the pictures; where the labels are not in them, correct the rows or drop them from the csv. "
        "Validation rows among them spoil the score, too: the report says by how much.",
        examples=some(
            [
                f"{task.ids[row]} ({task.labels[run.first]} to {task.labels[run.last]}, "
                f"{run.last - run.first + 1} labels)"
                for row, run in zip(rows, runs[:EXAMPLES], strict=False)
            ]
        ),
        flagged=tuple(task.ids[row] for row in rows),
        show=_in_rows(task, rows),
    )


def _counts(task: AuditedTask) -> Finding | None:
    """Images with far more labels than the rest."""
    counts = task.targets[task.train].sum(axis=1, dtype=np.int64)
    middle = float(np.median(counts))
    spread = max(1.0, 1.4826 * float(np.median(np.abs(counts - middle))))
    limit = middle + 6 * spread
    many = np.flatnonzero(counts > limit)
    if not len(many):
        return None
    rows = [int(task.train[i]) for i in many[np.argsort(-counts[many], kind="stable")]]
    return Finding(
        kind="implausible_counts",
        severity="serious" if len(rows) >= _SERIOUS_SHARE * len(counts) else "warning",
        text=f"{len(rows)} images have more than {limit:.0f} labels, where the median is {middle:g}.",
        count=len(rows),
        unit="images",
        advice="Look at the pictures; where the labels are not in them, correct the rows or drop them from the csv.",
        examples=some([f"{task.ids[row]} ({int(task.targets[row].sum())} labels)" for row in rows[:EXAMPLES]]),
        flagged=tuple(task.ids[row] for row in rows),
        show=_in_rows(task, rows),
    )


def _empty(task: AuditedTask) -> Finding | None:
    """Images without any label: usual in some tasks, suspicious where they are few."""
    rows = [int(row) for row in task.train if not task.targets[row].any()]
    if not rows:
        return None
    share = len(rows) / len(task.train)
    return Finding(
        kind="images_without_labels",
        severity="note" if share > _EMPTY_USUAL else "warning",
        text=f"{len(rows)} training images ({share:.1%}) have no label at all.",
        count=len(rows),
        unit="images",
        advice="Right where nothing of the list is in the picture; where the labelling was left undone, drop the rows: "
        "they teach that nothing is there.",
        examples=some([task.ids[row] for row in rows[:EXAMPLES]]),
        show=_in_rows(task, rows),
    )


def _pairs(task: AuditedTask) -> Finding | None:
    """Two labels that are on the same images (nearly) always."""
    targets = task.targets[task.train].astype(np.float32)
    both = targets.T @ targets
    positives = np.diag(both)
    either = positives[:, None] + positives[None] - both
    close = np.triu((both >= _ALWAYS * either) & (positives[:, None] >= FEW) & (positives < len(targets)), 1)
    pairs = [f"{task.labels[i]} and {task.labels[j]} ({int(both[i, j])} images)" for i, j in np.argwhere(close)]
    if not pairs:
        return None
    return Finding(
        kind="labels_always_together",
        severity="warning",
        text=f"{len(pairs)} pair{'s' if len(pairs) > 1 else ''} of labels stand on the same images (nearly) always.",
        count=len(pairs),
        unit="pairs",
        advice="Two names of one thing, or a column that was copied: keep one, for it counts twice in a mean "
        "over labels.",
        examples=some(pairs),
    )


def _in_rows(task: AuditedTask, rows: list[int]) -> tuple[tuple[str, ...], ...]:
    ids = [task.ids[row] for row in rows[:24]]
    return tuple(tuple(ids[i : i + 6]) for i in range(0, len(ids), 6))
