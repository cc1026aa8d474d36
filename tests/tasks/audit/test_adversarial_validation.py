import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from swath.tasks.audit.adversarial_validation import adversarial_findings, adversarial_validation, auc_interval
from swath.tasks.audit.audited_task import TEST, AuditedTask
from swath.tasks.audit.scan import FEATURES, ImageScan


def subject(shift: float, seed: int = 0) -> AuditedTask:
    """300 training and 150 test images of noise; the test images' red mean is shifted by so many deviations."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(450, len(FEATURES))).astype(np.float32)
    features[300:, 0] += shift
    ids = [f"i{k}" for k in range(450)]
    fold = np.array([0] * 60 + [-1] * 240 + [TEST] * 150)
    scans = [ImageScan("", features=row) for row in features]
    return AuditedTask(ids, ids, ids, ("a", "b"), np.zeros((450, 2), np.uint8), False, fold, scans)


def test_auc_is_the_usual_one_and_its_interval_covers() -> None:
    rng = np.random.default_rng(0)
    truth, covered = 0.7602, 0  # normal scores one deviation apart: Phi(1 / sqrt 2)
    for _ in range(200):
        positive, negative = rng.normal(1, 1, 60).round(2), rng.normal(0, 1, 90).round(2)
        auc, half_width = auc_interval(positive, negative)
        answers = np.repeat([1, 0], [60, 90])
        assert auc == pytest.approx(roc_auc_score(answers, np.concatenate([positive, negative])))
        covered += abs(auc - truth) <= half_width
    assert 0.9 <= covered / 200 <= 0.99


def test_a_shift_is_found_and_named() -> None:
    given = subject(3.0)
    result = adversarial_validation(given, np.arange(450))
    assert result is not None
    (finding,) = adversarial_findings(given, result)
    assert finding.severity == "serious"
    assert result.telling[0][0] == "red mean"


def test_one_kind_of_images_is_not_told_apart() -> None:
    given = subject(0.0)
    result = adversarial_validation(given, np.arange(450))
    assert result is not None
    assert result.low < 0.5 < result.high
    assert adversarial_findings(given, result) == []


def test_copies_of_test_images_among_the_training_images_do_not_count() -> None:
    given = subject(0.0, seed=1)
    for k in range(100):
        given.scans[k] = given.scans[300 + k]  # type: ignore[index]
    groups = np.arange(450)
    groups[300:400] = np.arange(100)
    result = adversarial_validation(given, groups)
    assert result is not None
    assert result.high > 0.45
    assert result.low < 0.55


def test_too_few_images_give_no_answer() -> None:
    given = subject(0.0)
    given.fold[320:] = -1
    assert adversarial_validation(given, np.arange(450)) is None
