"""Matched trials: equal in everything but the factors in question, seed, fold and epoch budget included."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from swath.analysis.effects.differences import PairedDifferences

Corners = Mapping[tuple[str, ...], float]
"""What trials at each combination of the factors' levels count: `{("sharpen",): 1, ("raw",): -1}`."""
BACKBONE = "backbone"
EPOCHS = "epochs"


@dataclass(frozen=True)
class Member:
    """A trial as a candidate for matching.

    Attributes:
        factors: Factor name to level.
        seed: Training seed.
        fold: Which fold validates.
        budget: Epochs behind the score that is compared.
        own_stream: True where its random numbers are its own; False where they follow from the seed alone, so that
            all cells of a seed may err together.
    """

    factors: Mapping[str, str]
    seed: int
    fold: int
    budget: int
    own_stream: bool = False


_Others = tuple[tuple[str, str], ...]
_Key = tuple[_Others, int, int, int]


def matched(members: Sequence[Member | None], factors: Sequence[str], corners: Corners) -> PairedDifferences | None:
    """Differences between trials that are equal but for some factors.

    Args:
        members: One per trial; None for a trial that may not be compared.
        factors: The factors that may differ, one for an effect, two for an interaction.
        corners: Combinations of their levels with the sign of each; a match has a trial at every one of them.

    Returns:
        One unit per match in the order of the members, or None without any.
    """
    by_key: dict[_Key, dict[tuple[str, ...], int]] = {}
    for at, member in enumerate(members):
        if member is not None and all(f in member.factors for f in factors):
            by_key.setdefault(_key(member, factors), {})[tuple(member.factors[f] for f in factors)] = at
    matches = {key: at for key, at in by_key.items() if all(corner in at for corner in corners)}
    if not matches:
        return None
    weights = np.zeros((len(matches), len(members)))
    for row, at in zip(weights, matches.values(), strict=True):
        for corner, sign in corners.items():
            row[at[corner]] = sign
    others = [dict(key[0]) for key in matches]
    names = list(dict.fromkeys(name for some in others for name in some))
    levels = [_numbers([some.get(name, "") for some in others]) for name in names]
    return PairedDifferences(
        weights=weights,
        cells=_numbers([(key[0], key[3]) for key in matches]),
        levels=np.array(levels, np.int64).reshape(len(names), len(matches)).T,
        folds=np.array([key[2] for key in matches], np.int64),
        strata=_numbers([some.get(BACKBONE, "") for some in others]),
        streams=_numbers([_stream(at, members) for at in matches.values()]),
    )


def _stream(at: Mapping[tuple[str, ...], int], members: Sequence[Member | None]) -> tuple[str, int]:
    """Names the random numbers behind a match: the seed where any of its trials shares them, else its own."""
    trials = [members[i] for i in at.values()]
    shared = next((m.seed for m in trials if m is not None and not m.own_stream), None)
    return ("own", next(iter(at.values()))) if shared is None else ("seed", shared)


def _key(member: Member, factors: Sequence[str]) -> _Key:
    """What matched trials share: the other factors' levels, the seed, the fold and the budget."""
    others = tuple(sorted((name, level) for name, level in member.factors.items() if name not in factors))
    # Where the epochs themselves are the factor, its levels are budgets and differ in them by design.
    return others, member.seed, member.fold, 0 if EPOCHS in factors else member.budget


def _numbers(values: Sequence[object]) -> np.ndarray:
    """Distinct values numbered from 0 in the order they come."""
    numbers = {value: i for i, value in enumerate(dict.fromkeys(values))}
    return np.array([numbers[v] for v in values], np.int64)
