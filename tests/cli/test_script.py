"""Words of the command line, and what a sweep's function or a task makes of them."""

from collections.abc import Sequence
from pathlib import Path

import pytest

import swath
from swath import Sweep, tasks
from swath.cli.main import COMMANDS, command
from swath.cli.script import load_script, option_words, parse_options
from swath.core.errors import InputError

FUTURE = """from __future__ import annotations

from typing import TYPE_CHECKING

import swath
from swath import tasks

if TYPE_CHECKING:
    from swath import Sweep


def helper() -> int:
    return 1


def {name}(data: str = "d", sizes: tuple[int, ...] = (1,)) -> {annotation}:
    return swath.Sweep("study", tasks.DaconSatellite(data), published={{"sizes": sizes}})
"""


def study(
    labels: tuple[str, ...] = (), sizes: tuple[int, ...] = (1,), rates: list[float] | None = None, data: str = "d"
) -> Sweep:
    """A study of lists."""
    return Sweep("study", tasks.DaconSatellite(data), published={"given": (labels, sizes, rates)})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--labels", "a"], (("a",), (1,), None)),
        (["--labels", "a", "b, c", "--sizes", "1", "2"], (("a", "b, c"), (1, 2), None)),
        (["--labels", '["a", "b"]'], (("a", "b"), (1,), None)),
        (["--labels=[a,b]", "--rates", "0.5", "-1"], (("a", "b"), (1,), [0.5, -1.0])),
    ],
)
def test_lists_are_given_as_words(words: Sequence[str], expected: tuple[object, ...]) -> None:
    sweep, _ = parse_options(study, words)
    assert sweep.published["given"] == expected


def test_options_of_every_sweep_keep_their_dashes() -> None:
    words = ["--labels", "a", "--retry-failed", "--cpus", "2", "--data", "x"]
    assert option_words(study, words) == ['--labels=["a"]', "--retry-failed", "--cpus", "2", "--data", "x"]
    _, options = parse_options(study, words)
    assert options.retry_failed
    assert options.cpus == 2


@pytest.mark.parametrize("annotation", ["swath.Sweep", "Sweep"])
def test_annotations_may_be_text(tmp_path: Path, annotation: str) -> None:
    script = tmp_path / "late.py"
    script.write_text(FUTURE.format(name="late", annotation=annotation))
    sweep, _ = parse_options(load_script(str(script)), ["--sizes", "3", "4"])
    assert sweep.published == {"sizes": (3, 4)}


def test_a_script_without_a_sweep_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "none.py"
    script.write_text(FUTURE.format(name="none", annotation="int"))
    with pytest.raises(InputError, match="defines none as functions annotated '-> Sweep'"):
        load_script(str(script))


@pytest.mark.parametrize("words", [["--help"], ["-h"]])
@pytest.mark.parametrize("name", ["check", "run", "audit", "refit"])
def test_commands_of_scripts_explain_themselves(
    name: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        command([name, *words])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert f"swath {name} SCRIPT" in text
    for option in ("--storage", "--retry-failed", "--workers", "--track"):
        assert option in text


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"check", "run", "audit", "refit"}))
def test_every_other_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        command([name, "--help"])
    assert end.value.code == 0
    assert f"swath {name}" in capsys.readouterr().out


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    command(["--version"])
    assert capsys.readouterr().out == f"swath {swath.__version__}\n"
