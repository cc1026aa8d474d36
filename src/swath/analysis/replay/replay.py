"""Several rules, numbers of seeds and of workers side by side, each replayed from the stored curves of one sweep."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from swath.analysis.replay.choices import Choice, Ranking, choice, full_ranking
from swath.analysis.replay.schedule import ReplayedTrial, replay_schedule
from swath.analysis.replay.stored_trials import StoredTrial, stored_trials
from swath.analysis.results import Results
from swath.config.search import Optuna
from swath.config.stopping import Asha
from swath.config.stopping_text import NONE, stopping_rule
from swath.core.errors import InputError
from swath.store.states import State

KNOWN_AT_LEAST = 0.1
"""Share of its trials that a replay must know to the end; below it nothing is said."""


@dataclass(frozen=True)
class ReplayedRule:
    """A rule with a number of seeds and of workers, replayed.

    Attributes:
        rule: Canonical form of the rule, `none` for none.
        workers: Trials that train at once.
        seeds: The sweep's own seeds that are replayed.
        states: How many trials end in which state; UNFINISHED are those that go on behind their stored curve.
        epochs: Epochs trained.
        unknown_epochs: Those of them behind stored curves; their time is that of the trial's median epoch.
        device_s: Seconds that all workers train.
        device_share: Of those of the full run: all seeds, nothing stopped.
        wall_s: Seconds from the first start to the last end.
        utilisation: Share of the workers' time that they train, 0 to 1.
        choices: What it chooses, one for each task.
        trials: What becomes of each trial.
    """

    rule: str
    workers: int
    seeds: tuple[int, ...]
    states: Mapping[State, int]
    epochs: int
    unknown_epochs: int
    device_s: float
    device_share: float
    wall_s: float
    utilisation: float
    choices: tuple[Choice, ...]
    trials: tuple[ReplayedTrial, ...]

    @property
    def started(self) -> int:
        """Trials that it starts."""
        return sum(n for state, n in self.states.items() if state != State.NOT_RUN)

    @property
    def is_refused(self) -> bool:
        """True where nearly all that it would run is unknown."""
        return self.started - self.states.get(State.UNFINISHED, 0) < KNOWN_AT_LEAST * self.started

    @property
    def differing(self) -> int:
        """Trials that end otherwise than in the store, of those that ended there, or were not started."""
        ended = (State.COMPLETE, State.STOPPED, State.FAILED, State.NOT_RUN)
        return sum(
            (t.state, t.epochs) != (t.trial.stored, t.trial.known) for t in self.trials if t.trial.stored in ended
        )


@dataclass(frozen=True)
class Replay:
    """A sweep's replays.

    Attributes:
        sweep: Its name.
        own_rule: Canonical form of the rule that it ran under, `none` for none.
        searched: True where a search asked for points by the scores before them.
        full: Its cells at their full budget, one ranking for each task.
        rules: The replays; the full run first for each number of workers.
    """

    sweep: str
    own_rule: str
    searched: bool
    full: tuple[Ranking, ...]
    rules: tuple[ReplayedRule, ...]


def replay(
    results: Results, rules: Sequence[Asha | None] = (), workers: Sequence[int] = (1,), seeds: Sequence[int] = ()
) -> Replay:
    """Replay a sweep under each rule with each number of seeds on each number of workers.

    Args:
        results: The sweep; predictions are not needed.
        rules: The rules; none gives the sweep's own.
        workers: Numbers of trials that train at once.
        seeds: Numbers of the sweep's own seeds, the first ones; none gives all.

    Raises:
        InputError: A number is out of range, or the store has too little of the sweep.
    """
    trials = stored_trials(results)
    own_rule = results.sweep.stop or results.sweep.rule or NONE
    full = tuple(full_ranking(task, trials) for task in results.tasks)
    if not any(ranking.scores for ranking in full):
        raise InputError(f"no cell of {results.name!r} has finished on every fold: there is nothing to compare with.")
    asked = list(rules) or [stopping_rule(own_rule)]
    every_seed = tuple(results.sweep.seeds)
    whole = _Asked(None, None, every_seed)
    wanted = [_Asked(rule, n, every_seed) for rule in asked for n in (seeds or (None,))]
    problems = [
        *(p for one in wanted for p in one.problems()),
        *(f"--workers {n}: give 1 or more." for n in workers if n < 1),
    ]
    if problems:
        raise InputError(problems)
    full_s = sum(t.seconds_until(t.last_epoch) for t in trials if t.seed in every_seed)
    replayed = [
        _replayed(results, trials, one, n, full, full_s)
        for n in dict.fromkeys(workers)
        for one in {(one.text, one.seeds): one for one in [whole, *wanted]}.values()
    ]
    searched = any(s.search and s.search[0] == Optuna.name for s in results.sweep.search.values())
    return Replay(results.name, own_rule, searched, full, tuple(replayed))


@dataclass(frozen=True)
class _Asked:
    """A rule and a number of seeds, None for all."""

    rule: Asha | None
    count: int | None
    sweep_seeds: tuple[int, ...]

    @property
    def later(self) -> tuple[int, ...]:
        """Seeds of a second phase."""
        return self.rule.later_seeds if self.rule else ()

    @property
    def own(self) -> tuple[int, ...]:
        """All seeds of the sweep that are none of a second phase."""
        return tuple(seed for seed in self.sweep_seeds if seed not in self.later)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The sweep's seeds that are replayed."""
        return self.own[: self.count]

    @property
    def text(self) -> str:
        """Canonical form of the rule."""
        return self.rule.canonical() if self.rule else NONE

    def problems(self) -> list[str]:
        """Sentences about seeds that the sweep does not have."""
        if not self.own:
            return [f"{self.text} leaves none of the sweep's seeds {list(self.sweep_seeds)} for its first phase."]
        if self.count is None or 1 <= self.count <= len(self.own):
            return []
        return [f"--seeds {self.count}: give 1 to {len(self.own)}; under {self.text} the sweep has {list(self.own)}."]

    def trials(self, stored: Sequence[StoredTrial]) -> list[StoredTrial]:
        """The trials in the order in which they start; those of later seeds that the store does not list, too."""
        own = [t for t in stored if t.seed in self.seeds]
        listed = {(t.cell, t.fold, t.seed): t for t in stored}
        first = [t for t in own if t.seed == self.seeds[0]]
        return own + [listed.get((t.cell, t.fold, seed)) or t.with_seed(seed) for seed in self.later for t in first]


def _replayed(
    results: Results,
    stored: Sequence[StoredTrial],
    asked: _Asked,
    workers: int,
    full: Sequence[Ranking],
    full_s: float,
) -> ReplayedRule:
    trials = replay_schedule(asked.trials(stored), asked.rule, asked.seeds[0], workers)
    device_s = sum(t.end_s - t.start_s for t in trials)
    wall_s = max((t.end_s for t in trials), default=0.0)
    return ReplayedRule(
        rule=asked.text,
        workers=workers,
        seeds=asked.seeds,
        states=dict(Counter(t.state for t in trials)),
        epochs=sum(t.epochs for t in trials),
        unknown_epochs=sum(t.unknown_epochs for t in trials),
        device_s=device_s,
        device_share=device_s / full_s if full_s else float("nan"),
        wall_s=wall_s,
        utilisation=device_s / (wall_s * workers) if wall_s else float("nan"),
        choices=tuple(choice(task, trials, r) for task, r in zip(results.tasks, full, strict=True)),
        trials=tuple(trials),
    )
