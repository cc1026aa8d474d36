"""Effects as report.json and the page have them: in points, factor by factor; and everything behind them."""

from typing import Any

from swath.report import verdicts
from swath.report.effect_sections import remarks
from swath.report.effects import Effect
from swath.report.markdown import count, plain_text
from swath.report.results import TaskResults
from swath.report.task_effects import TaskEffects


def effects_json(task: TaskResults, found: TaskEffects) -> dict[str, Any]:
    """The entries of a task about its effects.

    Returns:
        `effects`, a table for each factor, and `interactions`, a table for each two factors, both in points (score x
        100); `matched_trials`, all that the matched trials say, in scores from 0 to 1.
    """
    factors = dict.fromkeys(e.factor for e in found.effects)
    return {
        "effects": [_factor([e for e in found.effects if e.factor == factor]) for factor in factors],
        "interactions": interaction_tables(task, found),
        "matched_trials": found,
    }


def _factor(effects: list[Effect]) -> dict[str, Any]:
    family = f"p is Holm's over {effects[0].family} of {count(len(effects), 'comparison')}"
    return {
        "factor": effects[0].factor,
        "baseline": effects[0].baseline,
        "note": "Mean paired difference with its 95 % interval over validation images and seeds; "
        f"{family if effects[0].family else 'no interval can be stated here, so no p'}.",
        "levels": [_level(e) for e in effects],
    }


def _level(e: Effect) -> dict[str, Any]:
    said = verdicts.wording(e.verdict, e.estimate)
    found = e.estimate
    why = f" ({e.refused})" if e.refused else ""
    return {
        "level": e.level,
        "verdict": plain_text("; ".join([f"{e.level}: {said}{why}", *e.confounds])),
        "remarks": [f"{e.level}{plain_text(text)}" for text in remarks(e)],
        "difference": 100 * found.difference if found else None,
        "low": 100 * found.low if found else None,
        "high": 100 * found.high if found else None,
        "clear": e.verdict in ("better", "worse"),
        "p": e.adjusted_p,
        "pairs": len(e.pairs),
        "won": found.won if found else None,
        "detectable": 100 * e.power.smallest if e.power else None,
    }


def interaction_tables(task: TaskResults, found: TaskEffects) -> list[dict[str, Any]]:
    """For each two factors by how much each combination departs from the sum of its two effects."""
    tables = []
    for first, second in dict.fromkeys((i.factor, i.by) for i in found.interactions):
        rows, columns = task.factors[first], task.factors[second]
        departs = {
            (i.level, i.by_level): 100 * i.estimate.difference
            for i in found.interactions
            if (i.factor, i.by) == (first, second)
        }
        # Both effects are taken at the other factor's baseline level, so there nothing is left.
        known = {(r, task.baseline_level(second)): 0.0 for r in rows}
        known |= {(task.baseline_level(first), c): 0.0 for c in columns}
        values = [[(known | departs).get((r, c)) for c in columns] for r in rows]
        tables.append({"first": first, "second": second, "rows": rows, "columns": columns, "values": values})
    return tables
