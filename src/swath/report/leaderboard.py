"""leaderboard.md: what a person reads first. Scores of different tasks never stand in one table."""

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from swath.metrics import METRIC_TITLES
from swath.paths import Storage
from swath.report.analysis import Analysis
from swath.report.audit_section import audit_section
from swath.report.contacts import contact_section
from swath.report.effect_sections import (
    effects_section,
    interactions_section,
    labels_section,
    rungs_section,
    verdict_sentences,
)
from swath.report.ensemble_sections import calibration_section, ensembles_section, thresholds_section
from swath.report.markdown import code, count, escape, file_part, interval_text, points_text, score_text, wrapped
from swath.report.mixing import BEST, SINGLE
from swath.report.published import published_section
from swath.report.results import Results
from swath.report.sections import other_metrics_section, per_label_section, ranking_section
from swath.report.settings import settings_section
from swath.report.states import is_running, state_sections, states_sentence
from swath.report.submissions import submissions_section

Pictures = Mapping[str, str]
"""File name of each picture of a task, by kind: `curves`, `effects`, ... (see `swath.report.write`)."""


def leaderboard(
    results: Results,
    analyses: Sequence[Analysis],
    pictures: Sequence[Pictures],
    contacts: Sequence[tuple[str, str]] = (),
) -> str:
    """Render leaderboard.md.

    Args:
        results: The sweep.
        analyses: One per task.
        pictures: Likewise.
        contacts: Title and file of each contact sheet.
    """
    several = len(analyses) > 1
    parts = [f"# Sweep {code(results.name)}"]
    if is_running(results):
        parts.append("**This sweep has trials left to run; what follows will change.**")
    for analysis in analyses:
        title = f"**{escape(analysis.task.label)}.** " if several else ""
        parts += [title + verdict_sentences(analysis), headline(analysis)]
    parts.append(states_sentence(results))
    for analysis, files in zip(analyses, pictures, strict=True):
        if several:
            parts.append(f"## Task {escape(analysis.task.label)}")
        parts += _task_sections(results, analysis, files, "###" if several else "##")
    parts += contact_section(list(contacts))
    parts += submissions_section(results)
    parts += _closing(results)
    return "\n\n".join(wrapped(part) for part in parts if part) + "\n"


def headline(analysis: Analysis) -> str:
    """Best cell, baseline, and what choosing and averaging are worth, in sentences."""
    task = analysis.task
    if not analysis.cells:
        return f"No cell of {code(task.label)} has finished yet, so there is no ranking."
    best = analysis.cells[0]
    seeds = count(len(best.runs), "seed")
    text = (
        f"Best cell: {code(best.cell)} with {METRIC_TITLES[task.record.metric]} **{score_text(best.score)}** "
        f"(95 % interval {interval_text(best.low, best.high)}; {seeds}), {_against_baseline(analysis)}."
    )
    if len(analysis.cells) > 1:
        text += f" It is the highest of {len(analysis.cells)} cells, so part of its lead may be luck."
    by_name = {e.name: e for e in analysis.ensembles}
    if SINGLE in by_name and not math.isnan(by_name[SINGLE].score):
        gain, low, high = (100 * x for x in by_name[BEST].gain)
        text += (
            "\nScored on validation images that did not choose them, the best single run has "
            f"{score_text(by_name[SINGLE].score)} and the best ensemble {score_text(by_name[BEST].score)} "
            f"({points_text(gain)} points, 95 % interval {points_text(low)} to {points_text(high)})."
        )
    return text


def _against_baseline(analysis: Analysis) -> str:
    task, best, base = analysis.task, analysis.cells[0], analysis.baseline
    if base is None and not task.baseline_cell:
        return "with no baseline cell in the sweep"
    if base is None:
        name = task.baseline_cell
        stopped = any(t.state == "STOPPED" for t in task.trials if t.cell == name)
        return f"while the baseline cell {code(name)} {'was stopped early' if stopped else 'has not finished'}"
    if best.baseline:
        return "which is the baseline cell itself"
    difference = 100 * (best.score - base.score)
    return f"{difference:.2f} points above the baseline cell {code(base.cell)} ({score_text(base.score)})"


def _task_sections(results: Results, analysis: Analysis, files: Pictures, mark: str) -> list[str]:
    parts = []
    if analysis.cells:
        parts += [f"{mark} Ranking", *ranking_section(analysis)]
    parts += published_section(results, analysis, mark)
    if "curves" in files:
        parts.append(_picture("Learning curves", files["curves"]))
    if analysis.effects.effects:
        parts += [f"{mark} Effects", *effects_section(analysis, mark)]
        if "effects" in files:
            parts.append(_picture("Effect of each level with its interval", files["effects"]))
        parts += interactions_section(analysis.effects, mark)
        if "interactions" in files:
            parts.append(_picture("How two factors interact", files["interactions"]))
        parts += labels_section(analysis.effects, mark) + rungs_section(analysis.effects, mark)
    if analysis.ensembles:
        parts += [f"{mark} Ensembles", *ensembles_section(analysis)]
        if "ensembles" in files:
            parts.append(_picture("Cross-fitted score by number of members", files["ensembles"]))
        chosen = thresholds_section(analysis)
        parts += [f"{mark} Thresholds", *chosen] if chosen else []
        parts.append(calibration_section(analysis))
        if "reliability" in files:
            parts.append(_picture("Share of positives by predicted probability", files["reliability"]))
    if "cost" in files:
        parts += [f"{mark} Score and cost", _picture("Score against what a cell costs", files["cost"])]
        parts.append("On the line: no other cell is both cheaper and better.")
    parts += state_sections(results, analysis.task, mark)
    if analysis.cells:
        parts += [f"{mark} Other metrics", *other_metrics_section(analysis)]
        parts += [f"{mark} Per label", *per_label_section(analysis)]
    if "confusion" in files:
        parts.append(_picture("Predictions of the best cell by class, percent", files["confusion"]))
    parts += audit_section(analysis, mark)
    return [*parts, f"{mark} Data and settings", settings_section(results, analysis.task)]


def _picture(title: str, file: str) -> str:
    return f"![{title}]({file})"


def _storage_option(storage: Storage) -> str:
    """` --storage ROOT`, "" for the default folder."""
    if storage.folder == Path("store").resolve():
        return ""
    # A URI may carry keys before its bucket; they have no place in a file that people share.
    return f" --storage {shlex.quote(re.sub(r'//[^/@]*@', '//', storage.root))}"


def commands(results: Results) -> list[str]:
    """The commands that make this sweep, its report and submissions again."""
    storage = _storage_option(results.storage)
    started = results.sweep.get("command", "")
    found = [*([started] if started else []), f"swath report {results.name}{storage}"]
    several = len(results.tasks) > 1
    for task in results.tasks:
        if task.record.submission and task.counts()["COMPLETE"]:
            which = f" --task {shlex.quote(task.label)}" if several else ""
            out = f"submission-{file_part(task.label)}.csv" if several else "submission.csv"
            found.append(f"swath predict {results.name}{storage} --ensemble {BEST}{which} --out {out}")
    return found


def _closing(results: Results) -> list[str]:
    return [
        "## Files",
        "- [index.html](index.html): the same and more as a page: sort, filter, curves, mistakes\n"
        "- [leaderboard.csv](leaderboard.csv): one row per trial\n"
        "- [report.json](report.json): every number\n"
        "- every picture as .png for screens and as .svg for papers\n"
        "- [ensembles.json](ensembles.json): members, weights and cross-fitted score of every ensemble;\n"
        "  `swath predict --ensemble ensembles.json:NAME` applies them",
        "## How to reproduce",
        "```\n" + "\n".join(commands(results)) + "\n```",
    ]
