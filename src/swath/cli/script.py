"""A sweep script: loading it, its options, the sweep that it returns."""

import importlib.util
import inspect
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import get_args, get_origin, get_type_hints

from jsonargparse import ArgumentParser

from swath.config.sweep import Sweep
from swath.core.errors import InputError, raise_if_any

SweepFunction = Callable[..., Sweep]


@dataclass(frozen=True)
class RunOptions:
    """Options that every sweep script takes beside its function's own parameters; the parser explains them."""

    storage: str
    cache: str
    out: str
    smoke: bool
    inline: bool
    dry_run: bool
    retry_failed: bool
    cpus: int
    gpus: float | None
    track: list[str]
    workers: int


def script_argument(argv: Sequence[str], command: str, description: str) -> str:
    """The script that a command's words begin with.

    Args:
        argv: The words after the command.
        command: The command, such as `swath check SCRIPT`.
        description: What it does, for its help.

    Raises:
        InputError: They begin with an option. `--help` in its place prints the options of every sweep and exits.
    """
    if argv and argv[0] in ("-h", "--help"):
        parser = ArgumentParser(prog=command, description=f"{description} A script has options of its own as well.")
        _add_run_options(parser)
        parser.parse_args(["--help"])
    if not argv or argv[0].startswith("-"):
        raise InputError(f"give the sweep script first: {command} [options], e.g. SCRIPT=sweeps/demo.py")
    return argv[0]


def load_script(script: str) -> SweepFunction:
    """The sweep function of a script: the one that returns a Sweep, or of several the one named like the file."""
    path = Path(script)
    if not path.is_file():
        raise InputError(f"there is no sweep script {script!r}. Give a Python file that defines a function -> Sweep.")
    spec = importlib.util.spec_from_file_location(f"swath_script_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    sys.path.insert(0, str(path.resolve().parent))  # as `python SCRIPT` does: a variant imports its base sweep
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    functions = _sweep_functions(module)
    chosen = functions.get(path.stem) or (next(iter(functions.values())) if len(functions) == 1 else None)
    if chosen is None:
        names = ", ".join(functions) or "none"
        raise InputError(
            f"{script} defines {names} as functions annotated '-> Sweep'; swath takes the one called "
            f"{path.stem!r}, or the only one."
        )
    return chosen


def _sweep_functions(module: ModuleType) -> dict[str, SweepFunction]:
    functions = {n: f for n, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__}
    return {n: f for n, f in functions.items() if _returns_sweep(f)}


def _returns_sweep(function: SweepFunction) -> bool:
    """True for `-> Sweep`, also as text: `from __future__ import annotations` makes text of every annotation."""
    try:
        return inspect.signature(function, eval_str=True).return_annotation is Sweep
    except Exception:  # names that the script imports for type checkers only
        return str(inspect.signature(function).return_annotation).rpartition(".")[2] == "Sweep"


def parse_options(sweep_function: SweepFunction, argv: Sequence[str]) -> tuple[Sweep, RunOptions]:
    """The sweep that a function returns for some command-line words, and the options that every sweep has.

    Raises:
        InputError: The function's parameters cannot be options, or it returns no sweep.
        SystemExit: The words are no options of it, or ask for help.
    """
    name = sweep_function.__name__
    summary = (inspect.getdoc(sweep_function) or "").partition("\n\n")[0]
    parser = ArgumentParser(prog=f"{name}.py", description=summary)
    raise_if_any(_parameter_problems(sweep_function))
    parameters = parser.add_function_arguments(sweep_function)
    _add_run_options(parser)
    values = parser.parse_args(option_words(sweep_function, argv))
    sweep = sweep_function(**{name: values[name] for name in parameters})
    if not isinstance(sweep, Sweep):
        raise InputError(f"{name}() returned {type(sweep).__name__}; it must return a swath.Sweep.")
    return sweep, RunOptions(**{field.name: values[field.name] for field in fields(RunOptions)})


def _parameter_problems(sweep_function: SweepFunction) -> list[str]:
    reserved = {field.name for field in fields(RunOptions)}
    name, problems = sweep_function.__name__, []
    for parameter in inspect.signature(sweep_function).parameters.values():
        if parameter.name in reserved:
            problems.append(f"{name}() has a parameter {parameter.name!r}, an option that every sweep has; rename it.")
        if parameter.annotation is parameter.empty:
            problems.append(
                f"{name}() gives its parameter {parameter.name!r} no type; write e.g. {parameter.name}: str."
            )
    return problems


def option_words(sweep_function: SweepFunction, argv: Sequence[str]) -> list[str]:
    """Command-line words in the one form that jsonargparse takes.

    `--image-size` becomes `--image_size`, the parameter's name, and the words after an option whose type is a tuple or
    a list become one value: `--labels a b` is `--labels=["a", "b"]`.

    Args:
        sweep_function: Its parameters are the options.
        argv: The words as given.
    """
    types = _parameter_types(sweep_function)
    words, sequence, items = [], "", []

    def end_sequence() -> None:
        if sequence:
            words.append(f"--{sequence}={_sequence_text(types[sequence], items)}")

    for word in argv:
        if not word.startswith("--"):
            (items if sequence else words).append(word)
            continue
        end_sequence()
        name, equals, value = word[2:].partition("=")
        name = name.replace("-", "_")
        sequence, items = (name if name in types and not equals and _item_type(types[name]) else ""), []
        if not sequence:
            words.append(f"--{name}{equals}{value}" if name in types else word)
    end_sequence()
    return words


def _parameter_types(sweep_function: SweepFunction) -> dict[str, object]:
    annotations = inspect.get_annotations(sweep_function)
    annotations.pop("return", None)  # may be a name that the script imports for type checkers only
    return get_type_hints(SimpleNamespace(__annotations__=annotations), globalns=sweep_function.__globals__)


def _sequence_text(hint: object, items: list[str]) -> str:
    if len(items) == 1 and items[0].startswith("["):
        return items[0]
    return json.dumps(items) if _item_type(hint) is str else f"[{','.join(items)}]"


def _item_type(hint: object) -> object:
    """The type of a tuple's or list's items; None for other types."""
    if get_origin(hint) in (tuple, list):
        return get_args(hint)[0]
    return next(filter(None, map(_item_type, get_args(hint))), None)


def _add_run_options(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("options of every sweep").add_argument
    add("--storage", default="./store", help="folder or URI (s3://BUCKET/PREFIX) of trials, predictions and caches")
    add(
        "--cache",
        default="",
        help="node-local folder for copies of preprocessed images; for a storage that is a "
        "folder the default is to map them there",
    )
    add("--out", default="", help="folder for the report (default: ./reports/NAME)")
    add("--smoke", action="store_true", help="the grid's shape with tiny models, 64 px, 2 epochs: minutes on two cores")
    add("--inline", action="store_true", help="no Ray: everything in this process, one trial after the other")
    add("--dry-run", action="store_true", help="print what `swath check` prints, and stop")
    add("--retry-failed", action="store_true", help="run failed trials again")
    add("--cpus", type=int, default=1, help="CPUs, and threads, of one trial")
    add(
        "--gpus",
        type=float | None,
        default=None,
        help="GPUs, or a share of one, of one trial (default: one where the cluster has any)",
    )
    add(
        "--track",
        nargs="+",
        choices=["tensorboard", "mlflow", "wandb"],
        default=[],
        help="send the trials to TensorBoard (files beside the report), MLflow or Weights & Biases as well",
    )
    add(
        "--workers",
        type=int,
        default=1,
        help="workers that train one trial together; --cpus and --gpus are then those of each",
    )
