"""A store and a cache that an earlier swath left behind: read as they were, and nothing in them is run again.

`data/old_store/write_old_store.py` says how they were made. Nothing that was reported is left out of the comparisons:
durations, hosts and versions are those that the store keeps. Numbers may differ by 1e-9, as other libraries round.
"""

import json
import re
import sys
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swath.cli.main import command
from swath.preprocess.cache.reader import open_entry
from swath.store.storage import Storage
from tests.support.dashboard import served

ARCHIVE = Path(__file__).parent / "data/old_store/old_store.tar.xz"
SWEEPS = ("stopping", "plain", "frozen", "searched")
PREDICTED = {
    "stopping-best.csv": ("stopping", "best"),
    "stopping-greedy.csv": ("stopping", "greedy"),
    "plain-best.csv": ("plain", "best"),
    "plain-greedy.csv": ("plain", "greedy"),
    "plain-weighted.csv": ("plain", "weighted"),
    "plain-refit-best.csv": ("plain", "refit raw / bce"),
    "plain-import-notebook.csv": ("plain", "import notebook"),
    "plain-sharpen-focal.csv": ("plain", "sharpen / focal"),
    "frozen-best.csv": ("frozen", "best"),
    "frozen-greedy.csv": ("frozen", "greedy"),
    "searched-best.csv": ("searched", "best"),
}
"""Sweep and ensemble of each submission."""


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder as it was left, as the working directory."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))  # scripts import one another
    yield tmp_path
    sys.modules.pop("plain", None)


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    """What was printed, without what another day, place or disk changes, as the expected texts have it."""
    text = capsys.readouterr().out.replace(str(Path.cwd()), "HERE")
    return re.sub(r" +\d+ (s|min|h|d)  ", "  AGE  ", re.sub(r"\([^()]* free\)", "(FREE free)", text))


def expected(name: str) -> str:
    return (Path("expected") / name).read_text()


def written(*folders: str) -> dict[str, tuple[int, bytes]]:
    """Time and content of every file below some folders."""
    files = [path for folder in folders for path in sorted(Path(folder).rglob("*")) if path.is_file()]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def differences(now: Any, before: Any, place: str = "") -> list[str]:
    """Where two JSON values differ by more than the last digits of numbers."""
    pairs = None
    if isinstance(now, dict) and isinstance(before, dict):
        pairs = [(key, now.get(key, "absent"), before.get(key, "absent")) for key in now | before]
    if isinstance(now, list) and isinstance(before, list) and len(now) == len(before):
        pairs = [(str(at), *values) for at, values in enumerate(zip(now, before, strict=True))]
    if pairs is not None:
        return [line for key, a, b in pairs for line in differences(a, b, f"{place}/{key}")]
    alike = now == (pytest.approx(before, rel=1e-9, abs=1e-9) if isinstance(before, float) else before)
    return [] if alike else [f"{place}: {str(before)[:60]} became {str(now)[:60]}"]


@pytest.mark.parametrize("sweep", SWEEPS)
def test_started_again_it_runs_and_builds_nothing_and_reports_the_same(
    old: Path, sweep: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = written("store/trials", "store/cache")
    command(["run", f"{sweep}.py", "--inline"])
    captured = capsys.readouterr()
    assert "nothing to run: the store has every trial of this sweep" in captured.err
    assert captured.out.replace(str(old), "HERE") == expected(f"report-{sweep}.txt")
    assert written("store/trials", "store/cache") == before
    report = Path("reports") / sweep
    for name in ("leaderboard.md", "leaderboard.csv"):
        assert (report / name).read_text() == expected(f"{sweep}/{name}")
    for name in ("report.json", "ensembles.json"):
        assert differences(json.loads((report / name).read_text()), json.loads(expected(f"{sweep}/{name}"))) == []


def test_a_refit_lacks_nothing(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = written("store/trials", "store/cache")
    command(["refit", "plain.py", "best", "--full", "--inline", "--dry-run"])
    assert printed(capsys) == expected("refit.txt")
    command(["refit", "plain.py", "best", "--full", "--inline"])
    assert written("store/trials", "store/cache") == before


def test_submissions_are_the_same_bytes(old: Path) -> None:
    for file, (sweep, ensemble) in PREDICTED.items():
        command(["predict", sweep, "--ensemble", ensemble, "--out", file])
        assert Path(file).read_bytes() == Path("expected", file).read_bytes(), file


def test_the_cache_is_listed_and_every_shard_is_whole(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command(["cache", "ls"])
    listed = printed(capsys)
    assert listed == expected("cache.txt")
    entries = re.findall(r"^(\w{20})  ready +(\d+) images", listed, re.MULTILINE)
    assert {key for key, _ in entries} == {path.name for path in Path("store/cache").iterdir()}
    for key, images in entries:
        entry = open_entry(Storage("store/cache"), key, local=None)
        assert len(entry.take(np.arange(int(images)))) == int(images)  # each is checked against its checksum


def test_what_is_said_of_sweeps_and_submissions(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = {
        "list.txt": ["list"],
        "submissions.txt": ["submissions", "list", "plain"],
        "compare.txt": ["compare", "plain", "frozen"],
        **{f"check-{sweep}.txt": ["check", f"{sweep}.py", "--inline"] for sweep in SWEEPS},
    }
    for file, words in said.items():
        command(words)
        assert printed(capsys) == expected(file), file


def test_the_dashboard_serves_it(old: Path) -> None:
    kept = json.loads(expected("plain/report.json"))
    assert [note.split(" (")[0] for note in kept["notes"]] == ["Trials of one seed share their random numbers"]
    kept["notes"] = []  # that was noted when the sweep was started again, which it is not here
    with served(Storage(str(old / "store")), "plain") as url:
        with urllib.request.urlopen(url) as answer:
            assert "<title>" in answer.read().decode()
        numbers, end = {}, time.monotonic() + 30
        while not numbers or not numbers["tasks"][0]["cells"]:  # analysed after the first look
            assert time.monotonic() < end
            with urllib.request.urlopen(f"{url}/report.json") as answer:
                numbers = json.loads(answer.read())
    assert len(numbers["sheets"]) == 4
    for mistake in numbers["tasks"][0]["mistakes"]:
        assert mistake.pop("picture").startswith("pictures/")
        assert mistake.pop("chain").endswith("resize(size_px=24)")
    assert set(numbers) - set(kept) == {"live", "sheets", "updated"}
    assert differences({key: numbers[key] for key in kept}, kept) == []
