"""Rules of the house: where records are parsed, how constructors are called, which room may import what."""

import ast
import functools
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "src/swath"
ROOMS = {"cli", "report", "engine", "analysis", "plan", "training", "tasks", "models", "preprocess"}
ROOMS |= {"store", "config", "core"}
VARIABLE_ARGUMENTS = {"JoinedImages"}
"""Classes whose constructor takes any number of equal things."""


@functools.cache
def sources() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}


@pytest.mark.parametrize(
    "name",
    ["sweep.json", "trial.json", "manifest.json", "task.json", "spec.json", "audit.json", "detector.json"],
)
def test_each_record_has_its_name_in_one_module(name: str) -> None:
    """A module that reads or writes a record needs the name of its file, which messages and docstrings may have too."""
    named = {
        str(path.relative_to(PACKAGE))
        for path, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and node_is_key_call(node, name)
    }
    assert len(named) <= 1, named


def node_is_key_call(call: ast.Call, name: str) -> bool:
    """True for calls with an argument that is a key: the name alone, or at the end of a path."""
    words = [value for argument in call.args for value in constants(argument)]
    return any(word == name or word.endswith(f"/{name}") for word in words) and called(call) not in ("_damage",)


def constants(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    if isinstance(node, ast.JoinedStr):
        yield from (v.value for v in node.values if isinstance(v, ast.Constant) and isinstance(v.value, str))


def called(call: ast.Call) -> str:
    function = call.func
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def test_constructors_name_what_they_are_given() -> None:
    trees = sources()
    classes = {n.name for tree in trees.values() for n in ast.walk(tree) if isinstance(n, ast.ClassDef)}
    unnamed = [
        f"{path.relative_to(PACKAGE)}:{call.lineno} {called(call)}"
        for path, tree in trees.items()
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and called(call) in classes - VARIABLE_ARGUMENTS
        if len(call.args) > 5 or any(isinstance(argument, ast.Starred) for argument in call.args)
    ]
    assert unnamed == []


def test_every_room_says_what_lives_there() -> None:
    for folder in (PACKAGE, *(path.parent for path in PACKAGE.rglob("__init__.py"))):
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text())), folder
    assert {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name[0] != "_"} == ROOMS


def test_no_file_is_too_long() -> None:
    assert {
        str(path.name): lines for path in PACKAGE.rglob("*.py") if (lines := path.read_text().count("\n")) > 400
    } == {}


def broken_contracts(tmp_path: Path, files: dict[str, str]) -> set[str]:
    """Names of the contracts that a package of these files breaks, beside one empty module in every room."""
    for room in (*ROOMS, "engine/ray_backend"):
        (tmp_path / "swath" / room).mkdir(parents=True, exist_ok=True)
        (tmp_path / "swath" / room / "__init__.py").touch()
    (tmp_path / "swath/__init__.py").touch()
    files = {"models/timm_names.py": "import timm\n", "engine/ray_backend/tune.py": "import ray\n", **files}
    for name, content in files.items():
        (tmp_path / "swath" / name).write_text(content)
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]
    (tmp_path / ".importlinter.toml").write_text(toml(settings))
    script = (
        "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command; lint_imports_command()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "--config", ".importlinter.toml", "--no-cache"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "", "COLUMNS": "500"},
    )
    assert "Contracts: " in done.stdout, done.stdout + done.stderr
    return set(re.findall(r"^(.*) BROKEN", done.stdout, re.MULTILINE))


def toml(settings: dict) -> str:
    """The contracts as a file of their own."""
    lines = ["[tool.importlinter]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in settings.items() if key != "contracts"]
    for contract in settings["contracts"]:
        lines += [
            "[[tool.importlinter.contracts]]",
            *(f"{key} = {json.dumps(value)}" for key, value in contract.items()),
        ]
    return "\n".join(lines)


LAYERS = "a room uses only rooms below it; rooms on one layer do not know each other"
RAY = "only engine.ray_backend imports ray"
TORCH = "only models and training, and what cli and engine start of them, load torch and timm"


@pytest.mark.parametrize(
    ("file", "content", "broken"),
    [
        ("store/brand_new.py", "import swath.plan\n", {LAYERS}),
        ("plan/brand_new.py", "import swath.training\n", {LAYERS}),
        ("report/brand_new.py", "import swath.engine\n", {LAYERS}),
        ("engine/brand_new.py", "import ray\n", {RAY}),
        ("config/brand_new.py", "def later():\n    import ray\n", {RAY}),
        ("analysis/brand_new.py", "import torch\n", {TORCH}),
        ("report/brand_new.py", "def later():\n    import timm\n", {TORCH}),
        ("training/brand_new.py", "import torch, swath.models, swath.config\n", set()),
        ("engine/ray_backend/brand_new.py", "import ray, torch\n", set()),
    ],
)
def test_a_new_module_is_in_its_room_without_anybody_adding_it(
    tmp_path: Path, file: str, content: str, broken: set[str]
) -> None:
    assert broken_contracts(tmp_path, {file: content}) == broken
