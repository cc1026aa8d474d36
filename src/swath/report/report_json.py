"""report.json: every number of a report, for programs and for the page. Plain JSON; what is not known is null."""

import math
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from swath.analysis.analyse import Analysis, other_metrics
from swath.analysis.cells import CellResult, confusion_shares, label_scores, positives
from swath.analysis.effects.paired_effects import Effect
from swath.analysis.effects.significance import ALPHA, price_of_looks
from swath.analysis.effects.summary import TaskEffects, interaction_tables
from swath.analysis.ensembles.cross_fit import Ensemble
from swath.analysis.mistakes import mistakes, precision_recall
from swath.analysis.results import Results, TaskResults, TrialResult
from swath.analysis.scores import MEANING, TITLES
from swath.core.metrics import METRIC_TITLES
from swath.core.text import count
from swath.report.search_sentences import advices, point_names, search_headline, states
from swath.report.search_sentences import remarks as search_remarks
from swath.report.sentences import commands, headline, last_line, remarks, verdict_sentence, verdict_sentences
from swath.store.states import State
from swath.tasks.audit.findings import Audit


def numbers(results: Results, analyses: Sequence[Analysis]) -> dict[str, Any]:
    """The content of report.json.

    Args:
        results: The sweep.
        analyses: One per task.
    """
    sweep = results.sweep
    return json_value(
        {
            "sweep": results.name,
            "split": sweep.split,
            "rule": sweep.rule,
            "seeds": sweep.seeds,
            "notes": [*sweep.notes, *(note for a in analyses for note in a.task.notes)],
            "counts": {state: n for state, n in results.counts().items() if n},
            "commands": commands(results),
            "made_by": "made by swath from the store of the sweep",
            "tasks": [{**_task(a), "audit": _audit(a.task.audit)} for a in analyses],
        }
    )


def json_value(value: Any) -> Any:
    """A tree of dataclasses, arrays and numbers as JSON values; NaN and infinities are null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: json_value(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, dict):
        return {str(k): json_value(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return json_value(value.tolist())
    if isinstance(value, list | tuple | frozenset):
        return [json_value(v) for v in value]
    if isinstance(value, np.generic):
        return json_value(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _audit(audit: Audit | None) -> list[dict[str, Any]]:
    """The stored findings of the data audit, most serious first; [] without findings or without an audit."""
    names = ("severity", "kind", "text", "count", "unit", "advice", "examples")
    return [{n: getattr(finding, n) for n in names} for finding in (audit.findings if audit else ())]


def _task(analysis: Analysis) -> dict[str, Any]:
    task = analysis.task
    record = task.record
    return {
        "label": task.label,
        "kind": record.kind,
        "metric": record.metric,
        "metric_title": METRIC_TITLES[record.metric],
        "labels": record.labels,
        "data": task.data,
        "validation_images": task.validation_images,
        "headline": [
            line.plain() for make in (verdict_sentences, search_headline, headline) for line in make(analysis)
        ],
        "factors": task.factors,
        "other_metrics": [{"name": n, "title": TITLES[n], "note": MEANING.get(n, "")} for n in other_metrics(analysis)],
        "best_cells": analysis.best,
        "cells": [_cell(cell, task) for cell in analysis.cells],
        "trials": [_trial(analysis, trial) for trial in task.trials],
        "ensembles": [_ensemble(e) for e in analysis.ensembles],
        **_effects(task, analysis.effects),
        **({"searched": point_names(analysis), "search": _searches(analysis)} if task.searches else {}),
        "diversity": analysis.diversity,
        "calibration": analysis.calibration,
        "thresholds": _f1(analysis),
        **(_of_best_cell(analysis) if analysis.cells else {"per_label": [], "mistakes": []}),
    }


def _cell(cell: CellResult, task: TaskResults) -> dict[str, Any]:
    trials, point = cell.trials, task.points.get(cell.cell)
    return {
        **{f.name: getattr(cell, f.name) for f in fields(cell) if f.name not in ("runs", "seeds_planned")},
        "seeds": len(cell.runs),
        "seeds_planned": cell.seeds_planned,
        "parameters": trials[0].last("parameters"),
        "ms_per_image": cell.ms_per_image,
        "trials": [t.fingerprint for t in trials],
        **({"point": point.values} if point else {}),
    }


def _searches(analysis: Analysis) -> list[dict[str, Any]]:
    """What each search found, with the sentences that say it."""
    return [
        {
            **{f.name: getattr(result, f.name) for f in fields(result)},
            "states": states(result),
            "remarks": search_remarks(result),
            "advice": [line.plain() for line in advices(result)],
        }
        for result in analysis.searches
    ]


def _trial(analysis: Analysis, trial: TrialResult) -> dict[str, Any]:
    rows = trial.metrics
    outcome = trial.outcome
    score = analysis.task.score(trial)
    names = ("epoch", "score", "train_loss", "val_loss", "lr")
    why = trial.problem or last_line(outcome)
    if trial.state == State.STOPPED and outcome:
        why = f"not among the best at its rung after {outcome.epochs} epochs; {outcome.rule}"
    return {
        **{n: getattr(trial, n) for n in ("fingerprint", "cell", "factors", "baseline", "seed", "fold", "state")},
        **{n: getattr(trial, n) for n in ("epochs", "epochs_planned", "rungs", "device_s", "at_work")},
        "score": score if math.isfinite(score) else trial.last("score"),
        "scores": trial.scores,
        "why": why,
        "device": outcome.device if outcome else "",
        "host": outcome.host if outcome else "",
        "images_per_s": trial.last("images_per_s"),
        "left_s": trial.left_s,
        "curve": {n: rows[n].to_numpy(np.float64) if n in rows else [] for n in names},
    }


def _ensemble(e: Ensemble) -> dict[str, Any]:
    gain, low, high = (100 * x for x in e.gain)
    return {
        **{n: getattr(e, n) for n in ("name", "size", "average", "score", "low", "high", "naive", "part_sizes")},
        "gain": gain,
        "gain_low": low,
        "gain_high": high,
        "members": [
            {"cell": run.cell, "seed": run.seed, "weight": weight, "trials": run.fingerprints}
            for run, weight in zip(e.members, e.weights, strict=True)
        ],
    }


def _effects(task: TaskResults, effects: TaskEffects) -> dict[str, Any]:
    """The entries of a task about its effects.

    Returns:
        `effects`, a table for each factor, and `interactions`, a table for each two factors, both in points (score x
        100); `matched_trials`, every result of the matched trials, in scores from 0 to 1.
    """
    factors = dict.fromkeys(e.factor for e in effects.effects)
    return {
        "effects": [_factor([e for e in effects.effects if e.factor == factor]) for factor in factors],
        "interactions": interaction_tables(task, effects),
        "matched_trials": effects,
    }


def _factor(effects: list[Effect]) -> dict[str, Any]:
    family = f"p is corrected for {count(effects[0].family, 'comparison')} of the task (Bonferroni)"
    return {
        "factor": effects[0].factor,
        "baseline": effects[0].baseline,
        "note": f"Mean paired difference with its {_level_of(effects[0])} interval over validation images and seeds; "
        f"{family if effects[0].family else 'no interval can be stated here, so no p'}.",
        "levels": [_level(e) for e in effects],
    }


def _level_of(e: Effect) -> str:
    """`95 %`, or more where looks are paid for."""
    return f"{100 - 100 * ALPHA / price_of_looks(e.looks):.4g} %"


def _level(e: Effect) -> dict[str, Any]:
    estimate = e.estimate
    return {
        "level": e.level,
        "verdict": verdict_sentence(e),
        "remarks": remarks(e),
        "difference": 100 * estimate.difference if estimate else None,
        "low": 100 * estimate.low if estimate else None,
        "high": 100 * estimate.high if estimate else None,
        "clear": e.verdict in ("better", "worse"),
        "p": e.adjusted_p,
        "equivalence_p": e.equivalence_p,
        "pairs": len(e.pairs),
        "won": estimate.won if estimate else None,
        "detectable": 100 * e.power.smallest if e.power else None,
    }


def _f1(analysis: Analysis) -> dict[str, Any] | None:
    thresholds = analysis.thresholds
    if thresholds is None:
        return None
    return {n: getattr(thresholds, n) for n in ("before", "after", "naive", "pooled")}


def _of_best_cell(analysis: Analysis) -> dict[str, Any]:
    """Labels, curves, confusion and mistakes of the best cell: the mean of its seeds on each fold."""
    task, best = analysis.task, analysis.cells[0]
    entries: dict[str, Any] = {
        "per_label": _labels(analysis),
        "precision_recall": precision_recall(task, best),
        "mistakes": mistakes(task, best),
    }
    shares = confusion_shares(task, best)
    return entries if shares is None else {**entries, "confusion": shares}


def _labels(analysis: Analysis) -> list[dict[str, Any]]:
    task, thresholds = analysis.task, analysis.thresholds
    missing = np.full(len(task.record.labels), np.nan)
    best = label_scores(task, analysis.cells[0])
    base = label_scores(task, analysis.baseline) if analysis.baseline else missing
    values, moved = (thresholds.values, thresholds.moved) if thresholds else (missing, missing)
    columns = (positives(task), best, base, values, moved)
    names = ("positives", "best", "baseline", "threshold", "moved")
    table = [
        {"label": label, **dict(zip(names, values, strict=True))}
        for label, *values in zip(task.record.labels, *columns, strict=True)
    ]
    for row in table:
        row["moved"] = 100 * row["moved"]
    return table
