import numpy as np

from swath.tasks.audit.audited_task import AuditedTask
from swath.tasks.audit.labels import label_findings
from swath.tasks.audit.scan import ImageScan


def subject(targets: np.ndarray, fold: np.ndarray, multiclass: bool = False) -> AuditedTask:
    ids = [f"i{k}" for k in range(len(targets))]
    labels = tuple(f"label {k}" for k in range(targets.shape[1]))
    return AuditedTask(ids, ids, ids, labels, targets.astype(np.uint8), multiclass, fold, [ImageScan("")] * len(ids))


def kinds(given: AuditedTask) -> dict[str, tuple[str, ...]]:
    return {f.kind: f.examples for f in label_findings(given)}


def test_labels_that_drift_between_the_parts() -> None:
    rng = np.random.default_rng(0)
    fold = np.repeat([0, -1], [400, 1600])
    targets = rng.random((2000, 8)) < 0.3
    assert "frequency_drift" not in kinds(subject(targets, fold))
    targets[:400, 2] = rng.random(400) < 0.6
    assert [e.partition(" (")[0] for e in kinds(subject(targets, fold))["frequency_drift"]] == ["label 2"]


def test_a_label_that_a_part_lacks() -> None:
    targets = np.random.default_rng(0).random((400, 4)) < 0.4
    fold = np.repeat([0, -1], [100, 300])
    targets[:100, 1] = False
    targets[100:, 3] = False
    found = kinds(subject(targets, fold))["labels_absent_from_part"]
    assert found == ("label 1 (validation)", "label 3 (training, validation has all)")


def test_a_single_label_task_is_not_asked_about_pairs_and_counts() -> None:
    targets = np.eye(5, dtype=np.uint8)[np.random.default_rng(0).integers(4, size=300)]
    found = kinds(subject(targets, np.repeat([0, -1], [60, 240]), multiclass=True))
    assert found == {"labels_without_choice": ("label 4 (no image)",)}
