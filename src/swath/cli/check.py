"""What `swath check` prints: cells, caches, disk, cost. Reads the plan, starts nothing."""

from collections import Counter

from swath.core.text import size_text
from swath.plan.cache_needs import built_keys
from swath.plan.disk_space import bytes_to_build
from swath.plan.plan import Plan
from swath.plan.progress import Progress
from swath.plan.trials import PlannedTrial
from swath.store.states import State
from swath.store.trials import Trial

_CELLS_SHOWN = 60


def describe(progress: Progress) -> str:
    """Everything a person wants to know before GPU time is spent."""
    plan = progress.plan
    lines = [headline(progress), *_tasks(plan), *_cells(plan), *_caches(progress), *_cost(progress)]
    return "\n".join([*lines, *(f"note: {note}" for note in plan.notes)])


def headline(progress: Progress) -> str:
    """`sweep x: 36 cells, 108 trials: 12 done, 3 stopped, 0 failed, 93 to run`."""
    cells = len({t.cell.label for t in progress.plan.trials})
    states = Counter(o.state for o in progress.outcomes.values())
    more = progress.at_most_later()
    later = f", and at most {more} later" if more else ""
    return (
        f"sweep {progress.plan.sweep.name}: {cells} cells, {len(progress.listed())} trials: "
        f"{states[State.COMPLETE]} done, {states[State.STOPPED]} stopped, {states[State.FAILED]} failed, "
        f"{len(progress.lacking())} to run{later}"
    )


def _tasks(plan: Plan) -> list[str]:
    lines = []
    for task in plan.tasks:
        rows = task.record.rows
        train = int((rows["split"] == "train").sum())
        folds = plan.sweep.split.folds
        val = round(int((task.folds >= 0).sum()) / folds)
        each = f" in each of {folds} folds" if folds > 1 else ""
        how = f"validate{each} by {plan.sweep.split.canonical()}"
        lines.append(
            f"task {task.record.label}: {task.record.kind}, {len(task.record.labels)} labels, "
            f"{train:,} training images ({train - val:,} train, {val:,} {how}), "
            f"{int((rows['split'] == 'test').sum()):,} test images"
        )
    return lines


def _cells(plan: Plan) -> list[str]:
    cells = list(dict.fromkeys((t.cell.label, t.cell.baseline) for t in plan.trials))
    lines = [f"  {label}{'  (baseline)' if baseline else ''}" for label, baseline in cells[:_CELLS_SHOWN]]
    more = len(cells) - _CELLS_SHOWN
    return ["cells:", *lines, *([f"  and {more} more"] if more > 0 else [])]


def _caches(progress: Progress) -> list[str]:
    plan, needs = progress.plan, progress.cache_needs()
    to_build = {e.key for e in (*needs.entries_to_build(), *needs.features_to_build())}
    entries = [*plan.entries(), *plan.features()]
    built = built_keys(needs.cache, (e.key for e in entries))
    lines = []
    for entry in entries:
        state = "ready" if entry.key in built else "to build" if entry.key in to_build else "not needed"
        lines.append(f"  {state:<10}  {size_text(entry.bytes):>9}  {entry.describe()}")
    free = needs.cache.free_bytes()
    room = "an object store" if free is None else f"{size_text(free)} free"
    return ["caches:", *lines, f"disk: {size_text(bytes_to_build(needs))} to write in {needs.cache.root} ({room})"]


def _cost(progress: Progress) -> list[str]:
    """Epochs and images, and hours where the store has measured this backbone at this size."""
    plan, lacking = progress.plan, progress.lacking()
    if not lacking:
        return []
    rows = {t.data: (t.record.rows["split"] == "train").to_numpy() for t in plan.tasks}
    folds = {t.data: t.folds for t in plan.tasks}
    train = {(d, f): int((rows[d] & (folds[d] != f)).sum()) for d in rows for f in range(plan.sweep.split.folds)}
    images = sum(t.spec.recipe.epochs * train[t.spec.data, t.spec.fold] for t in lacking)
    epochs = sum(t.spec.recipe.epochs for t in lacking)
    lines = [f"cost: at most {epochs:,} epochs, {images:,} training images through a model"]
    seconds = _measured(progress, lacking)
    if seconds:
        lines.append(
            f"cost: about {sum(seconds.values()) / 3600:.1f} device-hours for {len(seconds)} of {len(lacking)} trials, "
            "by the speed of finished trials of the same backbone and size"
        )
    return lines


def _measured(progress: Progress, lacking: list[PlannedTrial]) -> dict[str, float]:
    """About the seconds of each lacking trial whose like the store has measured, by fingerprint."""

    def kind(t: PlannedTrial) -> tuple[str, str, int, int]:
        return (t.spec.data, t.spec.backbone.model, t.spec.recipe.side_px, t.spec.recipe.batch_size)

    plan = progress.plan
    done = {kind(t): t for t in plan.trials if t.spec.fingerprint in progress.outcomes}
    tables = dict(zip(done, plan.read(list(done.values()), Trial.metrics), strict=True))
    per_epoch = {k: float(table["seconds"].median()) for k, table in tables.items() if not table.empty}
    return {t.spec.fingerprint: per_epoch[kind(t)] * t.spec.recipe.epochs for t in lacking if kind(t) in per_epoch}
