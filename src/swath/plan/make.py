"""Making a plan: every problem found and raised at once, cells expanded, the store asked."""

import itertools
from collections.abc import Iterable, Mapping

from swath.config.chains import chain_problems, for_test, for_train
from swath.config.ops import DetectCrop
from swath.config.recipe import Backbone
from swath.config.search import Point, Random
from swath.config.sweep import Sweep
from swath.config.task import Task
from swath.core.errors import InputError, raise_if_any
from swath.models import names as model_names
from swath.models.detection.checkpoints import crop_problems
from swath.plan.cells import Cell, edge_cells, expand, grid_cells, space_of
from swath.plan.disk_space import disk_problems
from swath.plan.plan import Plan, search_key, space_text
from swath.plan.preprocessing import chain_problems_on, reads_hires
from swath.plan.problems import cell_problems, grid_problems, label_problems, published_problems
from swath.plan.trials import PlannedTrial, cell_chain, trial_maker
from swath.store import sweeps as sweeps_
from swath.store import tasks as tasks_
from swath.store.storage import Locations
from swath.tasks.prepare import TaskPlan, plan_task


def make_plan(sweep: Sweep, locations: Locations, threads: int = 1) -> Plan:
    """Read, look and expand.

    Args:
        sweep: The sweep.
        locations: Where it reads and writes.
        threads: CPU threads of a trial.

    Raises:
        InputError: Lists every problem.
    """
    problems = grid_problems(sweep)
    raise_if_any(problems)
    unreachable = locations.storage.problems()
    problems += unreachable
    points = {} if problems else _points(sweep, locations)
    cells = [cell.sized() for cell in expand(sweep, points)]
    edges = [cell.sized() for cell in edge_cells(sweep)]
    problems += label_problems(cells) + published_problems(sweep, cells)
    problems += itertools.chain.from_iterable(cell_problems(cell) for cell in [*cells, *edges])
    backbones = dict.fromkeys(c.backbone for c in cells if isinstance(c.sweep.backbone, Backbone | str))
    problems += itertools.chain.from_iterable(model_names.file_problems(b) for b in backbones)
    notes: list[str] = []
    tasks: dict[Task, TaskPlan] = {}
    sound = (c.sweep.task for c in cells if isinstance(c.sweep.task, Task) and not c.sweep.task.problems())
    for task in dict.fromkeys(sound):
        try:
            tasks[task] = plan_task(task, sweep, locations.memory, notes, None if unreachable else locations.storage)
        except InputError as error:
            problems += error.problems
    problems += crop_problems(_crops(cells, tasks))
    raise_if_any(problems)
    used = dict.fromkeys((c.sweep.task, cell_chain(c)) for c in [*cells, *edges])
    for task in {task for task, chain in used if reads_hires(chain)}:
        tasks[task] = tasks[task].with_hires(locations.memory)
    raise_if_any(p for task, chain in used for p in chain_problems_on(tasks[task], chain))
    trials_of = trial_maker(sweep, tasks, threads)
    trials = trials_of(cells)
    plan = Plan(sweep, locations, list(tasks.values()), trials, points=points, notes=notes, trials_of=trials_of)
    plan.refresh()
    while sweep.search and plan.first_phase_over() and plan.grow():
        pass  # an interrupted search goes on where it was
    _keep_bad_images(plan)
    raise_if_any(
        [*_twin_problems(trials), *_name_problems(plan), *disk_problems(plan.locations, plan.bytes_to_build())]
    )
    return plan


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


def _points(sweep: Sweep, locations: Locations) -> dict[str, list[Point]]:
    """The points that an earlier start asked for in the same search, else the first ones."""
    search = sweep.search
    if search is None or sweep.members:
        return {}
    record = sweeps_.read_sweep(locations.storage, sweep.name)
    earlier_searches = record.search if record else {}
    points: dict[str, list[Point]] = {}
    for cell in grid_cells(sweep):
        earlier = earlier_searches.get(cell.label)
        same = earlier and earlier.search == search_key(search) and earlier.space == space_text(cell)
        kept = list(earlier.points[: search.n]) if earlier and same else []
        # Random points are known in full from the start: a larger number adds to those of the smaller one.
        points[cell.label] = kept if kept and not isinstance(search, Random) else search.ask(space_of(cell), [])
    return points


def _keep_bad_images(plan: Plan) -> None:
    """Enter the images that an earlier build could not decode: the same content cannot be decoded now either."""
    for task in plan.tasks:
        task.record.leave_out(tasks_.bad_images(plan.locations.storage, task.data))


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


def _name_problems(plan: Plan) -> list[str]:
    """A sentence when the sweep's name already stands for a sweep on other tasks."""
    earlier = sweeps_.read_sweep(plan.locations.storage, plan.sweep.name)
    if earlier is None:
        return []
    kinds = {(t.label, t.labels) for t in earlier.tasks}
    now = {(t.record.label, t.record.labels) for t in plan.tasks}
    if kinds & now or not kinds:
        return []
    return [
        f"sweep name {plan.sweep.name!r} already stands for a sweep on {', '.join(sorted(k for k, _ in kinds))} in "
        f"{plan.locations.storage.root}; this one is on {', '.join(sorted(k for k, _ in now))}. "
        "Give it another name, or another --storage."
    ]
