"""leaderboard.csv: one row per trial, for other programs and for people who would rather use a spreadsheet."""

from collections.abc import Sequence

import pandas as pd

from swath.analysis.analyse import Analysis
from swath.analysis.results import TrialResult
from swath.analysis.scores import TITLES
from swath.report.sentences import last_line
from swath.store.states import State

_FIRST = ("task", "cell")
_LAST = (
    "seed",
    "fold",
    "state",
    "epochs",
    "epochs_planned",
    "score",
    *TITLES,
    "low",
    "high",
    "device_s",
    "fingerprint",
    "error",
)


def trial_table(analyses: Sequence[Analysis]) -> pd.DataFrame:
    """The rows in the sweep's order; `low` and `high` are those of the trial's cell.

    A factor whose name is that of another column (such as `epochs`) is called `factor.epochs`.
    """
    factors = list(dict.fromkeys(f for a in analyses for t in a.task.trials for f in t.factors if f != "task"))
    columns = {f: f"factor.{f}" if f in (*_FIRST, *_LAST) else f for f in factors}
    rows = []
    for analysis in analyses:
        intervals = {c.cell: (c.low, c.high) for c in analysis.cells}
        for trial in analysis.task.trials:
            levels = {columns[f]: trial.factors.get(f, "") for f in factors}
            rows.append({**_row(analysis, trial, intervals.get(trial.cell)), **levels})
    return pd.DataFrame(rows, columns=[*_FIRST, *columns.values(), *_LAST])


def _row(analysis: Analysis, trial: TrialResult, interval: tuple[float, float] | None) -> dict[str, object]:
    finished = trial.state == State.COMPLETE
    return {
        "task": analysis.task.label,
        "cell": trial.cell,
        "seed": trial.seed,
        "fold": trial.fold,
        "state": trial.state,
        "epochs": trial.epochs,
        "epochs_planned": trial.epochs_planned,
        "score": analysis.task.score(trial),
        **{name: trial.scores.get(name) for name in TITLES},
        "low": interval[0] if interval and finished else None,
        "high": interval[1] if interval and finished else None,
        "device_s": trial.device_s,
        "fingerprint": trial.fingerprint,
        "error": trial.problem or last_line(trial.outcome),
    }
