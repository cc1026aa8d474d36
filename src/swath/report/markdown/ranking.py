"""The sections of a leaderboard about finished trials: ranking, other metrics, labels."""

import math

from swath.analysis.analyse import Analysis, other_metrics
from swath.analysis.cells import CellResult, label_scores, positives
from swath.analysis.scores import MEANING, TITLES
from swath.core.metrics import METRIC_TITLES
from swath.core.text import count, shortened
from swath.report.format import code, duration, escape, interval_text, score_text, table
from swath.report.search_sentences import point_names, point_text

_FEW_POSITIVES = 10
_CELLS_BY_OTHER_METRICS = 20


def ranking_section(analysis: Analysis) -> list[str]:
    """Finished cells, best first, and what the numbers are."""
    task, cells = analysis.task, analysis.cells
    by_level = (task.factors or task.searches) and not task.named
    names = [*task.factors, *point_names(analysis)] if by_level else ["cell"]
    rows = [
        [
            str(rank),
            *(escape(_level(analysis, cell, name) if by_level else cell.cell) for name in names),
            score_text(cell.score),
            interval_text(cell.low, cell.high),
            _seeds(cell),
            score_text(cell.sd),
            f"{cell.epochs:g}",
            duration(cell.device_s),
            "baseline" if cell.baseline else "",
        ]
        for rank, cell in enumerate(cells, start=1)
    ]
    title = METRIC_TITLES[task.record.metric]
    headers = ["rank", *map(escape, names), title, "95 % interval", "seeds", "sd", "epochs", "device time", "note"]
    align = "r" + "l" * len(names) + "rrrrrr" + "l"
    return [table(headers, rows, align), _ranking_note(analysis)]


def _level(analysis: Analysis, cell: CellResult, name: str) -> str:
    """Level of a factor, or value of a parameter that was searched."""
    if name in analysis.task.factors:
        return cell.factors.get(name, "-")
    return point_text(analysis.task.points.get(cell.cell), name)


def _seeds(cell: CellResult) -> str:
    done = len(cell.runs)
    return str(done) if done == cell.seeds_planned else f"{done} of {cell.seeds_planned}"


def _ranking_note(analysis: Analysis) -> str:
    task = analysis.task
    blocks = analysis.cells[0].blocks
    how = f"jackknife ({blocks:,} blocks left out in turn)" if blocks else "influence values"
    folds = f" of {len(task.validation)} folds" if len(task.validation) > 1 else ""
    lines = [
        f"Scores are means over seeds{' and folds' if folds else ''} at the last epoch; sd is over seeds. Intervals: "
        f"{how} over {count(task.validation_images, 'validation image')}{folds}, "
        "groups whole, all seeds together. They cover the choice of images, not of seeds; all cells see "
        "the same images, so a difference between two cells is surer than their intervals suggest."
    ]
    rare = int((positives(task) < _FEW_POSITIVES).sum())
    if rare and task.record.metric == "map":
        lines.append(
            f"Labels with fewer than {_FEW_POSITIVES} positives in validation: {rare} of {len(task.record.labels)}. "
            "Average precision of so few is rough and runs high, so intervals reach further down than up."
        )
    return "\n".join([*lines, *task.notes])


def other_metrics_section(analysis: Analysis) -> list[str]:
    """The best cells by other metrics than the task's."""
    task, cells = analysis.task, analysis.cells[:_CELLS_BY_OTHER_METRICS]
    names = other_metrics(analysis)
    rows = [
        [str(rank), escape(cell.cell), score_text(cell.score), *(score_text(cell.scores[name]) for name in names)]
        for rank, cell in enumerate(cells, start=1)
    ]
    left_out = len(analysis.cells) - len(cells)
    note = "Means over seeds and folds, without intervals; verdicts rest on the task's own metric alone. "
    note += " ".join(MEANING[name] for name in names if name in MEANING)
    more = f" The other {count(left_out, 'cell')} are in report.json." if left_out else ""
    headers = ["rank", "cell", METRIC_TITLES[task.record.metric], *(TITLES[name] for name in names)]
    return [table(headers, rows, "rl"), note + more]


def per_label_section(analysis: Analysis) -> list[str]:
    """Scores of each label in the best cell and in the baseline, weakest first."""
    task, best, base = analysis.task, analysis.cells[0], analysis.baseline
    labels, counts, scores = task.record.labels, positives(task), label_scores(task, best)
    columns = [scores]
    headers = ["label", "positives", "best cell"]
    if base is not None and base is not best:
        columns.append(label_scores(task, base))
        headers.append("baseline cell")
    order = sorted(range(len(labels)), key=lambda i: (math.isnan(scores[i]), scores[i]))
    rows = [
        [escape(labels[i]), f"{counts[i]:,}", *(score_text(float(c[i])) for c in columns)] for i in order if counts[i]
    ]
    title = "Average precision" if task.record.metric == "map" else "F1"
    parts = [f"{title} of each label in the best cell ({code(best.cell)}), weakest first.", table(headers, rows, "l")]
    absent = [escape(label) for label, n in zip(labels, counts, strict=True) if not n]
    if absent:
        parts.append(f"Without positives in validation: {shortened(absent, 20)}.")
    return parts
