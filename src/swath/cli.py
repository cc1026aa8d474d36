"""The command line: a sweep script's own options, and the `swath` command."""

import importlib.util
import inspect
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from jsonargparse import ArgumentParser

from swath.commands import READERS, report_folder, say, write
from swath.errors import InputError, SwathError, raise_if_any
from swath.paths import absolute, is_uri
from swath.sweep import Resources, Sweep
from swath.sweep_problems import grid_problems

SweepFunction = Callable[..., Sweep]
USAGE = """swath: ablation and hyperparameter sweeps for image classification.

  swath check  SCRIPT [its options]   everything that can go wrong, before any GPU time is spent; cost estimate
  swath run    SCRIPT [its options]   the same as `python SCRIPT`
  swath audit  SCRIPT [its options]   duplicates, labels, images, train against test: what is wrong with the data
  swath refit  SCRIPT CELL --full     train a cell (its label, or best) on all training images
  swath report NAME                   leaderboard, ensembles and pictures of a sweep, from the store
  swath predict NAME --out FILE       a submission file from an ensemble of the sweep's trials
  swath import NAME MODEL --oof FILE  predictions of a model trained elsewhere, as a member of the ensembles
  swath blend FILE FILE ...           mix submission files
  swath submissions add FILE          keep the competition's score of a submission, beside what validation said
  swath compare A [B]                 what moved between two sweeps, or two dates of one, beyond noise
  swath dashboard NAME                the report as a live page of a running or finished sweep
  swath list                          the sweeps in a store
  swath detect label|finetune         boxes, and detectors fitted on them, for crops
  swath cache ls | rm                 what is kept of preprocessed images, and who uses it; freeing it

Every command explains itself with --help."""


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


def main(sweep_function: SweepFunction, argv: Sequence[str] | None = None) -> None:
    """Entry point of a sweep script: parse its options, run what the store lacks, write the report.

    Args:
        sweep_function: Returns the sweep; its parameters become options, its docstring the help.
        argv: Arguments instead of the command line's.
    """
    _exit_with(lambda: _run_function(sweep_function, sys.argv[1:] if argv is None else argv))


def command(argv: Sequence[str] | None = None) -> None:
    """The `swath` command."""
    words = list(sys.argv[1:] if argv is None else argv)
    commands = {"check": _check, "run": _run, "audit": _audit, "detect": _detect, "refit": _refit, **READERS}
    if not words or words[0] not in commands:
        asked_for_help = not words or words[0] in ("-h", "--help", "help")
        print(USAGE, file=sys.stdout if asked_for_help else sys.stderr)
        sys.exit(0 if asked_for_help else 2)
    _exit_with(lambda: commands[words[0]](words[1:]))


def _exit_with(work: Callable[[], None]) -> None:
    """Run; print swath's own errors without a traceback and exit with 2 (bad input) or 1."""
    try:
        work()
    except InputError as error:
        count = len(error.problems)
        print(f"swath: {count} problem{'s' if count > 1 else ''}:", file=sys.stderr)
        for problem in error.problems:
            print(f"  - {problem}", file=sys.stderr)
        sys.exit(2)
    except (SwathError, OSError) as error:
        print(f"swath: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\nswath: interrupted; start it again to go on where it stopped.", file=sys.stderr)
        sys.exit(130)


@dataclass(frozen=True)
class _Start:
    """A sweep that was looked at, and where it is to run."""

    plan: Any
    options: RunOptions
    resources: Resources
    tracking: Any
    out: Path | None


def _looked_at(sweep_function: SweepFunction, argv: Sequence[str]) -> _Start:
    sweep, options = _parsed(sweep_function, argv)
    from swath.places import Places
    from swath.plan import make_plan
    from swath.smoke import smoke

    resources = Resources(options.cpus, options.gpus, options.workers)
    raise_if_any([*resources.problems(), *_inline_problems(options)])
    storage = absolute(options.storage, "--storage")
    cache = options.cache and absolute(options.cache, "--cache")
    if is_uri(cache):
        raise InputError(f"--cache is {cache!r}: give a folder on each node; what it copies from is --storage.")
    places = Places.of(storage, cache)
    raise_if_any(grid_problems(sweep))
    sweep = smoke(sweep) if options.smoke else sweep
    out = report_folder(options.out, sweep.name, places.storage)
    tracking = _tracking(options, sweep.name, out)
    plan = make_plan(sweep, places, threads=options.cpus)
    plan.command = _command(sweep_function, argv)
    return _Start(plan, options, resources, tracking, out)


def _command(sweep_function: SweepFunction, argv: Sequence[str]) -> str:
    """What starts this sweep again: the script as seen from here, and its arguments as given."""
    code = getattr(sweep_function, "__code__", None)
    script = Path(code.co_filename if code else sys.argv[0]).absolute()
    here = Path.cwd()
    shown = script.relative_to(here) if script.is_relative_to(here) else Path(script.name)
    return shlex.join(["python", shown.as_posix(), *argv])


def _run_function(sweep_function: SweepFunction, argv: Sequence[str], check_only: bool = False) -> None:
    start = _looked_at(sweep_function, argv)
    from swath import check

    plan, options = start.plan, start.options
    if check_only or options.dry_run:
        print(check.describe(plan))
        print("no problems found")
        return
    for note in plan.notes:
        say(f"note: {note}")
    say(check.headline(plan))
    if plan.lacking(options.retry_failed):
        _carry_out(start)
    else:
        from swath.engine.drive import write_records

        write_records(plan)
        say("nothing to run: the store has every trial of this sweep")
    write(plan.places.storage, plan.sweep.name, start.out)
    if plan.outcomes and all(outcome.state == "FAILED" for outcome in plan.outcomes.values()):
        raise SwathError("every trial of the sweep has failed; the leaderboard says why")


def _inline_problems(options: RunOptions) -> list[str]:
    if options.inline and options.workers > 1:
        return [f"--inline is one process, --workers={options.workers} are several: leave one of the two out."]
    return []


def _tracking(options: RunOptions, name: str, out: Path | None) -> Any:
    """Who else hears of the trials; what they need is looked for before anything is started."""
    from swath.engine.trackers import Tracking

    tracking = Tracking(name, tuple(dict.fromkeys(options.track)), out and out / "tensorboard")  # type: ignore[arg-type]
    problems = tracking.problems()
    if options.track and options.inline:
        problems.append("--track works through Ray Tune, which --inline does without: leave one of the two out.")
    raise_if_any(problems)
    return tracking


def _carry_out(start: _Start) -> None:
    from swath.engine.drive import run

    plan, options = start.plan, start.options

    started = time.monotonic()
    if options.inline:
        from swath.engine.inline import InlineEngine

        ran = run(plan, InlineEngine(), say, options.retry_failed)
    else:
        from swath.engine.cluster import RayEngine
        from swath.engine.heartbeat import beating

        with (
            RayEngine(start.resources, start.tracking) as engine,
            beating(plan.places.storage, plan.sweep.name, engine.dashboard),
        ):
            ran = run(plan, engine, say, options.retry_failed)
    say(f"{ran} trials run in {time.monotonic() - started:.0f} s")


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


def _check(argv: list[str]) -> None:
    _run_function(_load(_script(argv)), argv[1:], check_only=True)


def _run(argv: list[str]) -> None:
    _run_function(_load(_script(argv)), argv[1:])


def _audit(argv: list[str]) -> None:
    sweep, options = _parsed(_load(_script(argv)), argv[1:])
    from swath.audit.command import audit_sweep
    from swath.audit.write import terminal
    from swath.places import Places

    places = Places.of(absolute(options.storage, "--storage"))
    raise_if_any([*grid_problems(sweep), *places.storage.problems()])
    out = report_folder(options.out, sweep.name, places.storage)
    for found, folder in audit_sweep(sweep, places.storage, places.memory, out, say):
        print(terminal(found))
        print(f"audit: {folder}/audit.md")


def _refit(argv: list[str]) -> None:
    words = [word for word in argv if word != "--full"]
    script = _script(words)
    if len(words) < 2 or words[1].startswith("-") or len(words) == len(argv):
        raise InputError(
            'give the script, the cell and --full: swath refit SCRIPT "LABEL OR best" --full [options of the script]'
        )
    start = _looked_at(_load(script), words[2:])
    from swath.refit import list_refits, plan_refit
    from swath.report.collect import read_results
    from swath.report.submission import best_cell

    label, sweep = words[1], start.plan.sweep
    if label == "best":
        known = {trial.cell.label for trial in start.plan.trials}
        label = best_cell(read_results(start.plan.places.storage, sweep.name), known)
    plan = plan_refit(start.plan, label)
    if start.options.dry_run:
        print(f"would train {label!r} on all training images, {len(plan.lacking())} of {len(plan.trials)} seeds")
        return
    list_refits(plan)
    _carry_out(replace(start, plan=plan))
    plan.refresh()
    failed = [t.label for t in plan.trials if plan.outcomes[t.spec.fingerprint].state != "COMPLETE"]
    if failed:
        raise SwathError(f"{', '.join(failed)} failed; start it again with --retry-failed.")
    storage = start.plan.places.storage.root
    print(f'refitted: swath predict {sweep.name} --ensemble "refit {label}" --storage {storage}')


def _script(argv: list[str]) -> str:
    if not argv or argv[0].startswith("-"):
        raise InputError("give the sweep script first, e.g. swath check sweeps/demo.py --data DIR")
    return argv[0]


def _detect(argv: list[str]) -> None:
    from swath import detect_cli

    detect_cli.command(argv, lambda words: _parsed(_load(words[0]), words[1:]))
