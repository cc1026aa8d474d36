"""The whole audit of one task: scan every image, run every check."""

import time
from collections.abc import Callable

import numpy as np

from swath.tasks.audit.adversarial_validation import Adversarial, adversarial_findings, adversarial_validation
from swath.tasks.audit.audited_task import TEST, AuditedTask
from swath.tasks.audit.duplicates import duplicate_findings, find_duplicates
from swath.tasks.audit.findings import Audit, Facts, by_severity
from swath.tasks.audit.images import image_findings
from swath.tasks.audit.labels import label_findings
from swath.tasks.audit.scan import scan_images
from swath.tasks.groups import linked
from swath.tasks.prepare import TaskPlan


def audited_task(plan: TaskPlan, say: Callable[[str], None]) -> AuditedTask:
    """A planned task with its images scanned."""
    is_test = plan.record.rows["split"].to_numpy() == "test"
    return AuditedTask(
        ids=plan.record.rows["id"].tolist(),
        paths=list(plan.paths),
        digests=list(plan.digests),
        labels=plan.record.labels,
        targets=plan.record.targets,
        multiclass=plan.record.kind == "multiclass",
        fold=np.where(is_test, TEST, plan.folds),
        scans=scan_images(plan.paths, say),
    )


def audit(plan: TaskPlan, task: AuditedTask, say: Callable[[str], None]) -> Audit:
    """Run every check on a task.

    Args:
        plan: The task as a sweep uses it.
        task: The same, with its images scanned.
        say: Called with lines of progress.
    """
    started = time.monotonic()
    duplicates = find_duplicates(task)
    say(f"duplicates searched in {time.monotonic() - started:.0f} s")
    pairs = [(group[0], row) for group in duplicates.all for row in group]
    together = linked(len(task.ids), np.array(pairs, np.int64).reshape(-1, 2))
    adversarial = adversarial_validation(task, together)
    findings = [
        *duplicate_findings(task, duplicates),
        *label_findings(task),
        *image_findings(task),
        *adversarial_findings(task, adversarial),
    ]
    return Audit(
        task=plan.record.label,
        data=plan.data,
        images=_images(task),
        findings=by_severity(findings),
        groups=tuple(tuple(task.ids[row] for row in group) for group in duplicates.all),
        facts=_facts(task, adversarial),
    )


def _images(task: AuditedTask) -> dict[str, int]:
    validation = 0 if task.folds > 1 else int((task.fold == 0).sum())
    return {"train": len(task.train) - validation, "validation": validation, "test": len(task.test)}


def _facts(task: AuditedTask, result: Adversarial | None) -> Facts:
    labels = len(task.labels)
    if result is None:
        return Facts(labels)
    return Facts(
        labels=labels,
        adversarial_auc=result.auc,
        adversarial_low=result.low,
        adversarial_high=result.high,
        adversarial_telling=result.telling,
    )
