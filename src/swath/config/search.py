"""Searching beyond grids: ranges of values, random points in them, and points that Optuna proposes from results.

A point is a value for each range of a cell, as plain JSON: a number, or the index of a choice. Points are asked for in
batches, each a pure function of the seed and of the points evaluated before, so that an interrupted search goes on with
the points an uninterrupted one would have had, inline and on Ray alike.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

import numpy as np

from swath.config.nested import Place, below
from swath.core.description import Description

if TYPE_CHECKING:  # optuna is imported where a search asks it
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

T = TypeVar("T")
Point = dict[str, Any]
"""Value of each range by its name."""
_DIGITS = 4  # of a drawn number: what a label shows is what was trained
_TRIES = 100  # draws for a point that is not there yet, before a small space counts as exhausted


@dataclass(frozen=True)
class Range:
    """Where a search looks for one value; write `uniform(...)`, `loguniform(...)`, `integers(...)` or `choice(...)`.

    Attributes:
        kind: `uniform`, `loguniform`, `integers` or `choice`.
        low: Smallest value.
        high: Largest value, itself included.
        options: The values of a choice.
    """

    kind: str
    low: float = 0
    high: float = 0
    options: tuple[Any, ...] = ()

    def __str__(self) -> str:
        inside = map(_text, self.options) if self.kind == "choice" else (f"{self.low:g}", f"{self.high:g}")
        return f"{self.kind}({','.join(inside)})"

    def at(self, share: float) -> Any:
        """The plain value at a share of the range, from 0 to below 1."""
        if self.kind == "choice":
            return int(share * len(self.options))
        if self.kind == "integers":
            return int(self.low + math.floor(share * (self.high - self.low + 1)))
        if self.kind == "loguniform":
            return self.rounded(math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low))))
        return self.rounded(self.low + share * (self.high - self.low))

    def rounded(self, value: float) -> float:
        """To four digits, within the range."""
        return min(max(float(f"{value:.{_DIGITS}g}"), self.low), self.high)

    def value(self, plain: Any) -> Any:
        """What stands in the sweep for a plain value."""
        return self.options[plain] if self.kind == "choice" else plain

    def edges(self) -> tuple[Any, ...]:
        """Plain values that are checked before a search starts: both ends, or every option."""
        return tuple(range(len(self.options))) if self.kind == "choice" else (self.low, self.high)

    def problems(self) -> list[str]:
        """Sentences about ends or options that span no range."""
        if self.kind == "choice":
            few = len(self.options) < 2
            return [f"{self} has {len(self.options)} value(s): give two or more, or write the value itself."] * few
        kinds = int if self.kind == "integers" else (int, float)
        if not all(isinstance(v, kinds) and math.isfinite(v) for v in (self.low, self.high)) or self.low >= self.high:
            return [
                f"{self.kind}({self.low!r}, {self.high!r}): give the lowest and the highest number, the lower first."
            ]
        if self.kind == "loguniform" and self.low <= 0:
            return [f"loguniform({self.low!r}, {self.high!r}): both ends must be above 0."]
        return []


def uniform(low: float, high: float) -> float:
    """Any number from low to high."""
    return cast(Any, Range("uniform", low, high))


def loguniform(low: float, high: float) -> float:
    """Any number from low to high, each power of ten as likely as the next."""
    return cast(Any, Range("loguniform", low, high))


def integers(low: int, high: int) -> int:
    """A whole number from low to high, both included."""
    return cast(Any, Range("integers", low, high))


def choice(*options: T) -> T:
    """One of the values. Unlike a grid's, its values are no factor: the search decides how often each is tried."""
    return cast(Any, Range("choice", options=options))


@dataclass(frozen=True)
class Evaluated:
    """A point with what came of it.

    Attributes:
        point: The point.
        state: COMPLETE, STOPPED or FAILED.
        score: The task's metric, mean over folds and seeds; higher is better.
        epoch: Where a stopped one was stopped.
    """

    point: Point
    state: str
    score: float
    epoch: int


@dataclass(frozen=True)
class Search(Description):
    """Base of the searches: `n` points in each cell of the grid, the same for all cells as long as nothing is learnt.

    Attributes:
        n: Points in each cell.
        seed: Of the draws.
    """

    n: int = 20
    seed: int = 0

    def problems(self) -> list[str]:
        problems = []
        if not isinstance(self.n, int) or isinstance(self.n, bool) or self.n < 1:
            problems.append(f"{self.name}({self.n!r}): give a whole number of points, 1 or more.")
        if not isinstance(self.seed, int) or not 0 <= self.seed < 2**32:
            problems.append(f"{self.name}(seed={self.seed!r}): allowed is a whole number from 0 to {2**32 - 1}.")
        return problems

    @property
    def key(self) -> tuple[str | int, ...]:
        """What two searches have in common when the points of one are points of the other; their number may differ."""
        return (self.name, self.seed)

    def ask(self, space: Mapping[str, Range], evaluated: Sequence[Evaluated]) -> list[Point]:
        """The next points after these; fewer than a batch, or none, where the search or the space is exhausted."""
        raise NotImplementedError


@dataclass(frozen=True)
class Random(Search):
    """Points drawn at random, all at once: more of them, or more ranges, change none that were drawn before."""

    name: ClassVar[str] = "random"

    def ask(self, space: Mapping[str, Range], evaluated: Sequence[Evaluated]) -> list[Point]:
        known = [e.point for e in evaluated]
        return [] if known else _drawn(space, self.seed, known, self.n)


@dataclass(frozen=True)
class Optuna(Search):
    """Points proposed by Optuna's tree-structured Parzen estimator (Bergstra et al. 2011), batch by batch.

    Attributes:
        batch: Points that are asked for together; it learns between batches. Not below the number of trials that run
            at once, or devices wait.
    """

    name: ClassVar[str] = "optuna"
    batch: int = 8

    def problems(self) -> list[str]:
        problems = super().problems()
        if not isinstance(self.batch, int) or isinstance(self.batch, bool) or self.batch < 1:
            problems.append(f"optuna(batch={self.batch!r}): allowed is a whole number of 1 or more.")
        return problems

    def ask(self, space: Mapping[str, Range], evaluated: Sequence[Evaluated]) -> list[Point]:
        from optuna import create_study, logging
        from optuna.samplers import TPESampler

        logging.set_verbosity(logging.WARNING)
        kinds = {name: _distribution(one) for name, one in space.items()}
        # A new sampler for each batch: what it proposes depends on nothing but what stands here.
        seed = int(np.random.SeedSequence([self.seed, len(evaluated)]).generate_state(1)[0])
        study = create_study(direction="maximize", sampler=TPESampler(seed=seed))
        for one in evaluated:
            study.add_trial(_to_optuna_trial(one, kinds))
        known = [e.point for e in evaluated]
        points: list[Point] = []
        for _ in range(_TRIES):
            if len(points) >= min(self.batch, self.n - len(evaluated)):
                break
            params = study.ask(kinds).params
            point = {n: space[n].rounded(v) if isinstance(v, float) else v for n, v in params.items()}
            if point not in known and point not in points:
                points.append(point)
        return points


def random(n: int = 20, seed: int = 0) -> Random:
    """n random points in each cell of the grid, the same in all: cells are compared at the same points."""
    return Random(n, seed)


def optuna(n: int = 20, seed: int = 0, batch: int = 8) -> Optuna:
    """n points in each cell of the grid, proposed by Optuna from the scores of those before; see `Optuna`."""
    return Optuna(n, seed, batch)


def ranges(value: Any) -> dict[Place, Range]:
    """The ranges below a value, by their place."""
    return dict(below(value, Range))


def names(places: Iterable[Place]) -> dict[str, Place]:
    """A short name for each place: `lr` for the recipe's, `loss.gamma`; a number behind those that would be equal."""
    named: dict[str, Place] = {}
    for place in places:
        words = [str(p) for p in place if isinstance(p, str)]
        name = words[-1] if words[0] == "recipe" else ".".join(words)
        again = sum(known.partition(" ")[0] == name for known in named)
        named[f"{name} {again + 1}" if again else name] = place
    return named


def described(point: Point, space: Mapping[str, Range]) -> str:
    """`lr=0.0003,loss=focal`."""
    return ",".join(f"{name}={_text(space[name].value(plain))}" for name, plain in point.items())


def _drawn(space: Mapping[str, Range], seed: int, known: Sequence[Point], count: int) -> list[Point]:
    points: list[Point] = []
    for number in range(count * _TRIES):
        # Each value has a generator of its own, so that another range beside it moves none.
        shares = {n: np.random.default_rng([seed, number, *n.encode()]).random() for n in space}
        point = {n: one.at(shares[n]) for n, one in space.items()}
        if point not in points and point not in known:
            points.append(point)
        if len(points) == count:
            break
    return points


def _distribution(one: Range) -> "BaseDistribution":
    from optuna import distributions

    if one.kind == "choice":
        return distributions.CategoricalDistribution(range(len(one.options)))
    if one.kind == "integers":
        return distributions.IntDistribution(int(one.low), int(one.high))
    return distributions.FloatDistribution(one.low, one.high, log=one.kind == "loguniform")


def _to_optuna_trial(one: Evaluated, kinds: dict[str, "BaseDistribution"]) -> "FrozenTrial":
    from optuna.trial import TrialState, create_trial

    known = math.isfinite(one.score)
    if one.state == "COMPLETE" and known:
        return create_trial(value=one.score, params=one.point, distributions=kinds)
    if one.state == "STOPPED" and known:
        at = {one.epoch: one.score}
        return create_trial(state=TrialState.PRUNED, params=one.point, distributions=kinds, intermediate_values=at)
    return create_trial(state=TrialState.FAIL, params=one.point, distributions=kinds)


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return "+".join(map(_text, value)) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return value.canonical() if isinstance(value, Description) else str(value)
