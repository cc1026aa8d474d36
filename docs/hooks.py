"""What the documentation is made from beside its pages: the commands' help; and a check of the reference."""

import contextlib
import inspect
import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

import swath
from swath.cli.main import COMMANDS, command

_WORDS = {"detect": (["detect", "label", "--help"], ["detect", "finetune", "--help"])}
"""What to ask a command for its options, where it is not `COMMAND --help`."""

_BASES = ("Schedule", "Mix", "Augmentation")
"""Classes that only other classes are made from."""


def on_pre_build(config: MkDocsConfig) -> None:
    """Refuse to build while a public name has no docstring or no place in the reference."""
    pages = "".join(page.read_text() for page in sorted(Path(config.docs_dir, "reference").glob("*.md")))
    listed = set(re.findall(r"^::: (\S+)$", pages, re.MULTILINE))
    missing = [name for name, value in public_names() if f"{value.__module__}.{value.__qualname__}" not in listed]
    silent = [name for name, value in public_names() if not inspect.getdoc(value)]
    if missing or silent:
        raise PluginError(f"not in docs/reference: {', '.join(missing) or 'none'}; no docstring: {silent or 'none'}")


def public_names() -> list[tuple[str, type | Callable[..., object]]]:
    """The names that users write, with what they stand for."""
    names: list[tuple[str, type | Callable[..., object]]] = []
    for name in swath.__all__:
        value = getattr(swath, name)
        names += _of_module(name, value) if isinstance(value, ModuleType) else [(name, value)]
    return names


def _of_module(prefix: str, module: ModuleType) -> list[tuple[str, type | Callable[..., object]]]:
    tables = {"ops": "OPS", "losses": "LOSSES", "tasks": "TASKS", "augment": "AUGMENTATIONS", "mix": "MIXES"}
    table = getattr(module, tables.get(prefix, ""), None)
    values = table.values() if table else [v for n, v in vars(module).items() if _is_own(n, v, module)]
    return [(f"{prefix}.{value.__name__}", value) for value in values if value.__name__ not in ("Detect",)]


def _is_own(name: str, value: object, module: ModuleType) -> bool:
    written_here = getattr(value, "__module__", "") == module.__name__
    return (
        written_here and not name.startswith("_") and not name.endswith("_problems") and name not in ("Schedule", "Mix")
    )


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the commands' own help in its place."""
    return markdown.replace("<!-- commands -->", commands_help()) if "<!-- commands -->" in markdown else markdown


def commands_help() -> str:
    """A section for each command: what it does, and what `--help` prints."""
    sections = []
    for name, entry in COMMANDS.items():
        texts = [help_of(words) for words in _WORDS.get(name, ([name, "--help"],))]
        blocks = "\n\n".join(f"```text\n{text}\n```" for text in texts)
        sections.append(f"## swath {name}\n\n`swath {name} {entry.usage}`: {entry.summary}.\n\n{blocks}")
    return "\n\n".join(sections)


def help_of(words: list[str]) -> str:
    """What a command prints for some words that ask for help."""
    os.environ["COLUMNS"] = "100"
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
        command(words)
    return output.getvalue().strip()
