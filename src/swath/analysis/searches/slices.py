"""The score along one parameter of a search, averaged over the others, with bands; and which ranges to look in next."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from swath.analysis.effects.intervals import LEVEL
from swath.analysis.searches.gaussian_process import GaussianProcess
from swath.analysis.searches.space import Parameter, Value

Floats = NDArray[np.float64]
VALUES = 25
"""Of a numeric parameter at which its slice is computed."""
_OTHERS = 64  # points over which the other fields are averaged
_EDGE = 0.1  # part of the range tried that is its edge
_SURE = 0.8  # share of the draws that an advice to widen needs
_NARROW = 0.6  # part of the range that an advice to narrow keeps at most


@dataclass(frozen=True)
class Advice:
    """Where to look next along a parameter.

    Attributes:
        kind: `narrow` to the range from `low` to `high`, or `up` or `down`: the best value is at that edge.
        low: Lowest value to look at; the present one for `up`.
        high: Highest value to look at; the present one for `down`.
        sure: Share of the model's draws that have their best value there.
    """

    kind: Literal["narrow", "up", "down"]
    low: float
    high: float
    sure: float


@dataclass(frozen=True)
class Slice:
    """The mean score over the other fields, at values of one field within what was tried.

    Attributes:
        name: Of the parameter.
        kind: Its kind of range.
        values: [G] its values, ascending, or the options tried.
        mean: [G] expected score.
        low: [G] lower end of the 95 % band.
        high: [G] upper end.
        flat: True where the score may be the same all along, as far as bands for the whole curve tell.
        advice: Where to look next; None where the slice says nothing of it.
    """

    name: str
    kind: str
    values: tuple[Value, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    flat: bool
    advice: Advice | None


def slices(
    process: GaussianProcess, parameters: Sequence[Parameter], points: Floats, levels: Sequence[int], moves: Floats
) -> list[Slice]:
    """The slices along the parameters, which come first among the fields.

    Args:
        process: The model.
        parameters: [P] those that vary.
        points: [N, D] places of the points in all fields.
        levels: [D] number of levels of each field that is a category; 0 for a number.
        moves: [B, N] what other images would change in the scores; 0 where that is not known.
    """
    others = spread(points, levels, _OTHERS)
    return [_slice(process, d, one, points[:, d], others, moves) for d, one in enumerate(parameters)]


def spread(points: Floats, levels: Sequence[int], count: int) -> Floats:
    """[count, D] points spread evenly over what was tried; `count` a power of 2."""
    shares = qmc.Sobol(points.shape[1], scramble=False).random(count)
    low, high = points.min(axis=0), points.max(axis=0)
    even = low + shares * (high - low)
    for d, several in enumerate(levels):
        if several:
            tried = np.unique(points[:, d])
            even[:, d] = tried[(shares[:, d] * len(tried)).astype(int)]
    return even


def _slice(process: GaussianProcess, field: int, one: Parameter, tried: Floats, others: Floats, moves: Floats) -> Slice:
    if one.numeric:
        # Beyond the outermost points the model would guess, and its bands with it.
        places = np.linspace(tried.min(), tried.max(), VALUES)
        if one.kind == "integers":
            places = np.unique([one.place(one.at(float(place))) for place in places])
        values: tuple[Value, ...] = tuple(one.at(float(place)) for place in places)
    else:
        places = np.unique(tried)
        values = tuple(one.options[int(place)] for place in places)
    drawn = process.slice(field, places, others, moves)
    tails = [50 * (1 - LEVEL), 50 * (1 + LEVEL)]
    low, high = np.percentile(drawn, tails, axis=0).clip(0, 1)
    flat = _flat(drawn)
    advice = None if flat or not one.numeric else _advice(one, places, drawn)
    mean = drawn.mean(axis=0).clip(0, 1)
    return Slice(
        name=one.name,
        kind=one.kind,
        values=values,
        mean=_tuple(mean),
        low=_tuple(low),
        high=_tuple(high),
        flat=flat,
        advice=advice,
    )


def _flat(drawn: Floats) -> bool:
    """True where a level line lies in the band that holds 95 % of the draws [B, G] whole.

    Images and a common error move a curve up and down; it is asked of its shape.
    """
    shape = drawn - drawn.mean(axis=1, keepdims=True)
    mean, sd = shape.mean(axis=0), shape.std(axis=0) + 1e-12
    widest = np.quantile(np.abs((shape - mean) / sd).max(axis=1), LEVEL)
    return bool((np.abs(mean / sd) <= widest).all())


def _tuple(values: Floats) -> tuple[float, ...]:
    return tuple(values.tolist())


def _advice(one: Parameter, places: Floats, drawn: Floats) -> Advice | None:
    """From where the draws have their best value."""
    best = places[drawn.argmax(axis=1)]
    edge = _EDGE * (places[-1] - places[0])
    up, down = float((best >= places[-1] - edge).mean()), float((best <= places[0] + edge).mean())
    if up >= _SURE:
        return Advice("up", one.low, one.high, up)
    if down >= _SURE:
        return Advice("down", one.low, one.high, down)
    step = float(places[1] - places[0])
    inner = np.percentile(best, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    low, high = max(float(inner[0]) - step, 0.0), min(float(inner[1]) + step, 1.0)
    if high - low > _NARROW:
        return None
    return Advice("narrow", one.at(low), one.at(high), float(((best >= low) & (best <= high)).mean()))
