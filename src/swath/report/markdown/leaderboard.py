"""leaderboard.md: what a person reads first. Scores of different tasks never stand in one table."""

from collections.abc import Mapping, Sequence

from swath.analysis.analyse import Analysis
from swath.analysis.results import Results
from swath.report.format import code, escape, markdown, wrapped
from swath.report.markdown.audit import audit_section
from swath.report.markdown.contact_sheets import contact_section
from swath.report.markdown.effects import effects_section, interactions_section, labels_section, rungs_section
from swath.report.markdown.ensembles import calibration_section, ensembles_section, thresholds_section
from swath.report.markdown.published import published_section
from swath.report.markdown.ranking import other_metrics_section, per_label_section, ranking_section
from swath.report.markdown.searches import searches_section
from swath.report.markdown.settings import settings_section
from swath.report.markdown.states import state_sections
from swath.report.markdown.submissions import submissions_section
from swath.report.marked_text import Sentence
from swath.report.search_sentences import search_headline
from swath.report.sentences import commands, headline, is_running, states_sentence, verdict_sentences

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
        pictures: File names by kind, for each task.
        contacts: Title and file of each contact sheet.
    """
    several = len(analyses) > 1
    parts = [f"# Sweep {code(results.name)}"]
    if is_running(results):
        parts.append("**This sweep has trials left to run; what follows will change.**")
    for analysis in analyses:
        title = f"**{escape(analysis.task.label)}.** " if several else ""
        first = [*verdict_sentences(analysis), *search_headline(analysis)]
        parts += [title + _paragraph(first), _paragraph(headline(analysis))]
    parts.append(states_sentence(results))
    for analysis, files in zip(analyses, pictures, strict=True):
        if several:
            parts.append(f"## Task {escape(analysis.task.label)}")
        parts += _task_sections(results, analysis, files, "###" if several else "##")
    parts += contact_section(list(contacts))
    parts += submissions_section(results)
    parts += _closing(results)
    return "\n\n".join(wrapped(part) for part in parts if part) + "\n"


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
    parts += searches_section(analysis, mark)
    if "searches" in files:
        parts.append(_picture("The score along what was searched, and the best so far", files["searches"]))
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


def _paragraph(sentences: Sequence[Sentence]) -> str:
    """A line for each sentence."""
    return "\n".join(map(markdown, sentences))


def _picture(title: str, file: str) -> str:
    return f"![{title}]({file})"


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
