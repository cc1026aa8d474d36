"""The whole audit of one task: look at every image, run every check."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from swath.tasks.audit.adversarial_validation import Adversarial, adversarial_findings, tell_apart
from swath.tasks.audit.audited_task import TEST, Subject
from swath.tasks.audit.duplicates import duplicate_findings, find_duplicates
from swath.tasks.audit.findings import Audit, by_severity
from swath.tasks.audit.images import image_findings
from swath.tasks.audit.labels import label_findings
from swath.tasks.audit.scan import look_at_all
from swath.tasks.groups import linked
from swath.tasks.prepare import TaskPlan


def subject_of(plan: TaskPlan, say: Callable[[str], None]) -> Subject:
    """Look at the images of a planned task."""
    is_test = plan.record.rows["split"].to_numpy() == "test"
    return Subject(
        ids=plan.record.rows["id"].tolist(),
        paths=list(plan.paths),
        digests=list(plan.digests),
        labels=plan.record.labels,
        targets=plan.record.targets,
        multiclass=plan.record.kind == "multiclass",
        fold=np.where(is_test, TEST, plan.folds),
        looks=look_at_all(plan.paths, say),
    )


def audit(plan: TaskPlan, subject: Subject, say: Callable[[str], None]) -> Audit:
    """Run every check on a task.

    Args:
        plan: The task as a sweep uses it.
        subject: The same, looked at.
        say: Hears the progress.
    """
    started = time.monotonic()
    duplicates = find_duplicates(subject)
    say(f"duplicates searched in {time.monotonic() - started:.0f} s")
    pairs = [(group[0], row) for group in duplicates.all for row in group]
    together = linked(len(subject.ids), np.array(pairs, np.int64).reshape(-1, 2))
    adversarial = tell_apart(subject, together)
    findings = [
        *duplicate_findings(subject, duplicates),
        *label_findings(subject),
        *image_findings(subject),
        *adversarial_findings(subject, adversarial),
    ]
    return Audit(
        task=plan.record.label,
        data=plan.data,
        images=_images(subject),
        findings=by_severity(findings),
        groups=tuple(tuple(subject.ids[row] for row in group) for group in duplicates.all),
        facts={"labels": len(subject.labels), **_adversarial_facts(adversarial)},
    )


def _images(subject: Subject) -> dict[str, int]:
    validation = 0 if subject.folds > 1 else int((subject.fold == 0).sum())
    return {"train": len(subject.train) - validation, "validation": validation, "test": len(subject.test)}


def _adversarial_facts(result: Adversarial | None) -> dict[str, Any]:
    if result is None:
        return {}
    return {
        "adversarial_auc": result.auc,
        "adversarial_low": result.low,
        "adversarial_high": result.high,
        "adversarial_telling": [list(pair) for pair in result.telling],
    }
