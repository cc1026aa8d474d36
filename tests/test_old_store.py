"""A store and a cache that an earlier swath left behind: read as they were, and nothing in them is run again."""

import json
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pytest

from swath.cli.main import command
from swath.preprocess.cache.reader import open_entry
from swath.store.storage import Storage
from tests.support.dashboard import served

ARCHIVE = Path(__file__).parent / "data/old_store.zip"
ENTRIES = {
    "041926e4b92d2444db61": 48,
    "dc5365efe8ba808559cf": 48,
    "456cce17d1a76e28e826": 12,
    "65a6003f322e1051e11e": 12,
    "1ea6fdac8a8fec808498": 48,
    "76be8dff73165900f93d": 48,
    "3e5ee9a428fc0db8b894": 12,
    "9512c66df657a6410222": 12,
}
"""Key and images of each entry of its cache; the last four hold features."""


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder as it was left, as the working directory."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trial_files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in (folder / "store/trials").rglob("*") if p.is_file()}


@pytest.mark.parametrize("sweep", ["rungs", "features"])
def test_its_reports_are_what_they_were(old: Path, sweep: str) -> None:
    command(["report", sweep])
    expected = old / "expected" / sweep
    assert json.loads((old / f"reports/{sweep}/report.json").read_bytes()) == json.loads(
        (expected / "report.json").read_bytes()
    )
    for name in ("leaderboard.md", "leaderboard.csv", "ensembles.json"):
        assert (old / "reports" / sweep / name).read_text() == (expected / name).read_text()


@pytest.mark.parametrize(
    ("sweep", "ensemble", "expected"),
    [
        ("rungs", "best", "rungs-best.csv"),
        ("features", "best", "features-best.csv"),
        ("features", "greedy", "features-greedy.csv"),
        ("features", "refit bce", "features-refit.csv"),
    ],
)
def test_its_submissions_are_the_same_bytes(old: Path, sweep: str, ensemble: str, expected: str) -> None:
    command(["predict", sweep, "--ensemble", ensemble, "--out", "again.csv"])
    assert (old / "again.csv").read_bytes() == (old / "expected" / expected).read_bytes()


def test_its_cache_is_listed_and_every_entry_is_whole(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command(["cache", "ls"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[:-1]]
    assert {key: (state, int(images)) for key, state, images, *_ in lines} == {
        key: ("ready", images) for key, images in ENTRIES.items()
    }
    for key, images in ENTRIES.items():
        entry = open_entry(Storage("store/cache"), key, local=None)
        assert len(entry.take(np.arange(images))) == len(entry) == images  # each is checked against its checksum


@pytest.mark.parametrize("sweep", ["rungs", "features"])
def test_started_again_its_sweeps_have_nothing_to_run(
    old: Path, sweep: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = trial_files(old)
    command(["run", f"{sweep}.py", "--inline"])
    assert "nothing to run: the store has every trial of this sweep" in capsys.readouterr().err
    assert trial_files(old) == before


def test_a_refit_lacks_nothing(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command(["refit", "features.py", "best", "--full", "--inline", "--dry-run"])
    assert capsys.readouterr().out == "would train 'bce' on all training images, 0 of 2 seeds\n"


def test_its_submissions_and_sweeps_are_listed(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command(["list"])
    command(["submissions", "list", "features"])
    assert capsys.readouterr().out.splitlines() == [
        "features",
        "rungs",
        "2026-11-27 21:18  greedy: validation 0.9470, public 0.7000, private 0.7100",
        "2026-11-27 21:19  refit bce: validation -, public -, private -",
    ]


def test_the_dashboard_shows_it(old: Path) -> None:
    with served(Storage("store"), "features") as url, urllib.request.urlopen(f"{url}/report.json") as answer:
        numbers = json.loads(answer.read())
    expected = json.loads((old / "expected/features/report.json").read_bytes())
    for shown, kept in zip(numbers["tasks"], expected["tasks"], strict=True):
        assert [(t["fingerprint"], t["state"], t["score"]) for t in shown["trials"]] == [
            (t["fingerprint"], t["state"], t["score"]) for t in kept["trials"]
        ]
        assert shown["cells"] == kept["cells"]
