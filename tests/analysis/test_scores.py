"""Every metric beside the task's own, against scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics as reference

from swath.analysis.analyse import analyse
from swath.analysis.scores import TITLES, bce, trial_scores
from swath.core import metrics
from swath.report.report_json import numbers
from swath.report.write import write_results
from tests.support.fake_store import Study


def drawn(kind: str, n: int = 400, c: int = 5):
    """Rounded logits, so that there are equal ones, on images of which the last label has no positive."""
    rng = np.random.default_rng(3)
    targets = (rng.random((n, c)) < np.linspace(0.05, 0.6, c)).astype(np.uint8)
    targets[:, -1] = 0
    if kind == "multiclass":
        targets = np.eye(c, dtype=np.uint8)[rng.integers(c, size=n)]
    return targets, np.round(rng.normal(size=(n, c)) * 2 + 2 * targets - 1, 1).astype(np.float16)


def area(y, s):
    precision, recall, _ = reference.precision_recall_curve(y, s)
    return reference.auc(recall, precision)


def test_multilabel_scores_are_scikit_learns():
    targets, logits = drawn("multilabel")
    found = trial_scores("multilabel", "sigmoid", targets, logits)
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    hard, scored = p > 0.5, range(4)
    assert found == pytest.approx(
        {
            "map": np.mean([reference.average_precision_score(targets[:, c], p[:, c]) for c in scored]),
            "pr_auc": np.mean([area(targets[:, c], p[:, c]) for c in scored]),
            "macro_f1": reference.f1_score(targets, hard, average="macro", zero_division=np.nan),
            "micro_f1": reference.f1_score(targets, hard, average="micro"),
            "accuracy": reference.accuracy_score(targets.ravel(), hard.ravel()),
            "exact_match": reference.accuracy_score(targets, hard),
            "bce": reference.log_loss(targets.ravel(), p.ravel()),
        },
        abs=1e-6,
    )


@pytest.mark.parametrize("link", ["softmax", "normalised_sigmoid"])
def test_single_label_scores_are_scikit_learns(link: str):
    targets, logits = drawn("multiclass")
    found = trial_scores("multiclass", link, targets, logits)
    p = metrics.probabilities(logits, link)
    truth, most = targets.argmax(axis=1), p.argmax(axis=1)
    assert found == pytest.approx(
        {
            "map": reference.average_precision_score(targets, p, average="macro"),
            "pr_auc": np.mean([area(targets[:, c], p[:, c]) for c in range(5)]),
            "macro_f1": reference.f1_score(truth, most, average="macro"),
            "accuracy": reference.accuracy_score(truth, most),
            "cross_entropy": reference.log_loss(truth, p),
        },
        abs=1e-9,
    )


def test_losses_stay_finite_where_probabilities_are_0_or_1():
    targets = np.array([[1, 0], [0, 1]], np.uint8)
    sure = np.array([[800, -800], [800, -800]], np.float16)
    assert bce(targets, sure) == pytest.approx((0 + 0 + 800 + 800) / 4)
    for link in ("softmax", "normalised_sigmoid"):
        found = trial_scores("multiclass", link, targets, sure)["cross_entropy"]
        assert found == pytest.approx((0 + (1600 if link == "softmax" else 800)) / 2)


def test_the_report_has_them_for_every_cell(scenes: Study, tmp_path):
    results = scenes.read()
    (task,) = results.tasks
    cell = next(c for c in analyse(task).cells if len(c.runs) == 2)
    for name, value in cell.scores.items():
        assert value == pytest.approx(np.mean([t.scores[name] for t in cell.trials]))
    assert cell.scores["map"] == pytest.approx(cell.score)
    written = numbers(results, [analyse(task)])["tasks"][0]
    names = [m["name"] for m in written["other_metrics"]]
    assert names == ["pr_auc", "macro_f1", "micro_f1", "accuracy", "exact_match", "bce"]
    by_cell = {c["cell"]: c["scores"] for c in written["cells"]}
    assert by_cell[cell.cell] == pytest.approx(dict(cell.scores))
    text = write_results(results, tmp_path / "out").read_text()
    section = text.partition("## Other metrics")[2].partition("\n## ")[0]
    assert all(TITLES[name] in section for name in names)
    assert all(f"{cell.scores[name]:.4f}" in section for name in names)
    assert "whatever loss a cell was trained with" in " ".join(section.split())
    header = (tmp_path / "out" / "leaderboard.csv").read_text().splitlines()[0].split(",")
    assert set(names) < set(header)
