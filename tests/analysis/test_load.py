from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from swath.analysis.load import read_results
from swath.core.errors import InputError, StoreError
from swath.store import sweeps as sweeps_
from swath.store import tasks as tasks_
from swath.store.storage import Storage
from swath.store.trials import Trial
from tests.support.fake_store import FakeTask, FakeTrial, Study, write_study


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def test_scores_come_from_the_stored_logits(scenes: Study):
    task, fake = scenes.read().tasks[0], scenes.tasks["scenes"]
    rows = fake.validation()
    for trial in task.trials:
        if trial.state not in ("COMPLETE", "STOPPED"):
            assert np.isnan(task.score(trial))
            continue
        p = sigmoid(scenes.fake("scenes", trial).logits(fake, rows, trial.epochs))
        targets = fake.record.targets[rows]
        expected = np.mean([average_precision_score(targets[:, c], p[:, c]) for c in range(4)])
        assert task.score(trial) == pytest.approx(expected, abs=1e-12)
        assert trial.scores["macro_f1"] == pytest.approx(f1_score(targets, p > 0.5, average="macro"), abs=1e-12)
        assert np.allclose(trial.probabilities, p, atol=1e-15)


def test_single_label_scores_use_normalised_sigmoids(two_tasks: Study):
    task, fake = two_tasks.read().tasks[1], two_tasks.tasks["birds"]
    rows = fake.validation()
    for trial in task.trials:
        p = sigmoid(two_tasks.fake("birds", trial).logits(fake, rows, 3))
        p /= p.sum(axis=1, keepdims=True)
        truth = fake.record.targets[rows].argmax(axis=1)
        assert task.score(trial) == pytest.approx(f1_score(truth, p.argmax(axis=1), average="macro"), abs=1e-12)
        assert np.allclose(trial.probabilities.sum(axis=1), 1)


def test_every_trial_has_a_state(scenes: Study):
    results = scenes.read()
    counts = {"COMPLETE": 12, "STOPPED": 1, "FAILED": 1, "UNFINISHED": 1, "NOT RUN": 1}
    assert dict(results.counts()) == counts
    by_state = {t.state: t for t in results.tasks[0].trials}
    assert by_state["UNFINISHED"].epochs == 2
    assert by_state["UNFINISHED"].device_s == pytest.approx(20)
    assert by_state["STOPPED"].epochs == 2
    assert by_state["NOT RUN"].metrics.empty


def test_factors_and_baseline_keep_the_sweeps_order(scenes: Study, two_tasks: Study):
    task = scenes.read().tasks[0]
    assert task.factors == {
        "preprocess": ("raw", "grayscale|sharpen"),
        "backbone": ("resnet18", "vit"),
        "loss": ("bce", "focal"),
    }
    assert task.baseline_cell == "raw / resnet18 / bce"
    # Only the first task's cell is marked as the baseline; the second has the same levels.
    birds = two_tasks.read().tasks[1]
    assert birds.factors == {"loss": ("bce", "focal")}
    assert birds.baseline_cell == "birds / raw / resnet18 / bce"


def test_unknown_sweep_lists_the_near_names(scenes: Study, tmp_path):
    with pytest.raises(InputError, match=r"'stody'.*Did you mean 'study'"):
        read_results(scenes.storage, "stody")
    with pytest.raises(InputError, match="no sweeps in"):
        read_results(Storage(str(tmp_path)), "study")


def small_study(tmp_path, trials=2) -> tuple[Study, list[str]]:
    study = write_study(
        Storage(str(tmp_path)), [FakeTask()], {"scenes": [FakeTrial(seed=s) for s in range(trials)]}, rule=""
    )
    return study, [t.spec(study.tasks["scenes"]).fingerprint for t in study.trials["scenes"]]


def test_logits_in_another_order_are_aligned(tmp_path):
    study, (_, second) = small_study(tmp_path)
    before = study.read().tasks[0].trials[1]
    handle = Trial(study.storage, second)
    ids, logits = handle.logits("val/4")
    order = np.random.default_rng(0).permutation(len(ids))
    handle.write_logits("val/4", ids[order], logits[order])
    after = study.read().tasks[0].trials[1]
    assert np.array_equal(before.probabilities, after.probabilities)
    assert before.scores == after.scores


def test_an_image_that_one_trial_lacks_is_left_out_for_all(tmp_path):
    study, (_, second) = small_study(tmp_path)
    handle = Trial(study.storage, second)
    ids, logits = handle.logits("val/4")
    handle.write_logits("val/4", ids[1:], logits[1:])
    task = study.read().tasks[0]
    assert len(task.validation[0]) == len(ids) - 1
    assert [len(t.probabilities) for t in task.trials] == [len(ids) - 1] * 2
    assert "1 validation images are left out" in task.notes[0]


def test_trials_on_different_images_are_refused(tmp_path):
    study, (_, second) = small_study(tmp_path)
    handle = Trial(study.storage, second)
    ids, logits = handle.logits("val/4")
    handle.write_logits("val/4", ids[:30], logits[:30])
    with pytest.raises(StoreError, match="30 of 60 are common"):
        study.read()
    handle.write_logits("val/4", np.array(["elsewhere", *ids[1:]]), logits)
    with pytest.raises(StoreError, match="does not list"):
        study.read()


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_finished_trial_without_predictions_is_named_not_fatal(tmp_path, damage):
    study, (_, second) = small_study(tmp_path)
    path = tmp_path / "trials" / second / "val" / "4.npz"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:100])
    task = study.read().tasks[0]
    assert [t.state for t in task.trials] == ["COMPLETE", "UNREADABLE"]
    assert "val/4.npz cannot be read" in task.trials[1].problem


def test_two_tasks_of_one_label_are_told_apart(tmp_path):
    study, _ = small_study(tmp_path, trials=1)
    content = sweeps_.read_sweep(study.storage, "study")
    assert content is not None
    other = FakeTask(seed=1)
    tasks_.write_task(study.storage, "data-other", other.record)
    tasks_.write_folds(study.storage, "data-other", content.split, other.folds_of)
    tasks = (*content.tasks, replace(content.tasks[0], data="data-other"))
    trials = (*content.trials, replace(content.trials[0], data="data-other", fingerprint="none"))
    sweeps_.write_sweep(study.storage, replace(content, tasks=tasks, trials=trials))
    assert [t.label for t in study.read().tasks] == ["scenes data-sce", "scenes data-oth"]
