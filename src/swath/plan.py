"""What starting a sweep would do: tasks read, files looked at, cells expanded, the store asked. No Ray, no torch.

Every problem is found here, before anything is started, and raised at once.
"""

import functools
import itertools
import math
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import TypeVar

from swath import model_names, predictions
from swath.asha import Asha, Stratum, TwoPhase
from swath.chain_plan import ChainPlan, chain_problems_on, plan_chain, reads_hires
from swath.chains import Preprocess, chain_problems, finished, for_test, for_train
from swath.detection.folder import crop_problems
from swath.errors import InputError, raise_if_any
from swath.model_names import Start
from swath.ops import Both, DetectCrop
from swath.paths import Storage, node_cache_folder
from swath.predictions import Outcome, Trial
from swath.preprocess import cache as caches
from swath.preprocess.cache import EntryPlan
from swath.preprocess.features import FeaturePlan
from swath.preprocess.needs import steps_bytes
from swath.recipe import Backbone
from swath.search import Evaluated, Point, Random, Search
from swath.spec import TrialSpec
from swath.sweep import (
    Cell,
    Sweep,
    cell_problems,
    edge_cells,
    expand,
    grid_cells,
    grid_problems,
    label_problems,
    published_problems,
    space_of,
)
from swath.task import Task
from swath.task_plan import TaskPlan, plan_task

T = TypeVar("T")


@dataclass(frozen=True)
class Places:
    """Where a sweep reads and writes.

    Attributes:
        storage: The store.
        local_cache: Node-local folder for copies of cache entries; None maps them in the storage folder.
    """

    storage: Storage
    local_cache: Path | None = None

    @staticmethod
    def of(storage: str, cache: str = "") -> "Places":
        """From the command line's `--storage` and `--cache` (both absolute or a URI)."""
        store = Storage(storage)
        if cache:
            return Places(store, Path(cache))
        return Places(store, None if store.folder else node_cache_folder())

    @property
    def cache(self) -> Storage:
        """Where cache entries are built."""
        return self.storage.child("cache")

    @property
    def memory(self) -> Path:
        """Folder that remembers content hashes."""
        return (self.storage.folder or node_cache_folder()) / "hashes"


@dataclass(frozen=True)
class PlannedTrial:
    """One trial of the sweep: a cell, a fold and a seed.

    Attributes:
        cell: The cell.
        spec: Everything that decides the result.
        entries: Its cache entries by part.
        features: Entries of the features of its images by part, where a frozen backbone makes them shareable.
        weights_file: File or folder the backbone starts from, or "".
        phase: 1, or 2 for one that runs, or not, by what phase 1 found.
        exempt: True when the stopping rule cannot end it.
    """

    cell: Cell
    spec: TrialSpec
    entries: dict[str, EntryPlan]
    features: dict[str, FeaturePlan]
    weights_file: str
    phase: int = 1
    exempt: bool = True

    @property
    def passes(self) -> int:
        """How often an epoch sees each training image: 2 with `Both()`."""
        return 1 + any(isinstance(op, Both) for op in for_train(self.spec.preprocess))

    @property
    def final(self) -> bool:
        """True when it ran to the end, if it ran, for no score of its own: what final estimates may rest on."""
        return self.exempt and (self.phase == 2 or not isinstance(self.cell.sweep.stop, TwoPhase))

    def rungs(self) -> dict[int, int]:
        """Rungs of the sweep's rule by the epoch at which this trial meets them."""
        stop = self.cell.sweep.stop
        return stop.rungs(self.spec.recipe.epochs, self.passes) if stop else {}

    @property
    def label(self) -> str:
        """The cell's label with the seed and the fold, if there are several: `sharpen / resnet50 / bce / seed 0`."""
        fold = f" / fold {self.spec.fold}" if self.spec.split.folds > 1 else ""
        return f"{self.cell.label} / seed {self.spec.seed}{fold}"

    @property
    def stratum(self) -> Stratum:
        """Trials that ASHA compares: one task, one backbone, one fold."""
        return (self.spec.data, self.cell.backbone.canonical(), self.spec.fold)


@dataclass
class Plan:
    """All of a sweep's trials and what the store has of them.

    Attributes:
        sweep: The sweep.
        places: Where it reads and writes.
        tasks: Its tasks.
        trials: Its trials, the baseline's first.
        outcomes: Final states found in the store, by fingerprint.
        points: What the search has asked for in each cell of the grid, by its label.
        notes: What the user should know, and that stops nothing.
        commit: The git commit of swath's code, or "".
        trials_of: Makes the trials of further cells.
        searched: True once the search has no further points.
        refit: True where nobody validates: the trials are listed apart, where rankings do not see them.
        command: The shell command that started it, or "".
    """

    sweep: Sweep
    places: Places
    tasks: list[TaskPlan]
    trials: list[PlannedTrial]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    points: dict[str, list[Point]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    commit: str = field(default_factory=lambda: code_commit())
    trials_of: Callable[[Sequence[Cell]], list[PlannedTrial]] = field(default=lambda cells: [], repr=False)  # noqa: ARG005
    searched: bool = False
    refit: bool = False
    command: str = ""

    def entries(self) -> list[EntryPlan]:
        """The distinct cache entries of all trials."""
        return list({e.key: e for t in self.trials for e in t.entries.values()}.values())

    def entries_needed(self, retry_failed: bool = False) -> list[EntryPlan]:
        """The entries that lacking trials need; trials on features that are there need no images."""
        uncomputed = {f.key for f in self.features_to_build(retry_failed)}
        wanted = {
            entry.key: entry
            for t in self.lacking(retry_failed)
            for part, entry in t.entries.items()
            if not t.features or t.features[part].key in uncomputed
        }
        return list(wanted.values())

    def entries_to_build(self, retry_failed: bool = False) -> list[EntryPlan]:
        """Those that are not finished."""
        return [e for e in self.entries_needed(retry_failed) if not caches.is_built(self.places.cache, e.key)]

    def features(self) -> list[FeaturePlan]:
        """The distinct feature entries of all trials."""
        return list({f.key: f for t in self.trials for f in t.features.values()}.values())

    def features_to_build(self, retry_failed: bool = False) -> list[FeaturePlan]:
        """The feature entries that lacking trials need and that are not finished."""
        wanted = {f.key: f for t in self.lacking(retry_failed) for f in t.features.values()}
        return [f for f in wanted.values() if not caches.is_built(self.places.cache, f.key)]

    def bytes_to_build(self) -> int:
        """Size of the shards that are still to be built, and about that of the results of expensive ops."""
        cache = self.places.cache
        entries = self.entries_to_build()
        shards = sum(e.image_bytes * e.images_in(caches.missing_shards(cache, e)) for e in entries)
        return shards + steps_bytes(cache, entries) + sum(f.bytes for f in self.features_to_build())

    def handle(self, trial: PlannedTrial) -> Trial:
        """The trial in the store."""
        return Trial(self.places.storage, trial.spec.fingerprint)

    def read(self, trials: Sequence[PlannedTrial], what: Callable[[Trial], T]) -> list[T]:
        """Something of each trial in the store, in order; many at a time, for object stores are slow to answer."""
        with ThreadPoolExecutor(16) as pool:
            return list(pool.map(lambda t: what(self.handle(t)), trials))

    def lacking(self, retry_failed: bool = False) -> list[PlannedTrial]:
        """Trials the store does not have: not final, or stopped under another rule, or failed and to be retried.

        The second phase has its say in it: see `listed`, and of a cell's further seeds those are wanted whose first
        seed may still survive, or has.
        """
        return [t for t in self.listed() if not self._has(t, retry_failed) and self._is_wanted(t)]

    def listed(self) -> list[PlannedTrial]:
        """The trials that belong to the sweep. Of a two-phase sweep's second phase: the chosen cells', once chosen."""
        stop = self.sweep.stop
        if not isinstance(stop, TwoPhase):
            return self.trials
        over = self.first_phase_over() and (self.searched or not self.sweep.search)
        first = [t for t in self.trials if t.phase == 1]
        chosen = second_phase(first, self.outcomes, stop.top) if over else set()
        return [t for t in self.trials if t.phase == 1 or t.cell.label in chosen]

    def first_phase_over(self) -> bool:
        """True when every trial of phase 1 that is known so far has ended."""
        return all(self._has(t, retry_failed=False) for t in self.trials if t.phase == 1)

    def at_most_later(self) -> int:
        """How many trials will be added at most, by the search and by the second phase of a two-phase sweep."""
        cells = {t.cell.label: t.stratum[:2] for t in self.listed()}
        search = None if self.searched else self.sweep.search
        asked = sum(search.n - len(points) for points in self.points.values()) if search else 0
        found = asked * len(self.sweep.seeds)
        stop = self.sweep.stop
        if isinstance(stop, TwoPhase) and not any(t.phase == 2 for t in self.listed()):
            most = sum(min(stop.top, n + asked) for n in Counter(cells.values()).values())
            found += min(len(cells) + asked, most + 1) * len(stop.seeds)
        return found * self.sweep.split.folds

    def grow(self) -> bool:
        """Ask the search for its next points, in every cell of the grid whose points have all been evaluated.

        Returns:
            True when there are new trials to run.

        Raises:
            InputError: A new point cannot be trained.
        """
        search, known = self.sweep.search, {t.cell.label for t in self.trials}
        if search is None or self.searched:
            return False
        for cell in grid_cells(self.sweep):
            own = [t for t in self.trials if t.cell.origin == cell.label and t.phase == 1]
            if all(self._has(t, retry_failed=False) for t in own):
                evaluated = [self._evaluated(own, point) for point in self.points[cell.label]]
                self.points[cell.label] += search.ask(space_of(cell), evaluated)[: search.n - len(evaluated)]
        new = [c.sized() for c in expand(self.sweep, self.points) if c.label not in known]
        raise_if_any(problem for cell in new for problem in cell_problems(cell))
        added = self.trials_of(new)
        self.refresh(added)
        self.trials += added
        self.searched = not added
        return bool(added)

    def _evaluated(self, own: Sequence[PlannedTrial], point: Point) -> Evaluated:
        """What became of a point, over its folds and seeds: the worst state, the mean score."""
        outcomes = [self.outcomes[t.spec.fingerprint] for t in own if t.cell.point == point]
        states = {o.state for o in outcomes}
        state = next(s for s in ("FAILED", "STOPPED", "COMPLETE") if s in states)
        score = fmean(math.nan if o.score is None else o.score for o in outcomes)
        return Evaluated(point, state, score, min(o.epochs for o in outcomes))

    def _is_wanted(self, trial: PlannedTrial) -> bool:
        if trial.phase == 1 or trial.cell.baseline or isinstance(self.sweep.stop, TwoPhase):
            return True
        for fold in range(self.sweep.split.folds):
            first = replace(trial, spec=replace(trial.spec, seed=self.sweep.seeds[0], fold=fold), phase=1, exempt=False)
            outcome = self.outcomes.get(first.spec.fingerprint)
            if outcome and outcome.state != "COMPLETE" and self._has(first, retry_failed=False):
                return False
        return True

    def _has(self, trial: PlannedTrial, retry_failed: bool) -> bool:
        outcome = self.outcomes.get(trial.spec.fingerprint)
        if outcome is None:
            return False
        if outcome.state == "STOPPED":
            return outcome.rule == rule_of(self.sweep.stop) and not trial.exempt
        return outcome.state == "COMPLETE" or not retry_failed

    def refresh(self, trials: Sequence[PlannedTrial] | None = None) -> None:
        """Read the final states of trials, by default of all, from the store."""
        asked = self.trials if trials is None else trials
        for trial, outcome in zip(asked, self.read(asked, Trial.outcome), strict=True):
            self.outcomes.pop(trial.spec.fingerprint, None)
            if outcome is not None:
                self.outcomes[trial.spec.fingerprint] = outcome


def rule_of(stop: Asha | None) -> str:
    """The stopping rule as stored with a stopped trial; "" for none."""
    return stop.rule if stop else ""


def second_phase(first: Sequence[PlannedTrial], outcomes: Mapping[str, Outcome], top: int) -> set[str]:
    """Labels of the best cells of each stratum, over all folds and seeds of the first phase, and of the baseline.

    Cells that got further come first, then those that scored higher where they got; failed ones are out.
    """
    cells: dict[tuple[str, str], dict[str, list[tuple[float, float]]]] = {}
    for trial in first:
        outcome = outcomes[trial.spec.fingerprint]
        failed = outcome.state == "FAILED" or outcome.score is None or math.isnan(outcome.score)
        reached = (-1.0, 0.0) if failed else (outcome.epochs / trial.spec.recipe.epochs, outcome.score or 0.0)
        cells.setdefault(trial.stratum[:2], {}).setdefault(trial.cell.label, []).append(reached)
    chosen = {t.cell.label for t in first if t.cell.baseline}
    for stratum in cells.values():
        means = {label: tuple(map(fmean, zip(*reached, strict=True))) for label, reached in stratum.items()}
        sound = [label for label, reached in stratum.items() if min(reached)[0] >= 0]
        chosen |= set(sorted(sound, key=lambda label: means[label], reverse=True)[:top])
    return chosen


def make_plan(sweep: Sweep, places: Places, threads: int = 1) -> Plan:
    """Read, look and expand.

    Args:
        sweep: The sweep.
        places: Where it reads and writes.
        threads: CPU threads of a trial.

    Raises:
        InputError: Lists every problem.
    """
    problems = grid_problems(sweep)
    raise_if_any(problems)
    problems += places.storage.problems()
    points = {} if problems else _points(sweep, places)
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
            tasks[task] = plan_task(task, sweep, places.memory, notes)
        except InputError as error:
            problems += error.problems
    problems += crop_problems(_crops(cells, tasks))
    raise_if_any(problems)
    used = dict.fromkeys((c.sweep.task, cell_chain(c)) for c in [*cells, *edges])
    for task in {task for task, chain in used if reads_hires(chain)}:
        tasks[task] = tasks[task].with_hires(places.memory)
    raise_if_any(p for task, chain in used for p in chain_problems_on(tasks[task], chain))
    trials_of = _planner(sweep, tasks, threads)
    trials = trials_of(cells)
    plan = Plan(sweep, places, list(tasks.values()), trials, points=points, notes=notes, trials_of=trials_of)
    plan.refresh()
    while sweep.search and plan.first_phase_over() and plan.grow():
        pass  # an interrupted search goes on where it was
    _keep_bad_images(plan)
    raise_if_any([*_twin_problems(trials), *_name_problems(plan), *disk_problems(plan)])
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


def _planner(
    sweep: Sweep, tasks: Mapping[Task, TaskPlan], threads: int
) -> Callable[[Sequence[Cell]], list[PlannedTrial]]:
    """What makes the trials of sound cells, and hashes each weight file and plans each chain once."""
    start = functools.cache(model_names.start)
    planned = functools.cache(lambda task, chain, fold: plan_chain(tasks[task], chain, fold))
    stop = sweep.stop

    def trials_of(cells: Sequence[Cell]) -> list[PlannedTrial]:
        return [
            planned_trial(
                cell,
                _spec(cell, tasks[cell.sweep.task], prepared, fold, seed, threads, start(cell.backbone)),
                prepared.entries,
                start(cell.backbone),
                *(stop.role(seed, sweep.seeds[0], cell.baseline) if stop else (1, True)),
            )
            for seed in (*sweep.seeds, *(stop.later_seeds if stop else ()))
            for cell in cells
            for fold in range(sweep.split.folds)
            for prepared in (planned(cell.sweep.task, cell_chain(cell), fold),)
        ]

    return trials_of


def _points(sweep: Sweep, places: Places) -> dict[str, list[Point]]:
    """The points that an earlier start asked for in the same search, else the first ones."""
    search = sweep.search
    if search is None or sweep.members:
        return {}
    earlier = (predictions.read_sweep(places.storage, sweep.name) or {}).get("search", {})
    found = {}
    for cell in grid_cells(sweep):
        asked = earlier.get(cell.label, {})
        same = asked.get("search") == search_key(search) and asked.get("space") == space_text(cell)
        found[cell.label] = asked["points"][: search.n] if same else []
        found[cell.label] = found[cell.label] or search.ask(space_of(cell), [])
        if isinstance(search, Random):  # known in full from the start
            found[cell.label] = search.ask(space_of(cell), [])
    return found


def search_key(search: Search) -> list[object]:
    """What two searches have in common when the points of one are points of the other; their number may differ."""
    return [search.name, search.seed]


def space_text(cell: Cell) -> dict[str, str]:
    """The ranges of a grid's cell as text."""
    return {name: str(one) for name, one in space_of(cell).items()}


def _keep_bad_images(plan: Plan) -> None:
    """Enter the images that an earlier build could not decode: the same content cannot be decoded now either."""
    for task in plan.tasks:
        task.record.leave_out(predictions.bad_images(plan.places.storage, task.data))


def code_commit() -> str:
    """The git commit of swath's code where it is a checkout, "" elsewhere."""
    folder = Path(__file__).parent
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def cell_chain(cell: Cell) -> Preprocess:
    """The preprocessing of a sized cell, with its resize."""
    return finished(cell.sweep.preprocess, cell.sweep.recipe.side_px)


def planned_trial(
    cell: Cell, spec: TrialSpec, entries: dict[str, EntryPlan], start: Start, phase: int, exempt: bool
) -> PlannedTrial:
    """A trial, with the features of its images where a frozen backbone makes them shareable."""
    features = {}
    if spec.recipe.shares_features:
        features = {
            part: FeaturePlan(entry, spec.backbone, spec.weights, start.path, spec.threads, spec.seed)
            for part, entry in entries.items()
        }
    return PlannedTrial(cell, spec, entries, features, start.path, phase, exempt)


def _spec(
    cell: Cell, task: TaskPlan, prepared: ChainPlan, fold: int, seed: int, threads: int, start: Start
) -> TrialSpec:
    return TrialSpec(
        task=task.record.label,
        kind=task.record.kind,
        metric=task.record.metric,
        data=task.data,
        split=cell.sweep.split,
        fold=fold,
        preprocess=prepared.preprocess,
        backbone=start.backbone,
        weights=start.weights,
        loss=cell.sweep.loss,
        recipe=cell.sweep.recipe,
        threads=threads,
        seed=seed,
        op_weights=prepared.op_weights,
        hires=prepared.hires,
    )


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
    earlier = predictions.read_sweep(plan.places.storage, plan.sweep.name)
    if earlier is None:
        return []
    kinds = {(t["label"], tuple(t["labels"])) for t in earlier["tasks"]}
    now = {(t.record.label, t.record.labels) for t in plan.tasks}
    if kinds & now or not kinds:
        return []
    return [
        f"sweep name {plan.sweep.name!r} already stands for a sweep on {', '.join(sorted(k for k, _ in kinds))} in "
        f"{plan.places.storage.root}; this one is on {', '.join(sorted(k for k, _ in now))}. "
        "Give it another name, or another --storage."
    ]


def disk_problems(plan: Plan) -> list[str]:
    """A sentence for each disk that cannot hold the caches still to be built."""
    needed = plan.bytes_to_build()
    places = [("--storage", plan.places.cache)]
    if plan.places.local_cache:
        places.append(("--cache", Storage(str(plan.places.local_cache))))
    found = []
    for option, place in places:
        free = place.free_bytes()
        if free is not None and needed > free:
            found.append(
                f"the caches need {size_text(needed)} in {place.root}, where {size_text(free)} are free. "
                f"Free some, give {option} on a larger disk, or use a smaller image_size or fewer chains."
            )
    return found


def size_text(size: float) -> str:
    """`12.3 MB`, `4.0 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
