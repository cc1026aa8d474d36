"""`swath audit` from the command line to the files it leaves."""

import json
from pathlib import Path

import cv2
import pytest

from swath.cli.main import command
from swath.store.storage import Storage
from swath.tasks.audit.findings import Audit, Finding, read_audit
from swath.tasks.audit.write import markdown
from tests.support.planted_data import Planted

SCRIPT = """
from swath import Sweep, holdout, tasks


def study(data: str) -> Sweep:
    return Sweep("study", tasks.Csv(data, test="test.csv", title="planted"), holdout(0.25, seed=0))
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "study.py"
    path.write_text(SCRIPT)
    return path


def test_it_prints_writes_and_keeps(
    script: Path, planted: Planted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, out = tmp_path / "store", tmp_path / "out"
    command(["audit", str(script), "--data", str(planted.root), "--storage", str(store), "--out", str(out)])
    printed = capsys.readouterr().out
    assert "60 test images" in printed
    assert "filled_runs" in printed
    assert str(out / "audit/audit.md") in printed
    written = json.loads((out / "audit/audit.json").read_text())
    kept = read_audit(Storage(str(store)), written["data"])
    assert kept is not None
    assert [f.kind for f in kept.findings] == [f["kind"] for f in written["findings"]]
    text = (out / "audit/audit.md").read_text()
    assert text.startswith("# Data audit of planted")
    assert sum(bool(f.picture) for f in kept.findings) >= 8
    for finding in kept.findings:
        assert finding.text in text
        assert not finding.picture or cv2.imread(str(out / "audit" / finding.picture)) is not None
    assert (out / "audit/groups.csv").read_text().startswith("id,group")


def test_bad_input_is_told_and_exits_with_2(script: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        command(["audit", str(script), "--data", str(tmp_path / "nowhere"), "--storage", str(tmp_path / "store")])
    assert raised.value.code == 2
    assert "nowhere" in capsys.readouterr().err


def test_names_in_the_data_are_no_markup() -> None:
    hard = ("a|b*c*.jpg (<img src=x>)", "`tick`\nsecond line")
    finding = Finding("bad_files", "warning", "2 images of *some* kind.", 2, "images", "Look.", examples=hard)
    audit = Audit("my <b>task", "0" * 20, {"train": 2}, (finding,), ())
    lines = markdown(audit).splitlines()
    assert lines[0] == r"# Data audit of my \<b>task"
    assert r"- a\|b\*c\*.jpg (\<img src=x>)" in lines
    assert r"- \`tick\` second line" in lines
    assert r"2 images of \*some\* kind." in lines
