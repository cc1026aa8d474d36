"""A chosen cell trained on all training images, for its fixed epochs: what a competition's last submission uses.

No image validates, so a refit has no score: it is listed beside the sweep, and rankings, effects and ensembles ignore
it.
"""

from dataclasses import replace

import numpy as np

from swath.config.chains import for_test, for_train
from swath.config.schedules import Plateau
from swath.config.splits import Full
from swath.core.errors import InputError, raise_if_any
from swath.core.registry import unknown
from swath.models import names as model_names
from swath.plan.cells import Cell
from swath.plan.plan import Plan
from swath.plan.preprocessing import fitted_to_folds, plan_chain
from swath.plan.trials import PlannedTrial, cell_chain, planned_trial
from swath.tasks.prepare import TaskPlan


def plan_refit(plan: Plan, label: str) -> Plan:
    """What a refit of a cell trains: one trial for each of the sweep's seeds.

    Args:
        plan: Of the sweep.
        label: Of the cell.

    Raises:
        InputError: There is no such cell, or its training needs validation images.
    """
    trials = {t.spec.seed: t for t in plan.trials if t.cell.label == label and t.spec.seed in plan.sweep.seeds}
    if not trials:
        raise InputError(unknown("cell", label, dict.fromkeys(t.cell.label for t in plan.trials)))
    first = next(iter(trials.values()))
    task = next(t for t in plan.tasks if t.data == first.spec.data)
    raise_if_any(_problems(first.cell, task))
    everything = replace(task, folds=np.full(len(task.folds), -1))
    return replace(
        plan,
        sweep=replace(plan.sweep, split=Full(), stop=None, search=None),
        tasks=(everything,),
        trials=tuple(_trial(trial, everything) for trial in trials.values()),
        refit=True,
    )


def _problems(cell: Cell, task: TaskPlan) -> list[str]:
    """Sentences about settings that watch validation images, of which a refit has none."""
    recipe, problems = cell.sweep.recipe, []
    if recipe.early_stop is not None:
        problems.append(
            f"cell {cell.label!r} stops early, by its validation images, and a refit has none. Refit a cell of fixed "
            "epochs: early_stop=None, and as many epochs as did best."
        )
    if isinstance(recipe.schedule, Plateau):
        problems.append(
            f"cell {cell.label!r} lowers its learning rate by what validation images say (Plateau), and a refit has "
            "none. Refit a cell with another schedule, such as Cosine()."
        )
    chain = cell_chain(cell)
    if any(fitted_to_folds(half, task.fold_count) for half in (for_train(chain), for_test(chain))):
        problems.append(
            f"cell {cell.label!r} has an op with a model fitted to each fold, and a refit is of no fold. Give the op "
            "one weights file."
        )
    return problems


def _trial(trial: PlannedTrial, task: TaskPlan) -> PlannedTrial:
    cell = replace(trial.cell, sweep=replace(trial.cell.sweep, split=Full(), stop=None))
    prepared = plan_chain(task, cell_chain(cell), 0)
    spec = replace(trial.spec, split=Full(), fold=0, op_weights=prepared.op_weights, hires=prepared.hires)
    entries = {**prepared.entries, "val": prepared.entries["train"]}  # none of its rows will be asked for
    return planned_trial(cell, spec, entries, model_names.resolve_backbone(cell.backbone), 1, True)
