"""One suite of what the store must keep, on a folder and on S3."""

import io
import json
import math
import os
import re
import socket
import subprocess
import sys
import time
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest

from swath.config.losses import BCE
from swath.config.ops import Resize
from swath.config.recipe import Backbone, Recipe
from swath.config.splits import Holdout
from swath.config.task import SubmissionForm
from swath.config.trial_spec import TrialSpec
from swath.core.errors import StoreError
from swath.core.metrics import probabilities
from swath.store import sweeps as sweeps_
from swath.store import tasks as tasks_
from swath.store.lease import LEASE_TIMEOUT_S, Owner
from swath.store.storage import Storage
from swath.store.sweeps import ListedTrial, SweepRecord
from swath.store.tasks import TaskRecord
from swath.store.trials import Outcome, Trial

SPEC = TrialSpec(
    task="task",
    kind="multilabel",
    metric="map",
    data="data",
    split=Holdout(),
    fold=0,
    preprocess=(Resize(64),),
    backbone=Backbone("test_resnet", pretrained=False),
    weights="scratch",
    loss=BCE(),
    recipe=Recipe(),
    threads=1,
    seed=0,
)


@pytest.fixture
def trial(storage: Storage) -> Trial:
    return Trial(storage, SPEC.fingerprint)


def names(trial: Trial) -> list[str]:
    return trial.storage.names(f"trials/{trial.fingerprint}")


def test_a_trial_that_never_ran_has_nothing(trial: Trial) -> None:
    assert trial.outcome() is None
    assert trial.metrics().empty
    assert trial.checkpoint() is None
    assert trial.leased_elsewhere() == ""
    for read in (trial.spec, lambda: trial.logits("test"), lambda: trial.logits("val/3")):
        with pytest.raises(FileNotFoundError):
            read()


def test_the_life_of_a_trial(trial: Trial) -> None:
    trial.begin(SPEC)
    assert names(trial) == ["lease.json", "spec.json"]
    assert trial.spec() == SPEC.json()
    assert trial.outcome() is None
    rows = pd.DataFrame({"epoch": [1, 2], "score": [0.25, float("nan")], "lr": [1e-3, 1e-3], "attempt": [1, 2]})
    for count in (1, 2):
        trial.write_checkpoint(b"state %d" % count)
        trial.write_metrics(rows[:count])
    pd.testing.assert_frame_equal(trial.metrics(), rows)
    assert trial.checkpoint() == b"state 2"
    outcome = Outcome("COMPLETE", 2, 0.25, device_s=1.5, device="cpu", host="h", versions={"torch": "2"})
    trial.finish(outcome)
    assert Trial(trial.storage, trial.fingerprint).outcome() == outcome
    assert {"metrics.parquet", "spec.json", "trial.json"} <= set(names(trial))
    assert trial.checkpoint() is None
    assert not trial.storage.exists(f"trials/{trial.fingerprint}/lease.json")
    pd.testing.assert_frame_equal(trial.metrics(), rows)


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome("STOPPED", 3, 0.5, rule="asha(grace_epochs=1)"),
        Outcome("FAILED", 0, None, error='Traceback ...\n  "é" 새\nValueError: x'),
        Outcome("COMPLETE", 20, float(np.nextafter(0.1, 1)), versions={"torch": "2.14", "ray": ""}),
    ],
)
def test_final_states_are_kept_to_the_letter(trial: Trial, outcome: Outcome) -> None:
    trial.finish(outcome)
    assert trial.outcome() == outcome


def test_a_score_that_is_no_number_is_kept(trial: Trial) -> None:
    trial.finish(Outcome("STOPPED", 1, math.nan))
    outcome = trial.outcome()
    assert outcome is not None
    assert outcome.score is not None
    assert math.isnan(outcome.score)


def test_a_failed_trial_keeps_its_checkpoint_and_the_others_drop_it(trial: Trial) -> None:
    for state in ("COMPLETE", "STOPPED", "FAILED"):
        trial.begin(SPEC)
        trial.write_checkpoint(b"x")
        trial.finish(Outcome(state, 1, 0.5))  # type: ignore[arg-type]
        assert trial.checkpoint() == (b"x" if state == "FAILED" else None)


def test_beginning_again_takes_back_the_final_state_and_keeps_the_epochs(trial: Trial) -> None:
    rows = pd.DataFrame({"epoch": [1]})
    trial.begin(SPEC)
    trial.write_metrics(rows)
    trial.finish(Outcome("FAILED", 1, None))
    trial.begin(SPEC)
    assert trial.outcome() is None
    pd.testing.assert_frame_equal(trial.metrics(), rows)


def test_logits_are_kept_in_half_precision_with_their_ids(trial: Trial) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 8, (30, 4)).astype(np.float32)
    ids = np.array([f"{i:04d}" for i in range(29)] + ["새 id, with / signs"], dtype=object)
    trial.write_logits("val/3", ids, logits)  # type: ignore[arg-type]
    trial.write_logits("test", ids[:2], logits[:2].astype(np.float16))
    found_ids, found = trial.logits("val/3")
    assert found.dtype == np.float16
    assert found_ids.tolist() == ids.tolist()
    np.testing.assert_array_equal(found, logits.astype(np.float16))
    np.testing.assert_allclose(probabilities(found, "sigmoid"), probabilities(logits, "sigmoid"), atol=2e-3)
    assert trial.logits("test")[1].shape == (2, 4)
    assert trial.storage.names(f"trials/{trial.fingerprint}/val") == ["3.npz"]


def test_predictions_can_be_read_with_plain_numpy_and_without_pickle(trial: Trial) -> None:
    trial.write_logits("test", np.array(["a"], dtype=object), np.zeros((1, 2), np.float16))  # type: ignore[arg-type]
    raw = trial.storage.read(f"trials/{trial.fingerprint}/test.npz")
    with np.load(io.BytesIO(raw), allow_pickle=False) as file:
        assert sorted(file.files) == ["ids", "logits"]
        assert file["ids"].tolist() == ["a"]


def test_an_unreadable_state_names_its_key_and_the_cure(trial: Trial) -> None:
    key = f"trials/{trial.fingerprint}/trial.json"
    trial.storage.write(key, b'{"state": "COMPL')
    with pytest.raises(
        StoreError, match=rf"^{re.escape(key)} in the store is no JSON \(.*\); delete it to have it made"
    ):
        trial.outcome()


def lease(trial: Trial, owner: Owner, age_s: float) -> None:
    content = {**asdict(owner), "heartbeat": time.time() - age_s}
    trial.storage.write(f"trials/{trial.fingerprint}/lease.json", json.dumps(content).encode())


def test_the_own_lease_is_not_elsewhere_and_is_given_up(trial: Trial) -> None:
    trial.begin(SPEC)
    held = json.loads(trial.storage.read(f"trials/{trial.fingerprint}/lease.json"))
    assert (held["host"], held["pid"]) == (socket.gethostname(), os.getpid())
    assert held["heartbeat"] == pytest.approx(time.time(), abs=5)
    assert trial.leased_elsewhere() == ""
    trial.release()
    trial.release()
    assert "lease.json" not in names(trial)


def test_a_living_process_of_this_host_holds_its_lease_until_it_is_stale_or_gone(trial: Trial) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        owner = Owner(socket.gethostname(), process.pid, round(psutil.Process(process.pid).create_time(), 2))
        assert not owner.gone()
        lease(trial, owner, age_s=0)
        assert trial.leased_elsewhere() == f"{socket.gethostname()}:{process.pid}"
        lease(trial, owner, age_s=LEASE_TIMEOUT_S + 5)
        assert trial.leased_elsewhere() == ""
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
    lease(trial, owner, age_s=0)
    assert owner.gone()
    assert trial.leased_elsewhere() == ""


def test_a_number_used_again_by_another_process_is_not_the_owner(trial: Trial) -> None:
    me = Owner.this_process()
    earlier = replace(me, started=me.started - 1000)
    assert earlier.gone()
    assert not me.gone()
    lease(trial, earlier, age_s=0)
    assert trial.leased_elsewhere() == ""


@pytest.mark.parametrize(("age_s", "elsewhere"), [(0, "node7:1"), (60, "node7:1"), (LEASE_TIMEOUT_S + 5, "")])
def test_another_host_holds_its_lease_while_its_heart_beats(trial: Trial, age_s: float, elsewhere: str) -> None:
    lease(trial, Owner("node7", 1, 5.0), age_s)
    assert trial.leased_elsewhere() == elsewhere
    trial.heartbeat()  # whoever writes last holds it
    assert trial.leased_elsewhere() == ""


def record(**changes: Any) -> TaskRecord:
    rows = pd.DataFrame(
        {
            "id": ["0001", "2", "새", "t1", "t2"],
            "split": ["train", "train", "train", "test", "test"],
            "group": [0, 0, 1, 2, 3],
            "bad": ["", "", "is missing", "", "is empty (zero bytes)"],
        }
    )
    targets = np.array([[1, 0], [1, 1], [0, 1], [0, 0], [0, 0]], np.uint8)
    submission = SubmissionForm("img_id", ids=("t2", "t1"), columns=("b", "a, with comma"))
    fields = ("task", "multilabel", "map", ("a, with comma", "b"), rows, targets, submission)
    return replace(TaskRecord(*fields), **changes)


@pytest.mark.parametrize("submission", [record().submission, None])
def test_a_task_record_comes_back_as_written(storage: Storage, submission: SubmissionForm | None) -> None:
    written = record(submission=submission)
    tasks_.write_task(storage, "data", written)
    found = tasks_.read_task(storage, "data")
    for field in ("label", "kind", "metric", "labels", "submission"):
        assert getattr(found, field) == getattr(written, field)
    assert found.rows.to_dict("records") == written.rows.to_dict("records")
    assert found.rows.columns.tolist() == ["id", "split", "group", "bad"]
    np.testing.assert_array_equal(found.targets, written.targets)
    assert found.targets.dtype == np.uint8
    assert found.part("train").tolist() == [0, 1]


def test_labels_named_like_columns_of_the_table_do_no_harm(storage: Storage) -> None:
    tasks_.write_task(storage, "data", record(labels=("group", "id")))
    found = tasks_.read_task(storage, "data")
    assert found.labels == ("group", "id")
    assert found.rows["id"].tolist() == record().rows["id"].tolist()
    np.testing.assert_array_equal(found.targets, record().targets)


def test_a_task_is_there_when_its_json_is(storage: Storage) -> None:
    tasks_.write_task(storage, "data", record())
    storage.delete("tasks/data/task.json")
    with pytest.raises(StoreError, match=r"has no tasks/data/task.json: the sweep.*did not get that far. Run it again"):
        tasks_.read_task(storage, "data")


def test_bad_images_belong_to_no_part_and_the_prior_is_of_the_good_ones() -> None:
    task = record()
    assert task.part("train").tolist() == [0, 1]
    assert task.part("test").tolist() == [3]
    assert task.prior().tolist() == [1.0, 0.5]


def test_splits_and_sweeps_come_back_as_written(storage: Storage) -> None:
    folds = np.array([0, -1, -1, 0, 2])
    tasks_.write_folds(storage, "data", Holdout().canonical(), folds)
    tasks_.write_folds(storage, "data", Holdout(0.3).canonical(), folds[::-1])
    found = tasks_.read_folds(storage, "data", "holdout(0.2,seed=0)")
    assert found.dtype == np.int64
    assert found.tolist() == folds.tolist()
    assert sweeps_.sweep_names(storage) == []
    assert sweeps_.read_sweep(storage, "study") is None
    trial = ListedTrial(
        fingerprint="f",
        cell="새 / a",
        factors={"lr": "0.1"},
        baseline=True,
        data="data",
        fold=0,
        seed=3,
        epochs=2,
        rungs=(1,),
    )
    record = SweepRecord(name="study", tasks=(), split="s", rule="", seeds=(3,), notes=(), trials=(trial,))
    for name in ("study", "other"):
        sweeps_.write_sweep(storage, replace(record, name=name))
    assert sweeps_.read_sweep(storage, "study") == record
    assert sweeps_.sweep_names(storage) == ["other", "study"]
