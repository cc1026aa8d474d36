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
_REST = "more factors together"
_LEAST = 4  # trials below which a forest of regression trees says nothing


@dataclass(frozen=True)
class Share:
    """Part of the variance of the trials' scores.

    Attributes:
        source: A factor; two with `x` between them for their interaction; `more factors together`; `folds`; `seeds`.
        share: 0 to 1.
    """

    source: str
    share: float


@dataclass(frozen=True)
class Shares:
    """The parts, largest first.

    Attributes:
        method: `anova`, with what chance adds to each part taken off, where every cell has the same seeds and
            folds; `fanova` (Hutter et al. 2014, by optuna), an estimate of the main effects by
            regression trees, where not.
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
    """[levels of each factor ..., folds, seeds] scores; None unless every cell has every fold with every seed once."""
    levels = [list(dict.fromkeys(m.factors[n] for m, _ in scored_members)) for n in names]
    folds, seeds = sorted({m.fold for m, _ in scored_members}), sorted({m.seed for m, _ in scored_members})
    grid = np.full([*map(len, levels), len(folds), len(seeds)], np.nan)
    for m, value in scored_members:
        of_cell = (x.index(m.factors[n]) for n, x in zip(names, levels, strict=True))
        at = (*of_cell, folds.index(m.fold), seeds.index(m.seed))
        if not np.isnan(grid[at]):
            return None
        grid[at] = value
    return None if np.isnan(grid).any() else grid


def _anova(names: list[str], grid: Floats) -> dict[str, float]:
    """Shares of a balanced design: main effects, two-way interactions, the rest, folds in cells, seeds in folds.

    Chance gives every part a sum of squares, so much a degree of freedom: it is taken off each and given to what it
    comes from (epsilon squared, Kelley 1935), seeds where there are several, else folds. What all cells have of a fold
    or of a seed alike is in no difference between cells, so it is no part of chance.
    """
    total = float(((grid - grid.mean()) ** 2).sum())
    folds, seeds = grid.shape[-2:]
    of_fold, cells = grid.mean(axis=-1), grid.mean(axis=(-2, -1))
    # Every cell has R = folds x seeds scores, so SS_total = R SS(cell means) + SS_within, and the first falls into
    # orthogonal parts: main effects a_i = mean_i - mean, interactions a_ij = mean_ij - mean - a_i - a_j, and what is
    # left to three or more factors.
    left = of_fold - cells[..., None]
    squares = {"folds": float((left**2).sum()) * seeds}
    squares["seeds"] = float(((grid - of_fold[..., None]) ** 2).sum())
    free = {"folds": cells.size * (folds - 1), "seeds": cells.size * folds * (seeds - 1)}
    every = tuple(range(cells.ndim))
    alike = {"folds": float((left.mean(axis=every) ** 2).sum()) * cells.size * seeds}
    alike["seeds"] = float((((grid - of_fold[..., None]).mean(axis=(*every, -2))) ** 2).sum()) * cells.size * folds
    main = {i: _marginal(cells, (i,)) - cells.mean() for i in range(len(names))}
    for i, effect in main.items():
        squares[names[i]] = _sum_of_squares(effect, cells) * folds * seeds
        free[names[i]] = cells.shape[i] - 1
    for i, j in itertools.combinations(range(len(names)), 2):
        both = _marginal(cells, (i, j)) - cells.mean() - main[i] - main[j]
        squares[f"{names[i]} x {names[j]}"] = _sum_of_squares(both, cells) * folds * seeds
        free[f"{names[i]} x {names[j]}"] = (cells.shape[i] - 1) * (cells.shape[j] - 1)
    if len(names) > 2:
        squares[_REST] = max(0.0, total - sum(squares.values()))
        free[_REST] = grid.size - 1 - sum(free.values())
    noise = next((n for n in ("seeds", "folds") if free[n]), None)
    if noise is None:
        return {n: s / total for n, s in squares.items() if free[n]}
    levels = seeds if noise == "seeds" else folds
    chance = (squares[noise] - alike[noise]) / max(1, free[noise] - (levels - 1))
    parts = {n: max(0.0, s - free[n] * chance) / total for n, s in squares.items() if free[n] and n != noise}
    return {**parts, noise: 1 - sum(parts.values())}


def _sum_of_squares(effect: Floats, cells: Floats) -> float:
    return float((np.broadcast_to(effect, cells.shape) ** 2).sum())


def _marginal(cells: Floats, kept: tuple[int, ...]) -> Floats:
    return cells.mean(axis=tuple(i for i in range(cells.ndim) if i not in kept), keepdims=True)


def _fanova(names: list[str], scored_members: list[tuple[Member, float]]) -> dict[str, float]:
    return fanova([{n: m.factors[n] for n in names} for m, _ in scored_members], [value for _, value in scored_members])
