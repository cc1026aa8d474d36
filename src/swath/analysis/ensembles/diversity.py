"""What makes an ensemble better: each member's part in it, and which choices differ usefully."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from swath.analysis.ensembles.cross_fit import Ensemble
from swath.analysis.ensembles.pool import Pool
from swath.analysis.results import TaskResults
from swath.config.sweep import SEARCH

_PAIRS = 12  # of runs per factor; an even choice where there are more


@dataclass(frozen=True)
class MemberGain:
    """What one member adds.

    Attributes:
        cell: Its cell.
        seed: Its seed.
        weight: In the ensemble.
        score: Its own, on all validation images.
        adds: Score of the ensemble minus that without it, in points; on the images that chose it, so somewhat too good.
    """

    cell: str
    seed: int
    weight: float
    score: float
    adds: float


@dataclass(frozen=True)
class Diversity:
    """What averaging two runs that differ in one thing only is worth.

    Attributes:
        factor: What they differ in: a factor, `search` for its points, or `seed`.
        pairs: Pairs of runs looked at.
        gain: Mean of the average's score minus the mean of the two scores, in points.
        correlation: Mean correlation of their errors (probability minus target); low errors in common help.
    """

    factor: str
    pairs: int
    gain: float
    correlation: float


def parts(task: TaskResults, ensemble: Ensemble) -> list[MemberGain]:
    """What each member of an ensemble of probabilities adds, the most first; [] for one member or for ranks."""
    if ensemble.size < 2 or ensemble.average != "probabilities":
        return []
    pool = Pool(task, ensemble.members)
    weights = np.array(ensemble.weights)
    total = np.tensordot(weights, pool.probabilities, axes=1)
    whole = pool.score(total)
    member_parts = []
    for at, (run, weight) in enumerate(zip(ensemble.members, ensemble.weights, strict=True)):
        rest = (total - weight * pool.probabilities[at]) / (1 - weight)
        member_parts.append(MemberGain(run.cell, run.seed, weight, run.score, 100 * (whole - pool.score(rest))))
    return sorted(member_parts, key=lambda part: -part.adds)


def diversity(pool: Pool) -> list[Diversity]:
    """For each factor, and for the seed, what averaging two runs equal in all else is worth; the most first."""
    diversities = []
    for factor in [*pool.task.factors, *([SEARCH] if pool.task.searches else []), "seed"]:
        pairs = _pairs(pool, factor)
        if pairs:
            gains, alike = zip(*(_pair(pool, a, b) for a, b in pairs), strict=True)
            diversities.append(Diversity(factor, len(pairs), 100 * float(np.mean(gains)), float(np.mean(alike))))
    return sorted(diversities, key=lambda d: -d.gain)


def _pairs(pool: Pool, factor: str) -> list[tuple[int, int]]:
    """Runs that differ in this alone."""
    alike: dict[tuple[object, ...], list[int]] = {}
    for at, run in enumerate(pool.runs):
        rest = tuple(sorted((k, v) for k, v in run.trials[0].factors.items() if k != factor))
        alike.setdefault((*rest, run.cell if factor == "seed" else run.seed), []).append(at)
    pairs = [pair for same in alike.values() for pair in combinations(same, 2)]
    if len(pairs) <= _PAIRS:
        return pairs
    return [pairs[i] for i in np.linspace(0, len(pairs) - 1, _PAIRS).astype(int)]


def _pair(pool: Pool, a: int, b: int) -> tuple[float, float]:
    """Gain in score of averaging two runs over the mean of their scores, and the correlation of their errors."""
    p, q = pool.probabilities[a], pool.probabilities[b]
    gain = pool.score((p + q) / 2) - (pool.runs[a].score + pool.runs[b].score) / 2
    return gain, float(np.corrcoef((p - pool.targets).ravel(), (q - pool.targets).ravel())[0, 1])
