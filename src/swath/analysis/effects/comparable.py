"""Which trials may be compared at their full budget, and which only at a rung.

Where a rule stops trials, pairs that both survived are few and chosen by their luck: effects among them shrink by a
third. So a final effect comes from trials that no luck has chosen: of a sweep that stops nothing, exempt from
stopping, or fresh seeds of a second phase.
"""

from dataclasses import dataclass

import numpy as np

from swath.analysis.effects.matching import Member, matched
from swath.analysis.results import TaskResults, TrialResult
from swath.store.states import State

CURE = (
    "Effects at the full budget need cells that never stop (`stop=None`, or `asha(exempt=...)`), or fresh seeds of a "
    "second phase."
)


@dataclass(frozen=True)
class Members:
    """The trials of a task as candidates for matching.

    Attributes:
        members: One per trial of the task; None for a trial that may not be compared.
        left_out: Finished trials that are left out because luck may have chosen them.
    """

    members: tuple[Member | None, ...]
    left_out: int = 0

    def refusal(self, task: TaskResults, factor: str, level: str, baseline: str) -> str:
        """Why two levels cannot be compared at the full budget."""
        corners = {(level,): 1.0, (baseline,): -1.0}
        if matched(tuple(map(_member, task.trials)), [factor], corners) is None:
            return "no two of its trials are equal in everything else"
        if matched([_member(t) if _is_finished(task, t) else None for t in task.trials], [factor], corners):
            return f"trials of this sweep were stopped, so the pairs that finished are chosen by luck. {CURE}"
        return "no two matched trials have finished"


def final_members(task: TaskResults, finished_only: bool = True) -> Members:
    """Trials that may be compared at their full budget.

    Args:
        task: The task.
        finished_only: False gives all that may become such trials, finished or not.
    """
    chosen = _has_chosen(task)
    if not finished_only:
        return Members(tuple(_member(t) if t.final or not chosen else None for t in task.trials))
    members: list[Member | None] = []
    left_out = 0
    for trial in task.trials:
        finished = _is_finished(task, trial)
        selected = chosen and not trial.final
        members.append(_member(trial) if finished and not selected else None)
        left_out += finished and selected
    return Members(tuple(members), left_out)


def _is_finished(task: TaskResults, trial: TrialResult) -> bool:
    """Finished, and with a score that is a number: others cannot be compared and would spoil a mean."""
    return trial.state == State.COMPLETE and bool(np.isfinite(task.score(trial)))


def _has_chosen(task: TaskResults) -> bool:
    """True once scores have stopped a trial or chosen cells for a second phase; until then luck has chosen nothing."""
    return any(t.state == State.STOPPED or t.phase > 1 for t in task.trials)


def _member(trial: TrialResult) -> Member:
    return Member(trial.factors, trial.seed, trial.fold, trial.epochs_planned, trial.own_stream)
