"""Greedy ensemble selection with replacement, bagged, from a sorted start (Caruana et al. 2004 and 2006)."""

import numpy as np
from numpy.typing import NDArray

from swath.report.view import View

PICKS = 40
"""At most; more only fit the images that choose."""
BAGS, CANDIDATES, PATIENCE = 3, 24, 4
_BAGGED_FROM = 10  # candidates; half of fewer is too few to choose from
_VALUES = 120_000  # images times labels that a choice looks at; larger validation parts are thinned evenly


def greedy_counts(view: View) -> NDArray[np.int64]:
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


def _picks(view: View, ranked: NDArray[np.int64]) -> list[int]:
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


def _fitting(view: View, picks: list[int], ranked: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which candidates fit the bound beside the picks; one that was picked before costs nothing more."""
    if not view.bounded:
        return np.ones(len(ranked), bool)
    members = set(picks)
    spent = sum(view.costs[m] for m in members)
    return np.array([m in members or spent + view.costs[m] <= view.bound for m in ranked.tolist()])


def _sorted_start(view: View, ranked: NDArray[np.int64]) -> list[int]:
    """The best first candidates, as many of up to five as average best."""
    ranked = np.array(view.affordable(ranked[:5]))
    sums = view.probabilities[ranked].cumsum(axis=0)
    scores = _sortable([view.score(total / k) for k, total in enumerate(sums, start=1)])
    return [int(m) for m in ranked[: int(np.argmax(scores)) + 1]]


def _sortable(scores: list[float]) -> NDArray[np.float64]:
    return np.nan_to_num(scores, nan=-np.inf)
