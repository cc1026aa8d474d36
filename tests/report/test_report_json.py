import json

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, confusion_matrix, f1_score

from swath.analysis.analyse import analyse
from swath.report.report_json import json_value, numbers
from tests.support.fake_store import Study


@pytest.fixture(scope="module")
def found(two_tasks: Study) -> dict:
    results = two_tasks.read()
    return numbers(results, [analyse(task) for task in results.tasks])


def test_it_is_plain_json(found: dict):
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_what_is_no_number_is_null():
    assert json_value({"a": float("nan"), "b": [np.float64(np.inf), np.int64(3)], "c": np.array([1.5])}) == {
        "a": None,
        "b": [None, 3],
        "c": [1.5],
    }


def test_labels_confusion_and_curves_are_those_of_the_best_cell(two_tasks: Study, found: dict):
    results = two_tasks.read()
    for task, shown in zip(results.tasks, found["tasks"], strict=True):
        best = shown["cells"][0]
        trials = [t for t in task.trials if t.fingerprint in best["trials"]]
        targets = task.targets(0)
        p = np.mean([t.probabilities for t in trials], axis=0)
        if task.record.kind == "multiclass":
            expected = confusion_matrix(targets.argmax(1), p.argmax(1), normalize="true")
            assert np.allclose(shown["confusion"], expected)
            f1 = np.mean([f1_score(targets.argmax(1), t.probabilities.argmax(1), average=None) for t in trials], axis=0)
            assert np.allclose([row["best"] for row in shown["per_label"]], f1)
        else:
            ap = [[average_precision_score(targets[:, c], t.probabilities[:, c]) for c in range(4)] for t in trials]
            assert np.allclose([row["best"] for row in shown["per_label"]], np.mean(ap, axis=0))
            curve = shown["precision_recall"][0]
            assert curve["recall"][0] == 0
            assert curve["recall"][-1] == 1


def test_mistakes_are_the_least_likely_images(two_tasks: Study, found: dict):
    task, shown = two_tasks.read().tasks[0], found["tasks"][0]
    trials = [t for t in task.trials if t.fingerprint in shown["cells"][0]["trials"]]
    p = np.mean([t.probabilities for t in trials], axis=0)
    targets = task.targets(0)
    likely = np.where(targets > 0, p, 1 - p).prod(axis=1)
    ids = task.record.rows["id"].to_numpy()[task.validation[0]]
    worst = list(ids[np.argsort(likely)][: len(shown["mistakes"])])
    assert [m["id"] for m in shown["mistakes"]] == worst
    first = shown["mistakes"][0]
    at = list(ids).index(first["id"])
    assert first["truth"] == [task.record.labels[c] for c in np.flatnonzero(targets[at])]
    assert all(m["p"] < 0.5 and m["label"] in first["truth"] for m in first["missed"])
    assert all(m["p"] > 0.5 and m["label"] not in first["truth"] for m in first["wrong"])
