"""`swath audit`: is the data of a sweep's tasks sound? Written beside its report and kept in the store."""

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from swath.cli.output import report_folder, say
from swath.cli.script import load_script, parse_options, script_argument
from swath.config.sweep import Sweep
from swath.config.task import Task
from swath.core.errors import InputError, raise_if_any
from swath.plan.cells import expand
from swath.plan.problems import grid_problems
from swath.store.paths import absolute
from swath.store.storage import Locations, Storage
from swath.tasks.audit import run as audit_run
from swath.tasks.audit.findings import Audit, kept_place
from swath.tasks.audit.write import draw, terminal, write_audit
from swath.tasks.prepare import TaskPlan, plan_task


def audit(argv: list[str]) -> None:
    """Carry out `swath audit SCRIPT [options of the script]`."""
    script = script_argument(argv, "swath audit SCRIPT", "Look at every image and label of a sweep's tasks.")
    sweep, options = parse_options(load_script(script), argv[1:])
    locations = Locations.of(absolute(options.storage, "--storage"))
    raise_if_any([*grid_problems(sweep), *locations.storage.problems()])
    out = report_folder(options.out, sweep.name, locations.storage)
    for task_audit, folder in audit_sweep(sweep, locations.storage, locations.memory, out, say):
        print(terminal(task_audit))
        print(f"audit: {folder}/audit.md")


def audit_sweep(
    sweep: Sweep, storage: Storage, memory: Path, out: Path | None, say: Callable[[str], None]
) -> Iterator[tuple[Audit, str]]:
    """Audit the tasks of a sweep, as the sweep divides them.

    Args:
        sweep: The sweep.
        storage: The store, which keeps each audit under its task's data fingerprint.
        memory: Folder that remembers content hashes.
        out: Folder of the report; None writes to the store only.
        say: Gets lines of progress.

    Yields:
        Each task's audit, and the folder or URI that holds its files.

    Raises:
        InputError: Lists what is wrong with sweep or data.
    """
    plans = _plans(sweep, storage, memory, say)
    for plan in plans:
        task = audit_run.audited_task(plan, say)
        task_audit, pictures = draw(audit_run.audit(plan, task, say), task)
        part = "" if len(plans) == 1 else re.sub(r"[^A-Za-z0-9._-]+", "-", plan.record.label)
        places = [kept_place(storage, plan.data), *([Storage(str(out / "audit" / part))] if out else [])]
        for place in places:
            write_audit(place, task_audit, pictures)
        yield task_audit, places[-1].root


def _plans(sweep: Sweep, storage: Storage, memory: Path, say: Callable[[str], None]) -> list[TaskPlan]:
    raise_if_any([*grid_problems(sweep), *sweep.split.problems()])
    tasks = [task for task in dict.fromkeys(cell.sweep.task for cell in expand(sweep)) if isinstance(task, Task)]
    problems = [problem for task in tasks for problem in task.problems()]
    if not tasks:
        problems.append(f"task={sweep.task!r}: give a value of swath.tasks, e.g. tasks.DaconSatellite(DIR).")
    raise_if_any(problems)
    plans = []
    for task in tasks:
        try:
            plans.append(plan_task(task, sweep, memory, storage))
        except InputError as error:
            problems += error.problems
    raise_if_any(problems)
    for note in itertools.chain.from_iterable(plan.notes for plan in plans):
        say(f"note: {note}")
    return plans
