import json
import struct
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from swath.analysis.analyse import analyse
from swath.analysis.cells import cell_results
from swath.analysis.ensembles.cross_fit import ensembles
from swath.analysis.ensembles.pool import Pool
from swath.analysis.scores import TITLES
from swath.report.plots.curves import curves
from swath.report.trials_csv import trial_table
from swath.report.write import summary, write_report
from swath.store.storage import Storage
from tests.support.fake_store import FakeTask, FakeTrial, Study, write_study


def png_size(data: bytes) -> tuple[int, int]:
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", data[16:24])


def test_a_report_is_a_folder_of_files(scenes: Study, tmp_path):
    path = write_report(scenes.storage, "study", tmp_path / "reports" / "study")
    assert path == tmp_path / "reports" / "study" / "leaderboard.md"
    names = {p.name for p in path.parent.iterdir()}
    kinds = ("curves", "effects", "interactions", "ensembles", "reliability", "cost")
    pictures = {f"{kind}.png" for kind in kinds}
    drawings = {f"{kind}.svg" for kind in kinds}
    files = {"leaderboard.md", "leaderboard.csv", "ensembles.json", "report.json", "index.html"}
    assert names == files | pictures | drawings
    for drawing in drawings:
        assert ElementTree.parse(path.parent / drawing).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    for picture in pictures:
        assert png_size((path.parent / picture).read_bytes())[0] == 1200
        assert f"]({picture})" in path.read_text()
    task = scenes.read().tasks[0]
    stored = json.loads((path.parent / "ensembles.json").read_text())
    assert stored == {e.name: e.json("data-scenes") for e in ensembles(Pool.of(task))}


def test_a_second_report_is_the_same_byte_for_byte(two_tasks: Study, tmp_path):
    first, second = (write_report(two_tasks.storage, "study", tmp_path / name).parent for name in "ab")
    names = sorted(p.name for p in first.iterdir())
    assert {"curves-birds.svg", "curves-birds.png", "index.html"} <= set(names)
    assert names == sorted(p.name for p in second.iterdir())
    assert [n for n in names if (first / n).read_bytes() != (second / n).read_bytes()] == []


def test_several_tasks_share_the_folder(two_tasks: Study, tmp_path):
    path = write_report(two_tasks.storage, "study", tmp_path)
    assert (tmp_path / "curves-birds.png").is_file()
    assert "](curves-scenes.png)" in path.read_text()
    assert "](confusion-birds.png)" in path.read_text()
    assert not (tmp_path / "confusion-scenes.png").exists()  # several labels an image
    stored = json.loads((tmp_path / "ensembles.json").read_text())
    assert {label: entry["best"]["data"] for label, entry in stored.items()} == {
        "scenes": "data-scenes",
        "birds": "data-birds",
    }


def test_the_table_has_one_row_per_trial(scenes: Study):
    task = scenes.read().tasks[0]
    frame = trial_table([analyse(task)])
    assert list(frame.columns) == [
        *("task", "cell", "preprocess", "backbone", "loss", "seed", "fold", "state", "epochs", "epochs_planned"),
        *("score", *TITLES, "low", "high", "device_s", "fingerprint", "error"),
    ]
    assert frame["fingerprint"].tolist() == [t.fingerprint for t in task.trials]
    assert np.allclose(frame["score"], [task.score(t) for t in task.trials], equal_nan=True)
    best = cell_results(task)[0]
    rows = frame[(frame["cell"] == best.cell) & (frame["state"] == "COMPLETE")]
    assert rows["low"].tolist() == [best.low] * len(best.runs)
    failed = frame[frame["state"] == "FAILED"].iloc[0]
    assert failed["error"] == "DivergedError: the loss is <nan> | at `step` 3"
    assert pd.isna(failed["low"])


def test_a_factor_named_like_a_column_keeps_its_own(tmp_path):
    trials = [FakeTrial(epochs=e, extra={"epochs": str(e)}) for e in (3, 4)]
    study = write_study(Storage(str(tmp_path)), [FakeTask()], {"scenes": trials}, rule="")
    frame = trial_table([analyse(study.read().tasks[0])])
    assert frame["factor.epochs"].tolist() == ["3", "4"]
    assert frame["epochs"].tolist() == [3, 4]


def test_summary_is_short_and_says_where_the_report_lies(scenes: Study, tmp_path):
    text = summary(scenes.read(), tmp_path / "leaderboard.md")
    lines = text.splitlines()
    best = cell_results(scenes.read().tasks[0])[0]
    assert lines[0].startswith("16 trials: 12 done")
    assert best.cell in lines[2]
    assert f"{best.score:.4f}" in lines[2]
    assert len(lines) == 2 + 5 + 1
    assert lines[-1] == f"leaderboard: {tmp_path / 'leaderboard.md'}"


def test_nothing_to_draw_draws_nothing(tmp_path):
    study = write_study(Storage(str(tmp_path / "store")), [FakeTask()], {"scenes": [FakeTrial(state=None)]})
    assert curves(study.read().tasks[0]) is None
    path = write_report(study.storage, "study", tmp_path / "out")
    names = {p.name for p in path.parent.iterdir()}
    assert names == {"leaderboard.md", "leaderboard.csv", "ensembles.json", "report.json", "index.html"}
    assert json.loads((path.parent / "ensembles.json").read_text()) == {}


def test_many_levels_and_odd_labels_are_drawn(tmp_path):
    trials = [
        FakeTrial(
            backbone=f"model_{b}",
            loss=loss,
            quality=b / 10,
            extra={"title": f"${n}^2 and a long text that goes on {n}"},
        )
        for b in range(5)
        for loss in ("bce", "focal")
        for n in range(9)
    ]
    study = write_study(Storage(str(tmp_path)), [FakeTask(train=40)], {"scenes": trials}, rule="")
    analysis = analyse(study.read().tasks[0])
    picture = curves(analysis.task)
    assert picture is not None
    width, height = png_size(picture["png"])
    assert width == 1200
    assert 600 < height < 1200


def test_scores_that_are_no_numbers_do_no_harm(tmp_path):
    """A label set without any positive in validation: nothing can be scored, and the report says so."""
    task = FakeTask()
    task.record.targets[:] = 0
    trials = [FakeTrial(loss=loss) for loss in ("bce", "focal")]
    study = write_study(Storage(str(tmp_path / "store")), [task], {"scenes": trials}, rule="")
    text = write_report(study.storage, "study", tmp_path / "out").read_text()
    assert "nan" not in text.lower().replace("nano", "")


def test_object_stores_are_read_alike(storage: Storage, tmp_path):
    study = write_study(storage, [FakeTask()], {"scenes": [FakeTrial(), FakeTrial(loss="focal")]}, rule="")
    text = write_report(study.storage, "study", tmp_path / "out").read_text()
    assert "2 trials: 2 done" in text


@pytest.mark.parametrize("root", ["s3://KEY:SECRET@bucket/x?region=a"])
def test_keys_in_a_uri_stay_out_of_the_leaderboard(scenes: Study, root, monkeypatch):
    from swath.report.markdown.leaderboard import leaderboard

    results = scenes.read()
    monkeypatch.setattr(results.storage, "root", root)
    text = leaderboard(results, [analyse(t) for t in results.tasks], [{}])
    assert "SECRET" not in text
    assert "s3://bucket/x?region=a" in text
    monkeypatch.undo()
