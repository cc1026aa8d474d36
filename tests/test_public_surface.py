"""What sweep scripts and command lines may contain, as `data/public_surface.json` lists it for an earlier commit.

`python -m tests.test_public_surface` prints the list of today's code, in the form of that file.
"""

import contextlib
import dataclasses
import inspect
import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_origin

import pytest

import swath
from swath.cli.main import command

ROOT = Path(__file__).parents[1]
ADDED_NAMES: set[str] = {"Sweep(matters)", "Sweep(streams)", "ops.SuperRes(precision)"}
"""Public names since then, such as `ops.Invert`, and parameters of earlier ones, such as `ops.Sharpen(amount)`."""
ADDED_OPTIONS: set[str] = {"swath replay"} | {
    # A task named instead of a script takes the options of every script.
    f"detect label {task} --{option}"
    for task in ("Csv", "DaconBirds")
    for option in ("cache", "dry-run", "out", "retry-failed", "smoke", "track", "workers")
}
"""Commands since then, such as `swath archive`, and options, such as `report --title`."""

MODULES = ("ops", "losses", "tasks", "augment", "mix", "schedules")
NOT_WRITTEN = ("ops.Detect",)  # what a DetectCrop begins with; a sweep that has it is refused
HELP = {
    **{name: [name, "sweeps/demo.py", "--help"] for name in ("check", "run", "audit")},
    "refit": ["refit", "sweeps/demo.py", "best", "--full", "--help"],
    **{
        name: [name, "--help"]
        for name in ("report", "predict", "import", "blend", "submissions", "compare", "dashboard", "list", "cache")
    },
    "detect label": ["detect", "label", "--help"],
    "detect finetune": ["detect", "finetune", "--help"],
    **{f"detect label {task}": ["detect", "label", task, "--", "--help"] for task in ("Csv", "DaconBirds")},
    **{
        f"sweeps/{path.name}": ["run", f"sweeps/{path.name}", "--help"]
        for path in sorted((ROOT / "sweeps").glob("[!_]*.py"))
    },
}
"""Words that print the options of each command and of each sweep script."""


def parameters(thing: Any) -> dict[str, str]:
    """Default of each parameter, by name in their order; choices before it where it has some, "" where it has none."""
    defaults = {}
    for p in inspect.signature(thing).parameters.values():
        star = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**", p.KEYWORD_ONLY: "*, "}.get(p.kind, "")
        choices = str(list(p.annotation.__args__)) if get_origin(p.annotation) is Literal else ""
        default = "" if p.default is p.empty else f"= {shown(p.default)}"
        defaults[star + p.name] = " ".join(filter(None, (choices, default)))
    return defaults


def changed_fields(description: Any) -> dict[str, str]:
    """The fields of a description that differ from their defaults: one that is added changes nothing."""
    values = {f: getattr(description, f.name) for f in dataclasses.fields(description)}
    return {f.name: shown(value) for f, value in values.items() if value != f.default}


def shown(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(shown, value))})"
    if dataclasses.is_dataclass(value):
        return f"{type(value).__name__}({', '.join(f'{n}={v}' for n, v in changed_fields(value).items())})"
    return repr(value)


def written_classes(module: ModuleType) -> dict[str, type]:
    """The classes of a module that a sweep script writes: those with a name for labels and fingerprints."""
    public = {n: getattr(module, n) for n in dir(module) if not n.startswith("_")}
    return {
        n: c
        for n, c in public.items()
        if inspect.isclass(c) and c.__module__.startswith(module.__name__) and isinstance(getattr(c, "name", None), str)
    }


def public_names() -> dict[str, dict[str, str]]:
    """Public names with their parameters, or with the fields of a recipe."""
    names = {n: {} if inspect.ismodule(x := getattr(swath, n)) else parameters(x) for n in swath.__all__}
    for module in MODULES:
        classes = written_classes(getattr(swath, module))
        names |= {f"{module}.{n}": parameters(c) for n, c in classes.items() if f"{module}.{n}" not in NOT_WRITTEN}
    recipes = {n: r for n, r in vars(swath.recipes).items() if isinstance(r, swath.Recipe) and not n.startswith("_")}
    return names | {f"recipes.{n}": changed_fields(r) for n, r in recipes.items()}


def printed(words: list[str]) -> str:
    """What a command prints before it exits."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        command(words)
    return out.getvalue()


def options(help_text: str) -> dict[str, dict[str, str]]:
    """Long forms of the options in a help text, with dashes; of each the choices and the default that it gives."""
    options_of_text: dict[str, dict[str, str]] = {}
    for entry in re.split(r"\n(?=  [-{]|\S|\n)", help_text):
        invocation = re.split(r"\s{2,}", entry.strip())[0]
        name = re.search(r"--[a-z][\w-]*|^\{.*\}$", invocation)
        if not entry.startswith("  ") or not name or name[0] == "--help":
            continue
        choices = re.search(r"\{[^}]*\}", invocation)
        default = re.search(r"default: ([^()]*)\)$", " ".join(entry.split()))
        facts = {"choices": choices and choices[0], "default": default and default[1].strip()}
        options_of_text[name[0].replace("_", "-")] = {k: v for k, v in facts.items() if v is not None}
    return options_of_text


def commands() -> list[str]:
    """The commands that `swath --help` lists."""
    return sorted(set(re.findall(r"^  swath ([a-z]+)", printed(["--help"]), re.MULTILINE)))


@contextlib.contextmanager
def at_root() -> Iterator[None]:
    """In the repository's folder, on a terminal on which no help text is wrapped; scripts leave no import path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setenv("COLUMNS", "1000")
        patch.setattr(sys, "path", list(sys.path))
        yield


def surface() -> dict[str, Any]:
    """The content of public_surface.json."""
    with at_root():
        return {
            "names": public_names(),
            "commands": commands(),
            "options": {name: options(printed(words)) for name, words in HELP.items()},
        }


@pytest.fixture(scope="module")
def today() -> dict[str, Any]:
    return surface()


@pytest.fixture(scope="module")
def kept() -> dict[str, Any]:
    return json.loads((ROOT / "tests/data/public_surface.json").read_text())


def test_no_public_name_or_parameter_has_gone_or_changed(kept: dict[str, Any], today: dict[str, Any]) -> None:
    assert set(kept["names"]) - set(today["names"]) == set()
    for name, before in kept["names"].items():
        now = today["names"][name]
        assert {p: now.get(p) for p in before} == before, name
        assert [p for p in now if p in before] == list(before), f"{name}: the order of its parameters"


def test_no_command_or_option_has_gone_or_changed(kept: dict[str, Any], today: dict[str, Any]) -> None:
    assert set(kept["commands"]) - set(today["commands"]) == set()
    assert set(kept["options"]) - set(today["options"]) == set()
    for name, before in kept["options"].items():
        now = today["options"][name]
        assert set(before) - set(now) == set(), name
        assert {o: {fact: now[o].get(fact) for fact in facts} for o, facts in before.items()} == before, name


def test_what_is_new_is_listed_here(kept: dict[str, Any], today: dict[str, Any]) -> None:
    names = set(today["names"]) - set(kept["names"])
    names |= {f"{n}({p})" for n, before in kept["names"].items() for p in set(today["names"].get(n, ())) - set(before)}
    assert names == ADDED_NAMES
    added = {f"swath {name}" for name in set(today["commands"]) - set(kept["commands"])}
    added |= {f"{n} {o}" for n, now in today["options"].items() for o in set(now) - set(kept["options"].get(n, ()))}
    assert added == ADDED_OPTIONS


if __name__ == "__main__":
    print(json.dumps(surface(), indent=1))
