import numpy as np
import pandas as pd
import pytest

from swath.analysis.ensembles.cross_fit import named_ensemble
from swath.analysis.ensembles.pool import Pool
from swath.analysis.submissions.predict import predict
from swath.core.errors import InputError, StoreError
from swath.store.storage import Storage
from swath.store.trials import Trial
from tests.support.fake_store import FakeTask, FakeTrial, Study, write_study


def test_multilabel_file_is_the_samples_form(scenes: Study, tmp_path):
    out = predict(scenes.storage, "study", "top3", tmp_path / "deep" / "file.csv")
    text = out.read_text()
    record = scenes.tasks["scenes"].record
    assert record.submission is not None
    found = pd.read_csv(out, dtype={"img_id": str})
    assert list(found.columns) == ["img_id", *record.submission.columns]
    assert found["img_id"].tolist() == list(record.submission.ids)
    assert text.splitlines()[1].count(".") == 4
    assert all(len(value.partition(".")[2]) == 6 for value in text.splitlines()[1].split(",")[1:])
    task = scenes.read().tasks[0]
    trials = [t for run in named_ensemble(Pool.of(task), "top3").members for t in run.trials]
    usable = record.part("test")
    fakes = [scenes.fake("scenes", t) for t in trials]
    logits = [f.logits(scenes.tasks["scenes"], usable, 99).astype(float) for f in fakes]
    mean = np.mean([1 / (1 + np.exp(-x)) for x in logits], axis=0)
    by_id = found.set_index("img_id").loc[record.rows["id"][usable], list(record.labels)].to_numpy()
    assert np.allclose(by_id, mean, atol=5.1e-7)


def test_an_unreadable_image_gets_the_prior(scenes: Study, tmp_path):
    found = pd.read_csv(predict(scenes.storage, "study", "best", tmp_path / "a.csv")).set_index("img_id")
    record = scenes.tasks["scenes"].record
    expected = record.targets[:120].mean(axis=0)
    assert np.allclose(found.loc["scenes0125", list(record.labels)], expected, atol=5.1e-7)


def test_single_label_file_has_label_text(two_tasks: Study, tmp_path):
    out = predict(two_tasks.storage, "study", "single", str(tmp_path / "b.csv"), task="birds")
    fake = two_tasks.tasks["birds"]
    found = pd.read_csv(out)
    assert fake.record.submission is not None
    assert list(found.columns) == ["img_id", "label"]
    assert found["img_id"].tolist() == list(fake.record.submission.ids)
    task = two_tasks.read().tasks[1]
    (run,) = named_ensemble(Pool.of(task), "single").members
    usable = fake.record.part("test")
    p = 1 / (1 + np.exp(-two_tasks.fake("birds", run.trials[0]).logits(fake, usable, 99).astype(float)))
    wanted = [fake.labels[i] for i in p.argmax(axis=1)]
    assert found.set_index("img_id").loc[fake.record.rows["id"][usable], "label"].tolist() == wanted
    assert found.set_index("img_id").loc["birds0121", "label"] == "wren"  # the most frequent one


def test_a_cells_label_averages_its_seeds(two_tasks: Study, tmp_path):
    cell = "scenes / raw / resnet18 / focal"
    found = pd.read_csv(predict(two_tasks.storage, "study", cell, tmp_path / "c.csv", task="scenes")).set_index(
        "img_id"
    )
    fake = two_tasks.tasks["scenes"]
    usable = fake.record.part("test")
    logits = [t.logits(fake, usable, 99).astype(float) for t in two_tasks.trials["scenes"] if t.loss == "focal"]
    assert len(logits) == 2
    mean = np.mean([1 / (1 + np.exp(-x)) for x in logits], axis=0)
    rows = found.loc[fake.record.rows["id"][usable], list(fake.labels)].to_numpy()
    assert np.allclose(rows, mean, atol=5.1e-7)


def test_wrong_names_are_told(scenes: Study, two_tasks: Study, tmp_path):
    out = tmp_path / "x.csv"
    with pytest.raises(InputError, match=r"'top33'. Did you mean 'top3'"):
        predict(scenes.storage, "study", "top33", out)
    with pytest.raises(InputError, match="no finished seed: seed 0 STOPPED, seed 1 NOT RUN"):
        predict(scenes.storage, "study", "raw / vit / focal", out)
    with pytest.raises(InputError, match=r"2 tasks \(scenes, birds\)"):
        predict(two_tasks.storage, "study", "best", out)
    with pytest.raises(InputError, match="unknown task 'bird'"):
        predict(two_tasks.storage, "study", "best", out, task="bird")
    assert not out.exists()


def test_a_task_without_test_images_is_told(tmp_path):
    study = write_study(Storage(str(tmp_path)), [FakeTask(test=0)], {"scenes": [FakeTrial()]}, rule="")
    with pytest.raises(InputError, match="no test images"):
        predict(study.storage, "study", "best", tmp_path / "x.csv")


def test_a_sweep_without_finished_trials_is_told(tmp_path):
    study = write_study(Storage(str(tmp_path)), [FakeTask()], {"scenes": [FakeTrial(state="RUNNING")]})
    with pytest.raises(InputError, match=r"COMPLETE \(1 UNFINISHED\)"):
        predict(study.storage, "study", "best", tmp_path / "x.csv")


def test_members_without_usable_predictions_are_all_named(tmp_path):
    trials = [FakeTrial(seed=s) for s in range(2)]
    study = write_study(Storage(str(tmp_path)), [FakeTask()], {"scenes": trials}, rule="")
    first, second = (t.spec(study.tasks["scenes"]).fingerprint for t in trials)
    ids, logits = Trial(study.storage, first).logits("test")
    Trial(study.storage, first).write_logits("test", ids, np.full_like(logits, np.nan))
    (tmp_path / "trials" / second / "test.npz").unlink()
    with pytest.raises(InputError) as caught:
        predict(study.storage, "study", "top2", tmp_path / "x.csv")
    problems = sorted(caught.value.problems, key=lambda p: first in p)
    assert f"{second} (raw / resnet18 / bce, seed 1) has no test predictions" in problems[0]
    assert "not numbers" in problems[1]
    Trial(study.storage, second).write_logits("test", ids[2:], logits[2:])
    with pytest.raises(StoreError, match="2 test images"):
        predict(study.storage, "study", "raw / resnet18 / bce", _fixed(study, first, ids, logits, tmp_path))


def _fixed(study: Study, fingerprint: str, ids, logits, tmp_path):
    Trial(study.storage, fingerprint).write_logits("test", ids, logits)
    return tmp_path / "x.csv"
