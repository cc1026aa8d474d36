"""Making a plan: grids expanded, tasks read, files looked at. No Ray, no torch.

Problems are found here, before anything is started, and raised together.
"""

import itertools
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from swath.config.chains import chain_problems, for_test, for_train
from swath.config.ops import DetectCrop
from swath.config.recipe import Backbone
from swath.config.search import Point, Random, Search
from swath.config.sweep import Sweep
from swath.config.task import Task
from swath.core.errors import InputError, raise_if_any
from swath.models import names as model_names
from swath.models.detection.checkpoints import crop_problems
from swath.plan.cells import Cell, edge_cells, grid_cells, search_cells, space_of, space_text
from swath.plan.plan import Plan
from swath.plan.preprocessing import chain_problems_on, reads_hires
from swath.plan.problems import cell_problems, grid_problems, label_problems, published_problems
from swath.plan.trials import PlannedTrial, cell_chain, trial_maker
from swath.store import sweeps as sweeps_
from swath.store import tasks as tasks_
from swath.store.storage import Locations, Storage
from swath.store.sweeps import SweepRecord
from swath.tasks.prepare import TaskPlan, plan_task


def make_plan(sweep: Sweep, locations: Locations, threads: int = 1, command: str = "") -> Plan:
    """Expand a sweep's grids, read its tasks, look at its files.

    Args:
        sweep: The sweep.
        locations: Where it reads and writes.
        threads: CPU threads of a trial.
        command: The shell command that started it.

    Raises:
        InputError: Lists every problem.
    """
    raise_if_any(grid_problems(sweep))
    problems = locations.storage.problems()
    reachable = None if problems else locations.storage
    earlier = sweeps_.read_sweep(reachable, sweep.name) if reachable else None
    sweep = _with_streams_of(sweep, [earlier, *_records_of(sweep.members, reachable)])
    grid = grid_cells(sweep)
    points = _points(sweep.search, grid, earlier) if sweep.search else {}
    cells = [cell.sized() for cell in (search_cells(grid, points) if sweep.search else grid)]
    edges = [cell.sized() for cell in edge_cells(grid)] if sweep.search else []
    problems += label_problems(cells) + published_problems(sweep, cells)
    problems += itertools.chain.from_iterable(cell_problems(cell) for cell in [*cells, *edges])
    backbones = dict.fromkeys(c.backbone for c in cells if isinstance(c.sweep.backbone, Backbone | str))
    problems += itertools.chain.from_iterable(model_names.file_problems(b) for b in backbones)
    tasks: dict[Task, TaskPlan] = {}
    sound = (c.sweep.task for c in cells if isinstance(c.sweep.task, Task) and not c.sweep.task.problems())
    for task in dict.fromkeys(sound):
        try:
            tasks[task] = plan_task(task, sweep, locations.memory, reachable)
        except InputError as error:
            problems += error.problems
    problems += crop_problems(_crops(cells, tasks))
    raise_if_any(problems)
    used = dict.fromkeys((c.sweep.task, cell_chain(c)) for c in [*cells, *edges])
    for task in {task for task, chain in used if reads_hires(chain)}:
        tasks[task] = tasks[task].with_hires(locations.memory)
    raise_if_any(p for task, chain in used for p in chain_problems_on(tasks[task], chain))
    _keep_bad_images(tasks.values(), locations)
    make_trials = trial_maker(sweep, tasks, threads)
    trials = make_trials(cells)
    raise_if_any([*_twin_problems(trials), *_name_problems(sweep, locations, tasks.values(), earlier)])
    return Plan(
        sweep=sweep,
        locations=locations,
        tasks=tuple(tasks.values()),
        grid=tuple(grid),
        trials=tuple(trials),
        make_trials=make_trials,
        points=points,
        commit=code_commit(),
        command=command,
    )


def _records_of(members: Iterable[Sweep], storage: Storage | None) -> list[SweepRecord | None]:
    return [sweeps_.read_sweep(storage, member.name) for member in members] if storage else []


def _with_streams_of(sweep: Sweep, earlier: Iterable[SweepRecord | None]) -> Sweep:
    """The sweep; one that began, itself or as members of a union, with common random numbers keeps them and its trials.

    Args:
        sweep: The sweep.
        earlier: Its record and those of its members, where the store has them.
    """
    began_common = any(record and record.trials and record.streams == "common" for record in earlier)
    return replace(sweep, streams="common") if began_common else sweep


def _crops(cells: Iterable[Cell], tasks: Mapping[Task, TaskPlan]) -> list[tuple[DetectCrop, str, str]]:
    """Every DetectCrop op with the data and the split that its detector is used on."""
    return [
        (op, tasks[c.sweep.task].data, c.sweep.split.canonical())
        for c in cells
        if isinstance(c.sweep.task, Task) and not c.sweep.task.problems() and c.sweep.task in tasks
        if not chain_problems(c.sweep.preprocess)
        for op in (*for_train(c.sweep.preprocess), *for_test(c.sweep.preprocess))
        if isinstance(op, DetectCrop)
    ]


def _points(search: Search, grid: Sequence[Cell], earlier: SweepRecord | None) -> dict[str, Sequence[Point]]:
    """The points that an earlier start asked for in the same search, else the first ones."""
    points: dict[str, Sequence[Point]] = {}
    for cell in grid:
        listed = earlier.search.get(cell.label) if earlier else None
        same = listed and listed.search == search.key and listed.space == space_text(cell)
        kept = listed.points[: search.n] if listed and same else ()
        # Random points are known in full from the start: a larger number adds to those of the smaller one.
        points[cell.label] = kept if kept and not isinstance(search, Random) else search.ask(space_of(cell), [])
    return points


def _keep_bad_images(tasks: Iterable[TaskPlan], locations: Locations) -> None:
    """Enter the images that an earlier build could not decode: the same content cannot be decoded now either."""
    for task in tasks:
        task.record.leave_out(tasks_.bad_images(locations.storage, task.data))


def _twin_problems(trials: list[PlannedTrial]) -> list[str]:
    """A sentence for cells with different labels that are one and the same trial (`resnet50`, `resnet50.a1_in1k`)."""
    cells: dict[str, dict[str, None]] = {}
    for trial in trials:
        cells.setdefault(trial.spec.fingerprint, {})[trial.cell.label] = None
    return [
        f"the cells {' and '.join(map(repr, labels))} train exactly the same: keep one of them."
        for labels in cells.values()
        if len(labels) > 1
    ]


def _name_problems(
    sweep: Sweep, locations: Locations, tasks: Iterable[TaskPlan], earlier: SweepRecord | None
) -> list[str]:
    """A sentence when the sweep's name already stands for a sweep on other tasks."""
    if earlier is None:
        return []
    kinds = {(t.label, t.labels) for t in earlier.tasks}
    now = {(t.record.label, t.record.labels) for t in tasks}
    if kinds & now or not kinds:
        return []
    return [
        f"sweep name {sweep.name!r} already stands for a sweep on {', '.join(sorted(k for k, _ in kinds))} in "
        f"{locations.storage.root}; this one is on {', '.join(sorted(k for k, _ in now))}. "
        "Give it another name, or another --storage."
    ]


def code_commit() -> str:
    """The git commit of swath's code where it is a checkout, "" elsewhere."""
    folder = Path(__file__).parent
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()
