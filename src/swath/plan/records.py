"""What a report needs beside the trials, written to the store: tasks, splits, the list of a sweep's trials."""

from typing import Any

from swath.config.chains import ops_label
from swath.plan.cells import grid_cells
from swath.plan.plan import Plan, search_key, space_text
from swath.plan.trials import rule_of
from swath.store import sweeps as sweeps_
from swath.store import tasks as tasks_


def list_refits(plan: Plan) -> None:
    """Keep in the store which trials are refits of which cell of the sweep."""
    entries = [
        {
            "fingerprint": t.spec.fingerprint,
            "cell": t.cell.label,
            "factors": t.cell.factors,
            "baseline": False,
            "data": t.spec.data,
            "fold": 0,
            "seed": t.spec.seed,
            "epochs": t.spec.recipe.epochs,
            "rungs": [],
        }
        for t in plan.trials
    ]
    sweeps_.add_refits(plan.places.storage, plan.sweep.name, entries)


def write_records(plan: Plan) -> None:
    """Write what a report needs beside the trials: tasks, splits, and the list of this sweep's trials."""
    storage = plan.places.storage
    for task in plan.tasks:
        tasks_.write_task(storage, task.data, task.record)
        tasks_.write_folds(storage, task.data, plan.sweep.split.canonical(), task.folds)
    if plan.refit:
        return  # listed apart: see `swath.plan.refit`
    stop = plan.sweep.stop
    sweeps_.write_sweep(
        storage,
        plan.sweep.name,
        {
            "name": plan.sweep.name,
            "tasks": [
                {"data": t.data, "label": t.record.label, "labels": t.record.labels, "metric": t.record.metric}
                for t in plan.tasks
            ],
            "split": plan.sweep.split.canonical(),
            "rule": rule_of(stop),
            "stop": stop.canonical() if stop else "",
            "seeds": plan.sweep.seeds,
            "notes": plan.notes,
            "command": plan.command,
            "named": any(t.cell.name for t in plan.trials),
            "search": _asked(plan),
            "published": {label: _scores(scores) for label, scores in plan.sweep.published.items()},
            "entries": [
                {
                    "key": e.key,
                    "title": e.describe(),
                    "chain": ops_label(e.chain),
                    "part": e.part,
                    "steps": [{"key": step.key, "chain": ops_label(step.chain)} for step in e.steps()],
                }
                for e in plan.entries()
            ]
            + [
                {"key": f.key, "title": f.describe(), "chain": f.label, "part": f.images.part, "steps": []}
                for f in plan.features()
            ],
            "trials": [
                {
                    "fingerprint": t.spec.fingerprint,
                    "entries": sorted({e.key for e in (*t.entries.values(), *t.features.values())}),
                    "cell": t.cell.label,
                    "factors": t.cell.factors,
                    "baseline": t.cell.baseline,
                    "data": t.spec.data,
                    "fold": t.spec.fold,
                    "seed": t.spec.seed,
                    "epochs": t.spec.recipe.epochs,
                    "rungs": list(t.rungs()),
                    "phase": t.phase,
                    "exempt": t.exempt,
                    "final": t.final,
                    "passes": t.passes * t.spec.recipe.epochs,
                }
                for t in plan.listed()
            ],
        },
    )


def _asked(plan: Plan) -> dict[str, Any]:
    """The points of the search in each cell of the grid: a later start goes on from them."""
    search = plan.sweep.search
    if search is None:
        return {}
    return {
        cell.label: {"search": search_key(search), "space": space_text(cell), "points": plan.points[cell.label]}
        for cell in grid_cells(plan.sweep)
    }


def _scores(published: float | tuple[float, ...]) -> list[float]:
    return list(published) if isinstance(published, tuple) else [published]
