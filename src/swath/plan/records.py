"""What a report needs beside the trials, written to the store: tasks, splits, the list of a sweep's trials."""

from swath.config.chains import ops_label
from swath.plan.cells import space_text
from swath.plan.plan import Plan
from swath.plan.progress import Progress
from swath.plan.trials import PlannedTrial, rule_of
from swath.preprocess.cache.entry import EntryPlan
from swath.preprocess.cache.features import FeaturePlan
from swath.store import sweeps as sweeps_
from swath.store import tasks as tasks_
from swath.store.sweeps import ListedEntry, ListedSearch, ListedStep, ListedTask, ListedTrial, SweepRecord
from swath.tasks.prepare import TaskPlan


def write_records(progress: Progress) -> None:
    """Write what a report needs beside the trials: tasks, splits, and the list of this sweep's trials."""
    plan = progress.plan
    storage = plan.locations.storage
    for task in plan.tasks:
        tasks_.write_task(storage, task.data, task.record)
        tasks_.write_folds(storage, task.data, plan.sweep.split.canonical(), task.folds)
    if not plan.refit:  # refits are listed apart: see `list_refits`
        sweeps_.write_sweep(storage, sweep_record(progress))


def sweep_record(progress: Progress) -> SweepRecord:
    """Which trials belong to the sweep, and how it was started."""
    plan, sweep, stop = progress.plan, progress.plan.sweep, progress.plan.sweep.stop
    return SweepRecord(
        name=sweep.name,
        tasks=tuple(map(_listed_task, plan.tasks)),
        split=sweep.split.canonical(),
        rule=rule_of(stop),
        stop=stop.canonical() if stop else "",
        seeds=tuple(sweep.seeds),
        notes=plan.notes,
        command=plan.command,
        named=any(t.cell.name for t in plan.trials),
        search=_listed_searches(plan),
        published={cell: _scores(scores) for cell, scores in sweep.published.items()},
        matters=sweep.matters,
        streams=sweep.streams,
        entries=(*map(_listed_images, plan.entries()), *map(_listed_features, plan.features())),
        trials=tuple(map(_listed_trial, progress.listed())),
    )


def list_refits(plan: Plan) -> None:
    """Keep in the store which trials are refits of which cell of the sweep."""
    listed = [
        ListedTrial(
            fingerprint=t.spec.fingerprint,
            cell=t.cell.label,
            factors=t.cell.factors,
            baseline=False,
            data=t.spec.data,
            fold=0,
            seed=t.spec.seed,
            epochs=t.spec.recipe.epochs,
            rungs=(),
        )
        for t in plan.trials
    ]
    sweeps_.add_refits(plan.locations.storage, plan.sweep.name, listed)


def _listed_task(task: TaskPlan) -> ListedTask:
    return ListedTask(data=task.data, label=task.record.label, labels=task.record.labels, metric=task.record.metric)


def _listed_images(entry: EntryPlan) -> ListedEntry:
    return ListedEntry(
        key=entry.key,
        title=entry.describe(),
        chain=ops_label(entry.chain),
        part=entry.part,
        steps=tuple(ListedStep(key=step.key, chain=ops_label(step.chain)) for step in entry.steps()),
    )


def _listed_features(features: FeaturePlan) -> ListedEntry:
    return ListedEntry(
        key=features.key, title=features.describe(), chain=features.label, part=features.images.part, steps=()
    )


def _listed_trial(trial: PlannedTrial) -> ListedTrial:
    return ListedTrial(
        fingerprint=trial.spec.fingerprint,
        entries=tuple(sorted({e.key for e in (*trial.entries.values(), *trial.features.values())})),
        cell=trial.cell.label,
        factors=trial.cell.factors,
        baseline=trial.cell.baseline,
        data=trial.spec.data,
        fold=trial.spec.fold,
        seed=trial.spec.seed,
        epochs=trial.spec.recipe.epochs,
        rungs=tuple(trial.rungs()),
        phase=trial.phase,
        exempt=trial.exempt,
        final=trial.final,
        passes=trial.passes * trial.spec.recipe.epochs,
    )


def _listed_searches(plan: Plan) -> dict[str, ListedSearch]:
    """The points of the search in each cell of the grid: a later start goes on from them."""
    search = plan.sweep.search
    if search is None:
        return {}
    return {
        cell.label: ListedSearch(search=search.key, space=space_text(cell), points=tuple(plan.points[cell.label]))
        for cell in plan.grid
    }


def _scores(published: float | tuple[float, ...]) -> tuple[float, ...]:
    return tuple(published) if isinstance(published, tuple) else (published,)
