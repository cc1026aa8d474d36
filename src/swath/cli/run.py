"""Looking at a sweep and carrying it out."""

import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swath.cli.output import report_folder, say, write
from swath.cli.script import RunOptions, SweepFunction, _parsed
from swath.config.sweep import Resources
from swath.core.errors import InputError, SwathError, raise_if_any
from swath.plan.problems import grid_problems
from swath.store.paths import absolute, is_uri


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
    from swath.plan.make import make_plan
    from swath.plan.smoke import smoke
    from swath.store.storage import Places

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
    from swath.cli import check

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
        from swath.plan.records import write_records

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
    from swath.engine.ray_backend.trackers import Tracking

    tracking = Tracking(name, tuple(dict.fromkeys(options.track)), out and out / "tensorboard")  # type: ignore[arg-type]
    problems = tracking.problems()
    if options.track and options.inline:
        problems.append("--track works through Ray Tune, which --inline does without: leave one of the two out.")
    raise_if_any(problems)
    return tracking


def _carry_out(start: _Start) -> None:
    from swath.engine.driver import run

    plan, options = start.plan, start.options

    started = time.monotonic()
    if options.inline:
        from swath.engine.inline import InlineEngine

        ran = run(plan, InlineEngine(), say, options.retry_failed)
    else:
        from swath.engine.ray_backend.engine import RayEngine
        from swath.engine.ray_backend.monitor import beating

        with (
            RayEngine(start.resources, start.tracking) as engine,
            beating(plan.places.storage, plan.sweep.name, engine.dashboard),
        ):
            ran = run(plan, engine, say, options.retry_failed)
    say(f"{ran} trials run in {time.monotonic() - started:.0f} s")
