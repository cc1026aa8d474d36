from pathlib import Path

import numpy as np
import pytest

from swath.analysis.ensembles.cross_fit import ensembles
from swath.analysis.ensembles.pool import Pool
from swath.analysis.submissions.history import add_score, submissions
from swath.analysis.submissions.predict import predict
from swath.cli.main import command
from swath.core.errors import InputError
from swath.report.markdown.submissions import submissions_section
from swath.report.write import write_report
from swath.store.storage import Storage
from tests.support.fake_store import FakeTask, FakeTrial, Study, write_study


@pytest.fixture
def study(tmp_path: Path) -> Study:
    trials = [FakeTrial(seed=seed, quality=0.4 + seed / 8) for seed in range(4)]
    return write_study(Storage(str(tmp_path / "store")), [FakeTask()], {"scenes": trials}, rule="")


def test_a_prediction_is_on_record_with_its_cross_fitted_score(study: Study, tmp_path: Path):
    predict(study.storage, "study", "top3", tmp_path / "a.csv")
    predict(study.storage, "study", "raw / resnet18 / bce", tmp_path / "b.csv")
    first, second = submissions(study.storage, "study")
    task = study.read().tasks[0]
    top3 = next(e for e in ensembles(Pool.of(task)) if e.name == "top3")
    assert (first.name, first.score, first.low, first.high) == ("top3", top3.score, top3.low, top3.high)
    assert second.score == pytest.approx(np.mean([task.score(t) for t in task.trials]))
    assert second.low is None


def test_an_ensemble_of_a_file_brings_its_score(study: Study, tmp_path: Path):
    """The score of the ensemble as the file has it, whatever the sweep's best would be now."""
    out = write_report(study.storage, "study", tmp_path / "report").parent
    predict(study.storage, "study", f"{out / 'ensembles.json'}:top2", tmp_path / "a.csv")
    (found,) = submissions(study.storage, "study")
    top2 = next(e for e in ensembles(Pool.of(study.read().tasks[0])) if e.name == "top2")
    assert (found.score, found.low, found.high) == (top2.score, top2.low, top2.high)


def test_a_submission_finds_its_sweep_by_its_content(study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = predict(study.storage, "study", "single", tmp_path / "a.csv").rename(tmp_path / "renamed.csv")
    store = ["--storage", study.storage.root]
    command(["submissions", "add", str(path), "--public", "0.75", *store])
    assert "single: validation" in capsys.readouterr().out
    assert [s.public for s in submissions(study.storage, "study")] == [0.75]
    elsewhere = tmp_path / "elsewhere.csv"
    elsewhere.write_text("made by hand")
    with pytest.raises(SystemExit):
        command(["submissions", "add", str(elsewhere), "--public", "0.5", *store])
    assert "swath submissions add NAME elsewhere.csv" in capsys.readouterr().err
    command(["submissions", "add", "study", str(elsewhere), "--public", "0.5", *store])
    assert [s.public for s in submissions(study.storage, "study")] == [0.75, 0.5]


def test_scores_stay_with_the_content_of_a_file(study: Study, tmp_path: Path):
    path = predict(study.storage, "study", "single", tmp_path / "a.csv")
    renamed = path.rename(tmp_path / "renamed.csv")
    add_score(study.storage, "study", renamed, public=0.81, private=None)
    add_score(study.storage, "study", renamed, public=None, private=0.79)
    predict(study.storage, "study", "single", tmp_path / "again.csv")
    (found,) = submissions(study.storage, "study")
    assert (found.name, found.public, found.private) == ("single", 0.81, 0.79)


def test_a_file_made_elsewhere_can_be_scored(study: Study, tmp_path: Path):
    (tmp_path / "friend.csv").write_text("img_id,water\n1,0.5\n")
    found = add_score(study.storage, "study", tmp_path / "friend.csv", 0.7, None)
    assert (found.name, found.score, found.public) == ("friend.csv", None, 0.7)


def test_the_report_sets_them_beside_validation(study: Study, tmp_path: Path):
    assert submissions_section(study.read()) == []
    for name, public in (("single", 0.80), ("top2", 0.82), ("all", 0.84)):
        path = predict(study.storage, "study", name, tmp_path / f"{name}.csv")
        add_score(study.storage, "study", path, public, None)
    out = write_report(study.storage, "study", tmp_path / "report")
    text = out.read_text()
    assert "## Submissions" in text
    assert "Rank correlation of validation and public scores over 3 submissions" in " ".join(text.split())
    assert (out.parent / "submissions.png").read_bytes()[:4] == b"\x89PNG"
    assert b"<svg" in (out.parent / "submissions.svg").read_bytes()


def test_bad_input_is_named(study: Study, tmp_path: Path):
    with pytest.raises(InputError, match="--public"):
        add_score(study.storage, "study", tmp_path / "a.csv", None, None)
    with pytest.raises(InputError, match="cannot be read"):
        add_score(study.storage, "study", tmp_path / "a.csv", 0.5, None)
    with pytest.raises(InputError, match="study"):
        add_score(study.storage, "other", tmp_path / "a.csv", 0.5, None)
