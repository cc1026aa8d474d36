"""Code and commands in the documentation run, or at least exist; what it names is there."""

import contextlib
import io
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from swath import Sweep
from swath.cli.main import COMMANDS, command, main
from swath.cli.script import load_script
from swath.plan.problems import grid_problems

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
IDS = [str(page.relative_to(REPOSITORY)) for page in PAGES]


def blocks(page: Path, *languages: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [content for language, content in found if language in languages]


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=lambda p: p.stem)
def test_python_in_pages_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page in a namespace of its own; every sweep that it makes is sound."""
    monkeypatch.chdir(tmp_path)
    namespace: dict = {"__name__": "page"}
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), namespace)
    functions = [v for v in namespace.values() if getattr(v, "__annotations__", {}).get("return") is Sweep]
    made = [function() for function in functions if function.__module__ == "page"]
    for sweep in [*made, *(v for v in namespace.values() if isinstance(v, Sweep))]:
        assert grid_problems(sweep) == []


def test_the_first_study_runs_as_the_tutorial_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (script,) = blocks(REPOSITORY / "docs/tutorials/first-study.md", "python")
    Path("first_study.py").write_text(script)
    command(["check", "first_study.py", "--images", "60"])
    main(load_script("first_study.py"), ["--inline", "--images", "60"])
    command(["predict", "first_study", "--ensemble", "best", "--out", "submission.csv"])
    assert len(Path("submission.csv").read_text().splitlines()) == 41
    assert "sharpen" in Path("reports/first_study/leaderboard.md").read_text()


def help_of(words: list[str]) -> str:
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
        command(words)
    return output.getvalue()


def commands_in(page: Path) -> list[list[str]]:
    lines = [line.partition("  #")[0].strip() for block in blocks(page, "", "sh") for line in block.splitlines()]
    return [shlex.split(line.rstrip("\\")) for line in lines if line.startswith(("swath ", "python sweeps/"))]


@pytest.mark.parametrize("page", [p for p in PAGES if commands_in(p)], ids=lambda p: p.stem)
def test_commands_in_pages_exist_with_their_options(page: Path) -> None:
    own_options = {"--data", "--images", "--root", "--full", "--help"}
    for words in commands_in(page):
        if words[0] == "python":
            assert (REPOSITORY / words[1]).is_file(), words
            text = help_of(["run", "--help"])
        else:
            assert words[1].partition("|")[0] in COMMANDS, words
            asked = words[1:3] if words[1] == "detect" and words[2] in ("label", "finetune") else words[1:2]
            text = help_of([*asked, "--help"]) + (help_of(["run", "--help"]) if words[1] == "detect" else "")
        unknown = [w for w in words if w.startswith("--") and w.partition("=")[0] not in text and w not in own_options]
        assert not unknown, (words, unknown)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_files_that_pages_name_exist(page: Path) -> None:
    if page.parent.name == "decisions":
        return  # records of their time
    named = re.findall(r"`((?:src|tests|docs|sweeps|bench|cluster)/[\w./-]+)`", page.read_text())
    of_the_store = [name for name in named if "/NAME/" in name]  # files of a sweep in the store
    assert [name for name in named if name not in of_the_store and not (REPOSITORY / name).exists()] == []


def test_a_dead_link_fails_the_build(tmp_path: Path) -> None:
    """By the very command of the Makefile."""
    (line,) = [line for line in (REPOSITORY / "Makefile").read_text().splitlines() if "/mkdocs build" in line]
    words = shlex.split(line.partition("/mkdocs ")[2])
    shutil.copytree(REPOSITORY / "docs", tmp_path / "docs")
    shutil.copy(REPOSITORY / "mkdocs.yml", tmp_path)
    (tmp_path / "src").symlink_to(REPOSITORY / "src")
    with (tmp_path / "docs/how-to/cache.md").open("a") as page:
        page.write("[nowhere](nowhere.md)\n")
    mkdocs = [sys.executable, "-m", "mkdocs", *words]
    done = subprocess.run(mkdocs, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "nowhere.md" in done.stderr


def test_the_readme_fits() -> None:
    assert len((REPOSITORY / "README.md").read_text().splitlines()) <= 150
