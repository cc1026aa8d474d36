"""A sweep script: loading it, its options, the sweep it returns."""

import importlib.util
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType

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


def _parsed(sweep_function: SweepFunction, argv: Sequence[str]) -> tuple[Sweep, RunOptions]:
    summary = (inspect.getdoc(sweep_function) or "").partition("\n\n")[0]
    parser = ArgumentParser(prog=f"{sweep_function.__name__}.py", description=summary)
    _check_parameters(sweep_function)
    own = parser.add_function_arguments(sweep_function)
    _add_run_options(parser)
    # `--image-size` and `--image_size` are the same option, whichever way the sweep's author wrote it.
    words = [_underscored(word) if _underscored(word).partition("=")[0][2:] in own else word for word in argv]
    values = parser.parse_args(words)
    sweep = sweep_function(**{name: values[name] for name in own})
    if not isinstance(sweep, Sweep):
        raise InputError(f"{sweep_function.__name__}() returned {type(sweep).__name__}; it must return a swath.Sweep.")
    return sweep, RunOptions(**{field.name: values[field.name] for field in fields(RunOptions)})


def _check_parameters(sweep_function: SweepFunction) -> None:
    taken = {field.name for field in fields(RunOptions)}
    name, problems = sweep_function.__name__, []
    for parameter in inspect.signature(sweep_function).parameters.values():
        if parameter.name in taken:
            problems.append(f"{name}() has a parameter {parameter.name!r}, an option that every sweep has; rename it.")
        if parameter.annotation is parameter.empty:
            problems.append(
                f"{name}() gives its parameter {parameter.name!r} no type; write e.g. {parameter.name}: str."
            )
    raise_if_any(problems)


def _underscored(word: str) -> str:
    name, equals, value = word.partition("=")
    return f"--{name[2:].replace('-', '_')}{equals}{value}" if name.startswith("--") else word


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


def _load(script: str) -> SweepFunction:
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
    found = _sweep_functions(module)
    chosen = found.get(path.stem) or (next(iter(found.values())) if len(found) == 1 else None)
    if chosen is None:
        names = ", ".join(found) or "none"
        raise InputError(
            f"{script} defines {names} as functions annotated '-> Sweep'; swath takes the one called "
            f"{path.stem!r}, or the only one."
        )
    return chosen


def _sweep_functions(module: ModuleType) -> dict[str, SweepFunction]:
    own = {n: f for n, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__}
    return {n: f for n, f in own.items() if inspect.signature(f).return_annotation in (Sweep, "Sweep")}


def _script(argv: list[str]) -> str:
    if not argv or argv[0].startswith("-"):
        raise InputError("give the sweep script first, e.g. swath check sweeps/demo.py --data DIR")
    return argv[0]
