"""The whole report of a sweep: leaderboard, tables, ensembles and pictures, into one folder."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from swath.analysis.analyse import Analysis, analyse
from swath.analysis.cells import cell_results
from swath.analysis.load import read_results
from swath.analysis.results import Results
from swath.core.metrics import METRIC_TITLES
from swath.report.format import file_part
from swath.report.markdown.contact_sheets import write_contacts
from swath.report.markdown.leaderboard import leaderboard
from swath.report.page import page
from swath.report.page.pictures import with_pictures
from swath.report.plots import cells as cell_plots
from swath.report.plots import effects as effect_plots
from swath.report.plots import ensembles as ensemble_plots
from swath.report.plots import searches as search_plots
from swath.report.plots.curves import curves
from swath.report.plots.style import write_picture
from swath.report.plots.submissions import PICTURE, submissions_plot
from swath.report.report_json import numbers
from swath.report.sentences import states_sentence
from swath.report.trials_csv import trial_table
from swath.store.looks import note_look
from swath.store.storage import Storage, write_atomic

_TOP = 5


def write_report(storage: Storage, name: str, out: Path) -> Path:
    """Write the report of a sweep, finished or not.

    Args:
        storage: The store.
        name: The sweep.
        out: Folder for the report.

    Returns:
        Path of leaderboard.md.
    """
    return write_results(read_results(storage, name), out)


def write_results(results: Results, out: Path, max_ms: float = math.inf) -> Path:
    """Write the report of results that were read already; the leaderboard, which refers to the rest, last.

    Args:
        results: The sweep.
        out: Folder for the report.
        max_ms: The most milliseconds that all members of an ensemble may take for an image.
    """
    analyses = [analyse(task, max_ms) for task in results.tasks]
    if any(e.power for a in analyses for e in a.effects.effects):
        note_look(results.storage, results.sweep)
    pictures = [_write_pictures(analysis, out, len(analyses) > 1) for analysis in analyses]
    write_atomic(out / "leaderboard.csv", trial_table(analyses).to_csv(index=False, lineterminator="\n").encode())
    write_atomic(out / "ensembles.json", json.dumps(_ensembles(analyses), indent=1, ensure_ascii=False).encode())
    scored = submissions_plot(results)
    if scored is not None:
        write_picture(out, PICTURE, scored)
    content = numbers(results, analyses)
    write_atomic(out / "report.json", json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False).encode())
    write_atomic(out / "index.html", page(with_pictures(content, results.storage, results.sweep)).encode())
    path = out / "leaderboard.md"
    contacts = write_contacts(results, out)
    write_atomic(path, leaderboard(results, analyses, pictures, contacts).encode())
    return path


def summary(results: Results, report: Path | None = None) -> str:
    """What a sweep prints at its end: the best cells of each task, and where the report lies.

    Args:
        results: The sweep.
        report: Path of its leaderboard; None leaves that line out.
    """
    lines = [states_sentence(results)]
    for task in results.tasks:
        cells = cell_results(task, _TOP)
        if not cells:
            lines.append(f"{task.label}: no cell has finished")
            continue
        lines.append(f"{task.label}, {METRIC_TITLES[task.record.metric]} (95 % interval):")
        for rank, cell in enumerate(cells, start=1):
            mark = "  (baseline)" if cell.baseline else ""
            lines.append(f"  {rank}  {cell.score:.4f} ({cell.low:.4f} to {cell.high:.4f})  {cell.cell}{mark}")
    if report is not None:
        lines.append(f"leaderboard: {report}")
    return "\n".join(lines)


def _write_pictures(analysis: Analysis, out: Path, several: bool) -> dict[str, str]:
    """Draw what there is to draw; file names by kind."""
    suffix = f"-{file_part(analysis.task.label)}" if several else ""
    pictures = {
        "curves": curves(analysis.task),
        "effects": effect_plots.effects(analysis),
        "interactions": effect_plots.interactions(analysis),
        "searches": search_plots.searches(analysis),
        "ensembles": ensemble_plots.ensembles(analysis),
        "reliability": ensemble_plots.reliability(analysis),
        "cost": cell_plots.cost(analysis),
        "confusion": cell_plots.confusion(analysis),
    }
    return {kind: write_picture(out, f"{kind}{suffix}", files) for kind, files in pictures.items() if files}


def _ensembles(analyses: Sequence[Analysis]) -> dict[str, Any]:
    """Ensembles by name; by task label and name where the sweep has several tasks."""
    by_task = {a.task.label: {e.name: e.json(a.task.data) for e in a.ensembles} for a in analyses}
    return by_task if len(analyses) > 1 else next(iter(by_task.values()), {})
