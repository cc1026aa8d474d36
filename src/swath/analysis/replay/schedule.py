"""Trials on some workers under a stopping rule: who starts when, who stops where. A discrete-event simulation.

Decisions are those of `swath.config.stopping`, as in a real run; time is what each epoch took where it was trained.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from swath.analysis.replay.stored_trials import StoredTrial
from swath.config.stopping import Asha, Reached, Rungs, TwoPhase, best_cells
from swath.store.states import State


@dataclass(frozen=True, eq=False)
class ReplayedTrial:
    """What becomes of a trial.

    Attributes:
        trial: The trial.
        phase: 1, or 2 for one that runs, or not, by what phase 1 finds.
        exempt: True when the rule cannot end it.
        final: True when final estimates may rest on it: it ran to the end for no score of its own.
        state: COMPLETE, STOPPED or FAILED; UNFINISHED for one that goes on behind its stored curve, where nothing is
            known but what an epoch takes, and so runs to its last epoch; NOT_RUN for one that the rule does not start.
        epochs: Epochs it trains.
        start_s: When it starts, in seconds from the start of the sweep.
        end_s: When it ends.
    """

    trial: StoredTrial
    phase: int
    exempt: bool
    final: bool
    state: State = State.NOT_RUN
    epochs: int = 0
    start_s: float = 0.0
    end_s: float = 0.0

    @property
    def unknown_epochs(self) -> int:
        """Epochs it trains behind its stored curve."""
        return max(0, self.epochs - self.trial.known)


def replay_schedule(
    trials: Sequence[StoredTrial], rule: Asha | None, first_seed: int, workers: int
) -> list[ReplayedTrial]:
    """Run trials on workers.

    Args:
        trials: In the order in which they start.
        rule: What stops them; None stops nothing.
        first_seed: The sweep's first seed, whose trials a rule treats apart.
        workers: Trials that train at once, 1 or more.

    Returns:
        One for each trial, in their order.
    """
    planned = [_planned(trial, rule, first_seed) for trial in trials]
    first = [p for p in planned if p.phase == 1]
    ended = _run_wave(first, rule, workers, 0.0)
    over_s = max((t.end_s for t in ended), default=0.0)
    wanted = _wanted(ended, rule, first_seed)
    second = [p for p in planned if p.phase == 2 and (p.trial.baseline or p.trial.cell in wanted)]
    ended += _run_wave(second, None, workers, over_s)
    by_trial = {id(p.trial): e for p, e in zip([*first, *second], ended, strict=True)}
    return [by_trial.get(id(p.trial), p) for p in planned]


def _planned(trial: StoredTrial, rule: Asha | None, first_seed: int) -> ReplayedTrial:
    phase, exempt = rule.role(trial.seed, first_seed, trial.baseline) if rule else (1, True)
    final = exempt and (phase == 2 or not isinstance(rule, TwoPhase))
    return ReplayedTrial(trial, phase, exempt, final)


def _wanted(first: Sequence[ReplayedTrial], rule: Asha | None, first_seed: int) -> set[str]:
    """Labels of the cells, beside the baseline, whose trials of phase 2 run."""
    if isinstance(rule, TwoPhase):
        return best_cells([_reached(t) for t in first], rule.top)
    ended_early = {
        t.trial.cell for t in first if t.trial.seed == first_seed and t.state in (State.STOPPED, State.FAILED)
    }
    return {t.trial.cell for t in first} - ended_early


def _reached(replayed: ReplayedTrial) -> Reached:
    """How far a trial of phase 1 got, as far as it is known."""
    trial = replayed.trial
    epochs = min(replayed.epochs, trial.known)
    score = trial.score if replayed.state == State.COMPLETE else float(trial.scores[epochs - 1]) if epochs else 0.0
    failed = replayed.state == State.FAILED
    return Reached(trial.stratum, trial.cell, -1.0 if failed else epochs / trial.epochs, score)


def _run_wave(wave: Sequence[ReplayedTrial], rule: Asha | None, workers: int, start_s: float) -> list[ReplayedTrial]:
    """Run the trials of a phase; of two that reach a rung at the same time the one that comes first is judged first.

    Returns:
        What became of them, in their order.
    """
    rungs = Rungs(rule) if rule else None
    stages = [_stages(planned.trial, rule) for planned in wave]
    ended: list[ReplayedTrial | None] = [None] * len(wave)
    starts = [start_s] * len(wave)
    waiting = iter(range(len(wave)))
    events: list[tuple[float, int, int]] = []  # when, which trial, which of its stages

    def start_next(now: float) -> None:
        number = next(waiting, None)
        if number is not None:
            starts[number] = now
            heapq.heappush(events, (now + wave[number].trial.seconds_until(stages[number][0][0]), number, 0))

    for _ in range(workers):
        start_next(start_s)
    while events:
        now, number, at = heapq.heappop(events)
        planned, (epoch, rung) = wave[number], stages[number][at]
        if rung is not None and _goes_on(rungs, planned, number, epoch, rung):
            after = starts[number] + planned.trial.seconds_until(stages[number][at + 1][0])
            heapq.heappush(events, (after, number, at + 1))
            continue
        state = planned.trial.ended if rung is None else State.STOPPED
        ended[number] = _ended(planned, state, epoch, starts[number], now)
        start_next(now)
    return [e for e in ended if e is not None]


def _stages(trial: StoredTrial, rule: Asha | None) -> list[tuple[int, int | None]]:
    """Epochs at which something is decided, in order: rungs that its curve reaches, then its end, which is no rung."""
    last = trial.last_epoch
    # A trial that ends by itself reports its end, and not its last epoch; one that fails reported that before.
    judged = trial.known - (trial.ended == State.COMPLETE)
    rungs = rule.rungs(trial.epochs, trial.passes) if rule else {}
    return [*((epoch, rung) for epoch, rung in rungs.items() if epoch <= judged), (last, None)]


def _goes_on(rungs: Rungs | None, planned: ReplayedTrial, number: int, epoch: int, rung: int) -> bool:
    assert rungs is not None
    trial, name = planned.trial, str(number)
    rungs.record(trial.stratum, name, rung, float(trial.scores[epoch - 1]))
    return planned.exempt or rungs.goes_on(trial.stratum, name, rung)


def _ended(planned: ReplayedTrial, state: State, epochs: int, start_s: float, end_s: float) -> ReplayedTrial:
    return ReplayedTrial(
        trial=planned.trial,
        phase=planned.phase,
        exempt=planned.exempt,
        final=planned.final,
        state=state,
        epochs=epochs,
        start_s=start_s,
        end_s=end_s,
    )
