"""A trial before it runs: what decides its result, where its images lie, and which trials a second phase has."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from swath.config.chains import Preprocess, finished, for_train
from swath.config.ops import Both
from swath.config.stopping import Asha, Reached, Stratum, TwoPhase, best_cells
from swath.config.sweep import Sweep
from swath.config.task import Task
from swath.config.trial_spec import TrialSpec
from swath.models import names as model_names
from swath.models.names import ResolvedBackbone
from swath.plan.cells import Cell
from swath.plan.preprocessing import ChainPlan, plan_chain
from swath.preprocess.cache.entry import EntryPlan
from swath.preprocess.cache.features import FeaturePlan
from swath.store.states import State
from swath.store.trials import Outcome
from swath.tasks.prepare import TaskPlan


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


def cell_chain(cell: Cell) -> Preprocess:
    """The preprocessing of a sized cell, with its resize."""
    return finished(cell.sweep.preprocess, cell.sweep.recipe.side_px)


def planned_trial(
    cell: Cell, spec: TrialSpec, entries: dict[str, EntryPlan], resolved: ResolvedBackbone, phase: int, exempt: bool
) -> PlannedTrial:
    """A trial, with the features of its images where a frozen backbone makes them shareable."""
    features = {}
    if spec.recipe.shares_features:
        features = {
            part: FeaturePlan(
                images=entry,
                backbone=spec.backbone,
                weights=spec.weights,
                path=resolved.path,
                threads=spec.threads,
                seed=spec.seed,
            )
            for part, entry in entries.items()
        }
    return PlannedTrial(
        cell=cell, spec=spec, entries=entries, features=features, weights_file=resolved.path, phase=phase, exempt=exempt
    )


def trial_spec(
    cell: Cell, task: TaskPlan, prepared: ChainPlan, fold: int, seed: int, threads: int, resolved: ResolvedBackbone
) -> TrialSpec:
    """Everything that decides the result of one seed on one fold of a sized cell."""
    return TrialSpec(
        task=task.record.label,
        kind=task.record.kind,
        metric=task.record.metric,
        data=task.data,
        split=cell.sweep.split,
        fold=fold,
        preprocess=prepared.preprocess,
        backbone=resolved.backbone,
        weights=resolved.weights,
        loss=cell.sweep.loss,
        recipe=cell.sweep.recipe,
        threads=threads,
        seed=seed,
        op_weights=prepared.op_weights,
        hires=prepared.hires,
        streams=cell.sweep.streams,
    )


def trial_maker(
    sweep: Sweep, tasks: Mapping[Task, TaskPlan], threads: int
) -> Callable[[Sequence[Cell]], list[PlannedTrial]]:
    """What makes the trials of sound cells, and hashes each weight file and plans each chain once."""
    resolve = functools.cache(model_names.resolve_backbone)
    planned = functools.cache(lambda task, chain, fold: plan_chain(tasks[task], chain, fold))
    stop = sweep.stop

    def trials_of(cells: Sequence[Cell]) -> list[PlannedTrial]:
        return [
            planned_trial(
                cell,
                trial_spec(cell, tasks[cell.sweep.task], prepared, fold, seed, threads, resolve(cell.backbone)),
                prepared.entries,
                resolve(cell.backbone),
                *(stop.role(seed, sweep.seeds[0], cell.baseline) if stop else (1, True)),
            )
            for seed in (*sweep.seeds, *(stop.later_seeds if stop else ()))
            for cell in cells
            for fold in range(sweep.split.folds)
            for prepared in (planned(cell.sweep.task, cell_chain(cell), fold),)
        ]

    return trials_of


def rule_of(stop: Asha | None) -> str:
    """The stopping rule as stored with a stopped trial; "" for none."""
    return stop.rule if stop else ""


def second_phase(first: Sequence[PlannedTrial], outcomes: Mapping[str, Outcome], top: int) -> set[str]:
    """Labels of the best cells of each stratum, over all folds and seeds of the first phase, and of the baseline."""
    reached = []
    for trial in first:
        outcome = outcomes[trial.spec.fingerprint]
        failed = outcome.state == State.FAILED or outcome.score is None
        share = -1.0 if failed else outcome.epochs / trial.spec.recipe.epochs
        reached.append(Reached(trial.stratum, trial.cell.label, share, outcome.score or 0.0))
    return best_cells(reached, top) | {t.cell.label for t in first if t.cell.baseline}
