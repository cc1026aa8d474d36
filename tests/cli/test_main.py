"""The commands as a person types them, on one small sweep."""

import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

SCRIPT = '''
"""A sweep for the tests."""
from swath import Backbone, Recipe, Sweep, grid, holdout, losses, main, ops, tasks


def helper() -> int:
    return 1


def study(data: str, learning_rate: float = 3e-3, tags: bool = False) -> Sweep:
    """Two preprocessings.

    Args:
        data: Folder of the data.
        learning_rate: Of AdamW.
    """
    return Sweep(
        name="study",
        task=tasks.DaconSatellite(data),
        split=holdout(0.25),
        preprocess=grid((), (ops.Sharpen(),)),
        backbone=Backbone("test_resnet", pretrained=False),
        recipe=Recipe(epochs=3, batch_size=8, optimizer="adamw", lr=learning_rate, image_size=32),
    )


if __name__ == "__main__":
    main(study)
'''
Shell = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    (folder / "study.py").write_text(SCRIPT)
    return folder


@pytest.fixture(scope="module")
def shell(folder: Path) -> Shell:
    def run(*words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *map(str, words)], cwd=folder, capture_output=True, text=True, timeout=300, check=False
        )

    return run


SWATH = ("-c", "from swath.cli.main import command; command()")


@pytest.fixture(scope="module")
def finished(shell: Shell, layout: Path, folder: Path) -> str:
    """The sweep run once, inline; what it printed."""
    done = shell("study.py", "--data", layout, "--inline")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_check_lists_and_starts_nothing(shell: Shell, layout: Path, folder: Path) -> None:
    done = shell(*SWATH, "check", "study.py", "--data", layout, "--storage", "elsewhere")
    assert done.returncode == 0, done.stderr
    for expected in ("2 cells, 2 trials", "raw  (baseline)", "sharpen, train, 48 images at 32 px", "no problems found"):
        assert expected in done.stdout
    assert not (folder / "elsewhere/trials").exists()


def test_a_variant_imports_its_base_sweep_under_check_too(shell: Shell, layout: Path, folder: Path) -> None:
    (folder / "variant.py").write_text(
        "from dataclasses import replace\nfrom study import study\nfrom swath import Sweep\n\n\n"
        "def variant(data: str) -> Sweep:\n    return replace(study(data), name='variant')\n"
    )
    done = shell(*SWATH, "check", "variant.py", "--data", layout, "--storage", "elsewhere")
    assert done.returncode == 0, done.stderr
    assert "sweep variant: 2 cells" in done.stdout


def test_a_run_prints_the_leaderboard_and_where_it_lies(finished: str, folder: Path) -> None:
    assert "sharpen" in finished
    assert f"leaderboard: {folder / 'reports/study/leaderboard.md'}" in finished
    assert (folder / "reports/study/leaderboard.csv").is_file()


def test_the_leaderboard_says_how_to_start_the_sweep_again(finished: str, layout: Path, folder: Path) -> None:
    _, _, closing = (folder / "reports/study/leaderboard.md").read_text().partition("## How to reproduce")
    assert f"\npython study.py --data {shlex.quote(str(layout))} --inline\nswath report study\n" in closing


def test_started_again_it_says_that_there_is_nothing_to_run(shell: Shell, layout: Path, finished: str) -> None:
    again = shell("study.py", "--data", layout, "--inline")
    assert again.returncode == 0
    assert "nothing to run: the store has every trial" in again.stderr


def test_dashes_and_underscores_name_the_same_option(shell: Shell, layout: Path) -> None:
    for spelling in ("--learning-rate", "--learning_rate"):
        done = shell("study.py", "--data", layout, spelling, "0.5", "--dry-run")
        assert done.returncode == 0, done.stderr
        assert "0 done" in done.stdout
        assert "2 to run" in done.stdout


def test_report_and_predict_need_no_data(shell: Shell, layout: Path, finished: str, folder: Path) -> None:
    report = shell(*SWATH, "report", "study", "--out", "again")
    assert report.returncode == 0, report.stderr
    assert (folder / "again/leaderboard.md").is_file()
    predicted = shell(*SWATH, "predict", "study", "--ensemble", "best", "--out", "submission.csv")
    assert predicted.returncode == 0, predicted.stderr
    ours, sample = (pd.read_csv(p) for p in (folder / "submission.csv", layout / "sample_submission.csv"))
    assert list(ours.columns) == list(sample.columns)
    assert ours["img_id"].tolist() == sample["img_id"].tolist()
    assert ours[["red", "green", "blue"]].to_numpy().std() > 0.01
    assert shell(*SWATH, "list").stdout.split() == ["study"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("report", "studdy"), "'study'"),
        (("predict", "study", "--ensemble", "tip3"), "tip3"),
        (("check", "nothing.py"), "there is no sweep script 'nothing.py'"),
        (("check", "--data", "x"), "give the sweep script first"),
        (("check", "study.py", "--data", "x", "--cache", "s3://bucket"), "give a folder on each node"),
        (("check", "study.py", "--data", "x", "--out", "study.py/x"), "is no folder that you may write to"),
        (("check", "study.py", "--data", "x", "--storage", ""), "give the path of a folder"),
    ],
)
def test_mistakes_exit_with_2_and_no_traceback(
    shell: Shell, finished: str, words: tuple[str, ...], expected: str
) -> None:
    done = shell(*SWATH, *words)
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_usage(shell: Shell) -> None:
    assert "swath predict" in shell(*SWATH, "--help").stdout
    assert shell(*SWATH, "reprot").returncode == 2
    text = shell("study.py", "--help").stdout
    assert "Folder of the data." in text
    assert "--retry-failed" in text


def test_the_package_runs_as_the_command(shell: Shell) -> None:
    as_module, as_command = shell("-m", "swath", "--help"), shell(*SWATH, "--help")
    assert as_module.returncode == 0
    assert as_module.stdout == as_command.stdout
