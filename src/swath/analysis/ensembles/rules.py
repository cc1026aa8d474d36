"""Rules that choose an ensemble on some images: which runs, with what weight, averaged how.

A rule sees the images of its mask only. That is what lets its score be estimated on the others.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from swath.analysis.cells import rank_key
from swath.analysis.ensembles.candidates import SIZES, CandidateSubset, Floats
from swath.analysis.results import TaskResults

SINGLE, BEST, ALL, GREEDY, WEIGHTED, RANKS = "single", "best", "all", "greedy", "weighted", "ranks"

PICKS = 40
"""Picks of a greedy choice at most; more only fit the images that choose."""
BAGS, CANDIDATES, PATIENCE = 3, 24, 4
_BAGGED_FROM = 10  # candidates; half of fewer is too few to choose from
_VALUES = 120_000  # images times labels that a choice looks at; larger validation parts are thinned evenly

Average = Literal["probabilities", "ranks"]


@dataclass(frozen=True)
class EnsembleWeights:
    """The weights of an ensemble: the chosen runs of a pool and what each counts.

    Attributes:
        members: Index into the pool's runs, the heaviest or best first.
        weights: Of the members; they sum to 1.
        average: What is averaged: probabilities, or ranks of the images within each label.
    """

    members: tuple[int, ...]
    weights: tuple[float, ...]
    average: Average = "probabilities"

    @property
    def size(self) -> int:
        """Number of members."""
        return len(self.members)

    def sorted(self) -> "EnsembleWeights":
        """The same with the members in the pool's order: equal for ensembles that give equal predictions."""
        pairs = sorted(zip(self.members, self.weights, strict=True))
        return replace(self, members=tuple(m for m, _ in pairs), weights=tuple(w for _, w in pairs))

    def apply(
        self,
        probabilities: Floats,
        mask: NDArray[np.bool_] | None = None,
        ranked: Callable[[int], Floats] | None = None,
    ) -> Floats:
        """[N, C] of all of a pool's probabilities [K, N, C], or [n, C] on a mask of the images.

        Ranks are among all images and scaled to 0..1; `ranked` gives those of a run where they are known already.
        """
        here = slice(None) if mask is None else np.flatnonzero(mask)
        total = np.zeros(probabilities[0][here].shape)
        for member, weight in zip(self.members, self.weights, strict=True):
            if self.average == "probabilities":
                total += weight * probabilities[member][here]
            else:
                total += weight * (ranked(member) if ranked else ranks(probabilities[member]))[here]
        return total


Rule = Callable[[CandidateSubset], EnsembleWeights]


def ranks(p: Floats) -> Floats:
    """Rank of each image within its label, from 1/N to 1; equal values share the mean of their ranks."""
    by_label = np.empty(p.T.shape)
    for rank, s in zip(by_label, np.ascontiguousarray(p.T), strict=True):
        order = np.argsort(s)
        ends = np.append(np.flatnonzero(np.diff(s[order])), len(s) - 1)
        sizes = np.diff(ends, prepend=-1)
        rank[order] = np.repeat(ends + 1 - (sizes - 1) / 2, sizes)
    return np.ascontiguousarray(by_label.T) / len(p)


def uniform(members: NDArray[np.int64] | list[int]) -> EnsembleWeights:
    """All of some members alike."""
    return EnsembleWeights(tuple(int(m) for m in members), (1 / len(members),) * len(members))


def rules(task: TaskResults, runs: int) -> dict[str, Rule]:
    """The rules that make sense for so many finished runs of a task, by name; {} for none."""
    if not runs:
        return {}
    by_name: dict[str, Rule] = {SINGLE: partial(top, size=1)}
    by_name |= {f"top{k}": partial(top, size=k) for k in SIZES if k <= runs}
    if runs > 1:
        by_name |= {
            f"best-per-{factor.replace(' ', '-')}": partial(best_per_level, factor=factor) for factor in task.factors
        }
        by_name |= {ALL: everyone, GREEDY: greedy, WEIGHTED: weighted}
        if task.record.metric == "map":
            by_name[RANKS] = best_by_rank
    return {**by_name, BEST: best}


def choice(name: str) -> str:
    """How a named rule chooses, in words."""
    fixed = {
        SINGLE: "the one best run",
        BEST: "the best runs; their number is the one whose average scores highest, one run allowed",
        ALL: "every finished run",
        GREEDY: "greedy selection with replacement, bagged (Caruana et al. 2004, 2006)",
        WEIGHTED: "weights of least squared error (Brier score), none below 0",
        RANKS: f"the members of `{BEST}`; ranks of the images averaged instead of probabilities",
    }
    if name.startswith("best-per-"):
        return f"the best run of each level of {name.removeprefix('best-per-')}"
    return fixed.get(name) or f"the {name.removeprefix('top')} best runs"


def top(view: CandidateSubset, size: int) -> EnsembleWeights:
    """The best `size` candidates; where the bound is met before, those that fit."""
    return uniform(view.affordable(view.order)[:size])


def everyone(view: CandidateSubset) -> EnsembleWeights:
    """All candidates that fit, the best first."""
    return uniform(view.affordable(view.order))


def best(view: CandidateSubset) -> EnsembleWeights:
    """The best candidates, as many as score highest together."""
    size = min(view.by_size.items(), key=lambda pair: rank_key(pair[1]))[0]
    return uniform(view.affordable(view.order)[:size])


def best_by_rank(view: CandidateSubset) -> EnsembleWeights:
    """The same members, averaged by rank."""
    return replace(best(view), average="ranks")


def best_per_level(view: CandidateSubset, factor: str) -> EnsembleWeights:
    """The best candidate of each level of a factor."""
    first: dict[str, int] = {}
    for member in view.order:
        first.setdefault(view.factors[member].get(factor, ""), int(member))
    return uniform(view.affordable(list(first.values())))


def greedy(view: CandidateSubset) -> EnsembleWeights:
    """Weights in proportion to how often bagged greedy selection picks each candidate."""
    return _by_weight(greedy_counts(view).astype(np.float64))


def weighted(view: CandidateSubset) -> EnsembleWeights:
    """Weights w >= 0 with sum 1 of least mean (sum_k w_k p_k - y)^2: stacking by the Brier score (Breiman 1996).

    As the weights sum to 1 the error is w'Gw with G the mean products of the candidates' residuals. Its minimum is the
    non-negative least squares solution of G^(1/2) w = 0 with a heavy row that holds the sum at 1.
    """
    weights = _least_squares(view, np.arange(len(view.factors)))
    if view.bounded:  # those of the largest weights that fit, weighted anew
        heaviest = [int(m) for m in np.argsort(-weights, kind="stable") if weights[m] > 0]
        weights = _least_squares(view, np.array(view.affordable(heaviest)))
    return _by_weight(weights)


def _least_squares(view: CandidateSubset, members: NDArray[np.int64]) -> Floats:
    """[K] weights of least squared error; 0 for others than the members."""
    gram = view.products[np.ix_(members, members)]
    values, vectors = np.linalg.eigh(gram)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    heavy = 1e3 * max(float(np.sqrt(np.trace(gram))), 1e-12)
    weights = nnls(np.vstack([root, np.full(len(gram), heavy)]), np.append(np.zeros(len(gram)), heavy))[0]
    all_weights = np.zeros(len(view.factors))
    all_weights[members] = np.where(weights < 1e-3 * weights.max(), 0, weights)
    return all_weights


def _by_weight(weights: Floats) -> EnsembleWeights:
    """Those above 0, heaviest first, with weights that sum to 1."""
    members = [int(m) for m in np.argsort(-weights, kind="stable") if weights[m] > 0]
    return EnsembleWeights(tuple(members), tuple(float(weights[m] / weights.sum()) for m in members))


def greedy_counts(view: CandidateSubset) -> NDArray[np.int64]:
    """[K] how often each candidate is picked, over all bags.

    Only the best candidates take part (pruning, Caruana 2006); each bag sees a random half of them. With few
    candidates there is one bag of all.
    """
    seen = view.thinned(_VALUES)
    ranked = seen.order[:CANDIDATES]
    bags = [ranked]
    if len(ranked) >= _BAGGED_FROM and not view.bounded:  # the members of several bags together would break a bound
        rng = np.random.default_rng(0)
        bags = [ranked[np.sort(rng.permutation(len(ranked))[: len(ranked) // 2])] for _ in range(BAGS)]
    counts = np.zeros(len(view.scores), np.int64)
    for bag in bags:
        np.add.at(counts, _picks(seen, bag), 1)
    return counts


def _picks(view: CandidateSubset, ranked: NDArray[np.int64]) -> list[int]:
    """The picks of one bag, whose candidates come best first, up to the best average on the way."""
    p = view.probabilities
    picks = _sorted_start(view, ranked)
    total = p[picks].sum(axis=0)
    best_score, best_length = view.score(total / len(picks)), len(picks)
    while len(picks) < PICKS and len(picks) - best_length < PATIENCE:
        fits = _fitting(view, picks, ranked)
        scores = np.full(len(ranked), -np.inf)
        scores[fits] = _sortable([view.score((total + p[m]) / (len(picks) + 1)) for m in ranked[fits]])
        pick = int(np.argmax(scores))
        picks.append(int(ranked[pick]))
        total = total + p[ranked[pick]]
        if scores[pick] > best_score:
            best_score, best_length = scores[pick], len(picks)
    return picks[:best_length]


def _fitting(view: CandidateSubset, picks: list[int], ranked: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which candidates fit the bound beside the picks; one that was picked before costs nothing more."""
    if not view.bounded:
        return np.ones(len(ranked), bool)
    members = set(picks)
    spent = sum(view.costs[m] for m in members)
    return np.array([m in members or spent + view.costs[m] <= view.bound for m in ranked.tolist()])


def _sorted_start(view: CandidateSubset, ranked: NDArray[np.int64]) -> list[int]:
    """The best first candidates, as many of up to five as average best."""
    ranked = np.array(view.affordable(ranked[:5]))
    sums = view.probabilities[ranked].cumsum(axis=0)
    scores = _sortable([view.score(total / k) for k, total in enumerate(sums, start=1)])
    return [int(m) for m in ranked[: int(np.argmax(scores)) + 1]]


def _sortable(scores: list[float]) -> NDArray[np.float64]:
    return np.nan_to_num(scores, nan=-np.inf)
