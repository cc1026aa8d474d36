"""`swath replay` as typed: what it prints and writes, and what it refuses."""

import json
import shlex
from pathlib import Path

import pytest

from swath.cli import main as cli
from swath.store.storage import Storage
from tests.support.fake_store import FakeTask, FakeTrial, write_fake_sweep

CHAINS = ("raw", "grayscale|sharpen")


def written(path: Path, trials: list[FakeTrial], **more) -> str:
    """A store with a sweep of these; epochs take 10 s, and the score after epoch e is e tenths."""
    storage = Storage(str(path / "store"))
    write_fake_sweep(storage, {"scenes": trials}, [FakeTask()], **more)
    return storage.root


def replayed(store: str, words: str, folder: Path) -> dict:
    """The numbers that the command writes."""
    files = ["--out", str(folder / "replay.md"), "--json", str(folder / "replay.json")]
    cli.command(["replay", "study", "--storage", store, *shlex.split(words), *files])
    return json.loads((folder / "replay.json").read_text())


def rows(text: str) -> list[list[str]]:
    """The tables' lines, cell by cell."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]


def test_the_command_prints_and_writes_rules_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    full = [FakeTrial(preprocess=chain, seed=seed) for seed in (0, 1) for chain in CHAINS]
    store = written(tmp_path, full, rule="")
    numbers = replayed(store, "--stop 'asha(1, 2)' --stop none --workers 1 2 --seeds 1 2", tmp_path)
    text = (tmp_path / "replay.md").read_text()
    assert text in capsys.readouterr().out
    # All scores are equal, so that nothing stops: what is saved is the second seed.
    cost = {tuple(row[:3]): row[3:] for row in rows(text) if len(row) == 12 and row[3].isdigit()}
    assert cost == {
        (rule, workers, seeds): [str(2 * int(seeds)), "0", "0", "0", str(8 * int(seeds)), *time, "100 %"]
        for rule in ("none", "asha(grace_epochs=1,reduction=2)")
        for workers, seeds, time in (
            ("1", "1", ["80.0 s", "50 %", "80.0 s"]),
            ("1", "2", ["3 min", "100 %", "3 min"]),
            ("2", "1", ["80.0 s", "50 %", "40.0 s"]),
            ("2", "2", ["3 min", "100 %", "80.0 s"]),
        )
    }
    assert [(r["rule"], r["workers"], len(r["seeds"]), r["wall_s"]) for r in numbers["rules"][:2]] == [
        ("none", 1, 2, 160.0),
        ("asha(grace_epochs=1,reduction=2)", 1, 1, 80.0),
    ]
    (one,) = numbers["rules"][1]["choices"]
    assert (one["winner"], one["regret"], one["top_kept"], one["unknown"]) == ("raw / resnet18 / bce", 0.0, 1, 0)
    last = numbers["rules"][1]["trials"][1]
    assert (last["cell"], last["state"], last["start_s"]) == ("grayscale|sharpen / resnet18 / bce", "COMPLETE", 40.0)
    assert "Unknown* trials" not in text


def test_what_is_unknown_is_said_and_nearly_nothing_known_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = [FakeTrial(extra={"n": str(n)}, state="STOPPED" if n else "COMPLETE") for n in range(4)]
    store = written(tmp_path / "some", stopped)
    numbers = replayed(store, "--stop none", tmp_path)
    assert [r["unknown_epochs"] for r in numbers["rules"]] == [6]
    text = (tmp_path / "replay.md").read_text()
    assert "*Unknown* trials go on beyond their stored curves" in text
    assert "Of the 1 cell that the store knows at the full budget" in text
    capsys.readouterr()
    more = [FakeTrial(extra={"n": str(n)}, state="STOPPED" if n else "COMPLETE") for n in range(12)]
    store = written(tmp_path / "few", more)
    with pytest.raises(SystemExit) as caught:
        replayed(store, "--stop none", tmp_path)
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert "none on 1 worker would train 11 of its 12 trials beyond their stored curves, more than 90 %" in said


def test_what_cannot_be_replayed_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = written(tmp_path, [FakeTrial()], rule="")
    for words, told in (
        ("--stop 'ash(1, 2)'", "unknown stopping rule 'ash'. Did you mean 'asha'?"),
        ("--workers 0", "--workers 0: give 1 or more."),
        ("--seeds 2", "--seeds 2: give 1 to 1; under none the sweep has [0]."),
    ):
        with pytest.raises(SystemExit) as caught:
            replayed(store, words, tmp_path)
        assert caught.value.code == 2
        assert told in capsys.readouterr().err
