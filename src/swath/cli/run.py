"""A sweep script's run: looking at the sweep, then carrying out what the store lacks."""

import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from swath.cli.output import report_folder, say, write_report
from swath.cli.script import RunOptions, SweepFunction, parse_options
from swath.config.sweep import TrialResources
from swath.core.errors import InputError, SwathError, raise_if_any
from swath.plan.problems import grid_problems
from swath.store.paths import absolute, is_uri
from swath.store.states import State
from swath.store.storage import Locations

if TYPE_CHECKING:  # imported below where they are used: `swath --help` and refused options need neither
    from swath.engine.ray_backend.trackers import Tracking
    from swath.plan.progress import Progress


@dataclass(frozen=True)
class PreparedRun:
    """A sweep without problems, and where and how it is to run.

    Attributes:
        progress: Its trials and what the store has of them.
        options: The command line's.
        resources: Of one trial.
        tracking: Experiment trackers that get its trials as well.
        out: Folder of the report; None where there is none that would last.
    """

    progress: "Progress"
    options: RunOptions
    resources: TrialResources
    tracking: "Tracking"
    out: Path | None


def prepare_run(sweep_function: SweepFunction, argv: Sequence[str]) -> PreparedRun:
    """Parse the options of a sweep script and plan its sweep.

    Raises:
        InputError: Lists everything that is wrong with options, sweep, data and storage.
    """
    sweep, options = parse_options(sweep_function, argv)
    from swath.plan.make import make_plan
    from swath.plan.progress import read_progress
    from swath.plan.smoke import smoke

    resources = TrialResources(options.cpus, options.gpus, options.workers)
    raise_if_any([*resources.problems(), *_inline_problems(options)])
    locations = _locations(options)
    raise_if_any(grid_problems(sweep))
    sweep = smoke(sweep) if options.smoke else sweep
    out = report_folder(options.out, sweep.name, locations.storage)
    tracking = _tracking(options, sweep.name, out)
    plan = make_plan(sweep, locations, options.cpus, _shell_command(sweep_function, argv))
    return PreparedRun(read_progress(plan), options, resources, tracking, out)


def _inline_problems(options: RunOptions) -> list[str]:
    if options.inline and options.workers > 1:
        return [f"--inline is one process, --workers={options.workers} are several: leave one of the two out."]
    return []


def _locations(options: RunOptions) -> Locations:
    storage = absolute(options.storage, "--storage")
    cache = options.cache and absolute(options.cache, "--cache")
    if is_uri(cache):
        raise InputError(f"--cache is {cache!r}: give a folder on each node; what it copies from is --storage.")
    return Locations.of(storage, cache)


def _tracking(options: RunOptions, name: str, out: Path | None) -> "Tracking":
    """The trackers that were asked for; what they need is looked for before anything is started."""
    from swath.engine.ray_backend.trackers import Tracking

    tracking = Tracking(name, tuple(dict.fromkeys(options.track)), out and out / "tensorboard")  # type: ignore[arg-type]
    problems = tracking.problems()
    if options.track and options.inline:
        problems.append("--track works through Ray Tune, which --inline does without: leave one of the two out.")
    raise_if_any(problems)
    return tracking


def _shell_command(sweep_function: SweepFunction, argv: Sequence[str]) -> str:
    """What starts this sweep again: the script as seen from here, and its arguments as given."""
    code = getattr(sweep_function, "__code__", None)
    script = Path(code.co_filename if code else sys.argv[0]).absolute()
    here = Path.cwd()
    shown = script.relative_to(here) if script.is_relative_to(here) else Path(script.name)
    return shlex.join(["python", shown.as_posix(), *argv])


def run_script(sweep_function: SweepFunction, argv: Sequence[str], check_only: bool = False) -> None:
    """Run what the store lacks of a script's sweep and write its report; or only print what that would do."""
    run = prepare_run(sweep_function, argv)
    from swath.cli import check

    progress, options = run.progress, run.options
    plan = progress.plan
    if check_only or options.dry_run:
        print(check.describe(progress))
        print("no problems found")
        return
    for note in plan.notes:
        say(f"note: {note}")
    say(check.headline(progress))
    if progress.lacking(options.retry_failed):
        carry_out(run)
    else:
        from swath.plan.records import write_records

        write_records(progress)
        say("nothing to run: the store has every trial of this sweep")
    write_report(plan.locations.storage, plan.sweep.name, run.out)
    outcomes = progress.outcomes.values()
    if outcomes and all(outcome.state == State.FAILED for outcome in outcomes):
        raise SwathError("every trial of the sweep has failed; the leaderboard says why")


def carry_out(run: PreparedRun) -> None:
    """Run the trials that the store lacks, in this process or on Ray."""
    from swath.engine import driver

    progress, options = run.progress, run.options
    plan = progress.plan
    started = time.monotonic()
    if options.inline:
        from swath.core.process import hide_gpus
        from swath.engine.inline import InlineEngine

        hide_gpus(run.resources.gpus)
        trials = driver.run(progress, InlineEngine(run.resources.gpus), say, options.retry_failed)
    else:
        from swath.engine.ray_backend.engine import RayEngine
        from swath.engine.ray_backend.monitor import publish_cluster_state

        with (
            RayEngine(run.resources, run.tracking) as engine,
            publish_cluster_state(plan.locations.storage, plan.sweep.name, engine.dashboard),
        ):
            trials = driver.run(progress, engine, say, options.retry_failed)
    say(f"{trials} trials run in {time.monotonic() - started:.0f} s")
