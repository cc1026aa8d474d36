"""How much of the differences between trials each factor accounts for."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from swath.analysis.effects.matching import Member
from swath.analysis.searches.importance import fanova

Floats = NDArray[np.float64]
_LEAST = 4  # trials below which a forest of regression trees says nothing


@dataclass(frozen=True)
class Share:
    """Part of the variance of the trials' scores.

    Attributes:
        source: A factor; two with `x` between them for their interaction; `more factors together`; `seeds` (and folds).
        share: 0 to 1.
    """

    source: str
    share: float


@dataclass(frozen=True)
class Shares:
    """The parts, largest first.

    Attributes:
        method: `anova`, exact, where every cell has the same seeds and folds; `fanova` (Hutter et al. 2014, by optuna),
            an estimate of the main effects by regression trees, where not.
        parts: They add up to 1.
    """

    method: Literal["anova", "fanova"]
    parts: tuple[Share, ...]


def shares(names: Sequence[str], members: Sequence[Member | None], values: Floats) -> Shares | None:
    """Shares of the factors in the variance of the scores of the trials that may be compared.

    Args:
        names: Factors with two levels or more.
        members: The trials; None for one that may not be compared.
        values: [T] scores.
    """
    scored_members = [
        (m, v) for m, v in zip(members, values, strict=True) if m is not None and all(n in m.factors for n in names)
    ]
    varying = [n for n in names if len({m.factors[n] for m, _ in scored_members}) > 1]
    if not varying or np.ptp([v for _, v in scored_members]) == 0:
        return None
    grid = _full_grid(varying, scored_members)
    if grid is not None:
        return Shares("anova", _largest_first(_anova(varying, grid)))
    return Shares("fanova", _largest_first(_fanova(varying, scored_members))) if len(scored_members) >= _LEAST else None


def _largest_first(parts: dict[str, float]) -> tuple[Share, ...]:
    return tuple(Share(n, s) for n, s in sorted(parts.items(), key=lambda part: -part[1]))


def _full_grid(names: list[str], scored_members: list[tuple[Member, float]]) -> Floats | None:
    """[levels of each factor ..., R] scores, R over seeds and folds; None unless every cell has every one once."""
    levels = [list(dict.fromkeys(m.factors[n] for m, _ in scored_members)) for n in names]
    again = sorted({(m.seed, m.fold) for m, _ in scored_members})
    grid = np.full([*map(len, levels), len(again)], np.nan)
    for m, value in scored_members:
        at = (*(x.index(m.factors[n]) for n, x in zip(names, levels, strict=True)), again.index((m.seed, m.fold)))
        if not np.isnan(grid[at]):
            return None
        grid[at] = value
    return None if np.isnan(grid).any() else grid


def _anova(names: list[str], grid: Floats) -> dict[str, float]:
    """Sums of squares of a balanced design, exact: main effects, two-way interactions, the rest, and within cells."""
    total = float(((grid - grid.mean()) ** 2).sum())
    cells = grid.mean(axis=-1)
    weight = grid.size / cells.size
    # Every cell has R scores, so SS_total = R SS(cell means) + SS_within, and the first falls into orthogonal parts:
    # main effects a_i = mean_i - mean, interactions a_ij = mean_ij - mean - a_i - a_j, and what is left to three or
    # more factors. `weight` is R: squares are summed over cells and counted once for each score.
    parts = {"seeds": 1 - weight * float(((cells - cells.mean()) ** 2).sum()) / total}
    main = {i: _marginal(cells, (i,)) - cells.mean() for i in range(len(names))}
    for i, effect in main.items():
        parts[names[i]] = float((np.broadcast_to(effect, cells.shape) ** 2).sum()) * weight / total
    for i, j in itertools.combinations(range(len(names)), 2):
        both = _marginal(cells, (i, j)) - cells.mean() - main[i] - main[j]
        parts[f"{names[i]} x {names[j]}"] = float((np.broadcast_to(both, cells.shape) ** 2).sum()) * weight / total
    if len(names) > 2:
        parts["more factors together"] = max(0.0, 1 - sum(parts.values()))
    if grid.shape[-1] == 1:
        del parts["seeds"]
    return parts


def _marginal(cells: Floats, kept: tuple[int, ...]) -> Floats:
    return cells.mean(axis=tuple(i for i in range(cells.ndim) if i not in kept), keepdims=True)


def _fanova(names: list[str], scored_members: list[tuple[Member, float]]) -> dict[str, float]:
    return fanova([{n: m.factors[n] for n in names} for m, _ in scored_members], [value for _, value in scored_members])
