"""A whole sweep on a real S3 protocol server: caches, trials, resume, report, submission."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from swath import Recipe, Sweep, grid, ops
from swath.analysis.submissions.predict import predict
from swath.engine.driver import run
from swath.engine.inline import InlineEngine
from swath.report.write import write_report
from swath.store.storage import Locations, Storage
from tests.support.planned import planned_sweep


def test_a_sweep_lives_in_a_bucket(
    s3_root: str, make_sweep: Callable[..., Sweep], layout: Path, tmp_path: Path
) -> None:
    bucket = Storage(s3_root).child("whole-sweep").root
    locations = Locations.of(bucket, str(tmp_path / "node"))
    sweep = make_sweep(recipe=Recipe(epochs=2, batch_size=8, image_size=32))
    assert run(planned_sweep(sweep, locations), InlineEngine(), lambda line: None) == 2
    entries = planned_sweep(sweep, locations).plan.entries()
    for entry in entries:
        here = {p.name: p.read_bytes() for p in (tmp_path / "node" / entry.key).iterdir()}
        assert here["manifest.json"] == locations.cache.read(f"{entry.key}/manifest.json")
        assert here["shard-00000.npy"] == locations.cache.read(f"{entry.key}/shard-00000.npy")

    other_node = Locations.of(bucket, str(tmp_path / "other"))
    grown = make_sweep(recipe=sweep.recipe, preprocess=grid((), (ops.Sharpen(),), (ops.Grayscale(),)))
    progress = planned_sweep(grown, other_node)
    assert [t.cell.label for t in progress.lacking()] == ["grayscale"]
    assert run(progress, InlineEngine(), lambda line: None) == 1

    leaderboard = write_report(locations.storage, "study", tmp_path / "report")
    assert "grayscale" in leaderboard.read_text()
    submission = pd.read_csv(predict(locations.storage, "study", "best", tmp_path / "submission.csv"))
    assert submission["img_id"].tolist() == pd.read_csv(layout / "sample_submission.csv")["img_id"].tolist()
