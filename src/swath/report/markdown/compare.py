"""The comparison of two sweeps as Markdown."""

import math
from collections.abc import Sequence
from pathlib import Path

from swath.analysis.compare import CellChange, TaskComparison, compare
from swath.analysis.effects import significance as verdicts
from swath.analysis.effects.noise import LEVEL
from swath.analysis.load import read_results
from swath.core.errors import InputError
from swath.core.metrics import METRIC_TITLES
from swath.core.text import count, shortened
from swath.report.format import code, escape, points_text, score_text, table, wrapped
from swath.store.storage import Storage, write_atomic

_VALUE_WIDTH = 60
_LISTED = 12


def compare_sweeps(a: tuple[Storage, str], b: tuple[Storage, str]) -> str:
    """Compare two sweeps of one store or of two.

    Args:
        a: Store and name of the one before.
        b: Of the one after.

    Returns:
        Markdown.

    Raises:
        InputError: Both are the same; a sweep is not there; no task can be compared, with the reason for each.
    """
    if (a[0].root, a[1]) == (b[0].root, b[1]):
        raise InputError(
            f"{a[1]!r} would be compared with itself. Name two sweeps, or the store of an earlier date with "
            "--other-storage."
        )
    comparisons = compare(read_results(*a), read_results(*b))
    if all(task.refused for task in comparisons):
        raise InputError([f"task {task.label} cannot be compared: {task.refused}." for task in comparisons])
    places = [code(name if a[0].root == b[0].root else f"{name} in {store.root}") for store, name in (a, b)]
    parts = [f"# {places[0]} and {places[1]}", f"A is {places[0]}, B is {places[1]}; a move is B less A."]
    return "\n\n".join([*map(wrapped, parts), *map(_task, comparisons)]) + "\n"


def write_comparison(text: str, path: Path) -> Path:
    """Write it to a file."""
    write_atomic(path, text.encode())
    return path


def _task(task: TaskComparison) -> str:
    heading = f"## {escape(task.label)}, {METRIC_TITLES[task.metric]}"
    if task.refused:
        return f"{heading}\n\n{wrapped(f'It cannot be compared: {escape(task.refused)}.')}"
    parts = [_headline(task), _table(task.cells), _how(task), _changed(task), _unmatched(task), *task.notes]
    return "\n\n".join([heading, *(wrapped(part) for part in parts if part)])


def _headline(task: TaskComparison) -> str:
    overall = task.overall
    assert overall is not None
    same = task.same
    if same == len(task.cells):
        return f"**Nothing moved**: in {count(same, 'cell')}, all there are, both sides hold the same predictions."
    cells = count(len(task.cells) - same, "cell") + (f" ({same} more hold the same predictions)" if same else "")
    said = verdicts.wording(task.verdict, overall)
    sentence = f"**Over {cells} B scores {points_text(100 * overall.difference)} points: {said}.**"
    alone = (
        f"{task.moved} of them moved by more than noise on its own." if task.moved else "None moved by more than noise."
    )
    if all(m.verdict == "no interval" for m in task.cells):
        alone = "No cell has the seeds for an interval of its own."
    return f"{sentence} {alone}"


def _table(cells: Sequence[CellChange]) -> str:
    rows = [
        [
            escape(m.cell),
            score_text(m.before),
            score_text(m.after),
            points_text(100 * m.estimate.difference),
            str(m.estimate.units),
            "the same predictions" if m.same else verdicts.wording(m.verdict, m.estimate),
        ]
        for m in cells
    ]
    return table(["Cell", "A", "B", "Points", "Pairs", "B against A"], rows, "lrrrrl")


def _how(task: TaskComparison) -> str:
    power = task.power
    parts = [
        f"Trials equal in cell, seed and fold are paired on the same {count(task.images, 'validation image')}. "
        f"Intervals ({100 * LEVEL:.0f} %) cover the choice of images and chance in training; verdicts on cells "
        f"are corrected for {count(task.family, 'comparison')} (Bonferroni), the intervals are not."
    ]
    if power and math.isfinite(power.smallest):
        parts.append(f"Over all cells a move of {100 * power.smallest:.1f} points would have shown four times in five.")
    return " ".join(parts)


def _changed(task: TaskComparison) -> str:
    if not task.changed:
        return "The paired trials have the same settings, and ran on the same versions."
    shown = [f"- {escape(name)}: {_value(x)} in A, {_value(y)} in B" for name, x, y in task.changed[:_LISTED]]
    more = [f"- and {len(task.changed) - _LISTED} more"] if len(task.changed) > _LISTED else []
    return "\n".join(["What paired trials differ in:", *shown, *more])


def _value(text: str) -> str:
    return code(text if len(text) <= _VALUE_WIDTH else f"{text[: _VALUE_WIDTH - 3]}...")


def _unmatched(task: TaskComparison) -> str:
    reasons: dict[str, list[str]] = {}
    for cell, why in task.unmatched:
        reasons.setdefault(why, []).append(code(cell))
    lines = [f"- {why}: {shortened(cells, _LISTED)}" for why, cells in reasons.items()]
    return "\n".join(["Not compared:", *lines]) if lines else ""
