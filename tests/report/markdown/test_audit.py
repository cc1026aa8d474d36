from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from swath.analysis.analyse import Analysis, analyse
from swath.report.markdown.audit import audit_section
from swath.report.markdown.leaderboard import leaderboard
from swath.store.storage import Storage
from swath.tasks.audit.findings import Audit, Finding, kept_place, read_audit
from tests.support.fake_store import FakeTask, FakeTrial, Study, write_study

LEAK = Finding("near_duplicates_across_split", "serious", "Some | leak.", 3, "groups", "Give groups.", ("a, b",))


@pytest.fixture
def study(tmp_path: Path) -> Study:
    trials = [FakeTrial(loss=loss, quality=q) for loss, q in (("bce", 1.0), ("focal", 1.4))]
    return write_study(Storage(str(tmp_path)), [FakeTask()], {"scenes": trials}, rule="")


def keep(study: Study, flagged: tuple[str, ...]) -> tuple[Analysis, Audit]:
    task = study.read().tasks[0]
    audit = Audit(task.label, task.data, {"train": 60}, (replace(LEAK, flagged=flagged),), (("a", "b"),))
    kept_place(study.storage, task.data).write("audit.json", audit.json())
    return analyse(task), audit


def test_what_is_kept_is_read_again(study: Study) -> None:
    analysis, audit = keep(study, ("x", "y"))
    assert read_audit(study.storage, analysis.task.data) == audit
    assert read_audit(study.storage, "0" * 20) is None


def test_nothing_is_said_without_an_audit(study: Study) -> None:
    results = study.read()
    assert audit_section(analyse(results.tasks[0]), "##") == []


def test_scores_without_flagged_images_are_those_of_the_rest(study: Study) -> None:
    task = study.read().tasks[0]
    rows = task.validation[0]
    flagged = task.record.rows["id"].to_numpy()[rows[::3]]
    analysis, _ = keep(study, (*flagged, "not-in-validation"))
    text = "\n".join(audit_section(analysis, "##"))
    assert "Some \\| leak." in text
    assert f"{len(flagged)} validation images of {len(rows)}" in text
    kept = np.setdiff1d(np.arange(len(rows)), np.arange(len(rows))[::3])
    for cell in analysis.cells:
        (trial,) = cell.trials
        expected = average_precision_score(task.targets(0)[kept], trial.probabilities[kept])
        assert f"{expected:.4f}" in text


def test_the_leaderboard_quotes_it(study: Study) -> None:
    analysis, _ = keep(study, ())
    text = leaderboard(study.read(), [analysis], [{}])
    assert "## Data audit" in text
    assert "near duplicates across split" in text
    assert "without doubtful" not in text
