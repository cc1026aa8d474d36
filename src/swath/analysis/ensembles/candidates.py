"""What a rule that chooses an ensemble may see: the candidates on some of the validation images."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from swath.analysis.cells import rank_key
from swath.core import metrics
from swath.core.average_precision import (
    RANKED_UP_TO,
    average_precision_from_counts,
    bin_counts,
    ranked_average_precision,
)

Floats = NDArray[np.float64]
SIZES = (2, 3, 5, 8, 12, 20)
"""Numbers of members that ensembles of the best candidates may have."""
_CHUNK = 128  # images whose residuals are multiplied at a time, so that they stay in the processor's cache


@dataclass(frozen=True, eq=False)
class CandidateSubset:
    """The candidates on a subset of the validation images: all that a rule sees.

    Attributes:
        metric: The task's metric.
        kind: The task's kind.
        factors: Of each of the K candidates its level of every factor.
        probabilities: [K, M, C], of which `rows` are seen.
        targets: uint8 [n, C].
        folds: [n] the fold of the split that each image validates in.
        costs: [K] what each candidate counts against the bound; only looked at where there is one.
        bound: The most that all members together may cost.
        rows: [n] which of the M images are seen; None for all.
        known_scores: [K] `scores`, where they were computed for several subsets at once.
        known_products: [K, K] `products`, where they were computed for several subsets at once.
    """

    metric: str
    kind: str
    factors: tuple[dict[str, str], ...]
    probabilities: NDArray[np.floating]
    targets: NDArray[np.uint8]
    folds: NDArray[np.int64]
    costs: tuple[float, ...] = ()
    bound: float = math.inf
    rows: NDArray[np.int64] | None = None
    known_scores: Floats | None = None
    known_products: Floats | None = None

    def member(self, candidate: int) -> NDArray[np.float32]:
        """[n, C] probabilities of a candidate."""
        p = self.probabilities[candidate]
        return (p if self.rows is None else p[self.rows]).astype(np.float32, copy=False)

    @property
    def bounded(self) -> bool:
        """True where members may not cost what they like."""
        return self.bound < math.inf

    def affordable(self, members: Sequence[int] | NDArray[np.int64]) -> list[int]:
        """Those of some members that fit the bound, taken in their order, each beside the ones before it."""
        if not self.bounded:
            return [int(m) for m in members]
        taken: list[int] = []
        spent = 0.0
        for m in members:
            if spent + self.costs[m] <= self.bound:
                taken.append(int(m))
                spent += self.costs[m]
        return taken

    @cached_property
    def scores(self) -> Floats:
        """[K] score of each candidate."""
        if self.known_scores is not None:
            return self.known_scores
        return np.array([self.score(self.member(k)) for k in range(len(self.factors))])

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """[K] candidates, best first."""
        return np.array(sorted(range(len(self.scores)), key=lambda i: rank_key(self.scores[i])))

    @cached_property
    def by_size(self) -> dict[int, float]:
        """Score of the average of the best candidates that fit the bound: of 1, and of each of `SIZES`."""
        order = self.affordable(self.order)
        scores, total = {}, np.zeros(self.targets.shape, np.float32)
        for k, member in enumerate(order[: SIZES[-1]], start=1):
            total += self.member(member)
            if k == 1 or k in SIZES:
                scores[k] = self.score(total / k)
        return scores

    @cached_property
    def products(self) -> Floats:
        """[K, K] mean products of the candidates' residuals, probability minus target."""
        if self.known_products is not None:
            return self.known_products
        rows = np.arange(len(self.targets)) if self.rows is None else self.rows
        return residual_products(self.probabilities, rows, self.targets) / self.targets.size

    @cached_property
    def _by_fold(self) -> list[tuple[slice | NDArray[np.bool_], NDArray[np.uint8], NDArray[np.int64]]]:
        """Of each fold: its images, their targets, and where these are 1 when flattened."""
        names = np.unique(self.folds)
        here = [self.folds == fold for fold in names] if len(names) > 1 else [slice(None)]
        return [(h, self.targets[h], np.flatnonzero(self.targets[h])) for h in here]

    def score(self, p: NDArray[np.floating]) -> float:
        """Score of probabilities [n, C], to choose by; the mean over the folds."""
        fold_scores = []
        for here, targets, positives in self._by_fold:
            if self.metric != "map":
                parts = metrics.per_label(self.metric, self.kind, targets, p[here].astype(np.float64))
            elif len(targets) > RANKED_UP_TO:
                parts = average_precision_from_counts(*bin_counts(positives, p[here]))
            else:
                parts = ranked_average_precision(targets, p[here])
            fold_scores.append(float(metrics.macro(parts)))
        return float(np.mean(fold_scores))

    def thinned(self, values: int) -> "CandidateSubset":
        """An even share of the images where they times labels are more than `values`; theirs alone in memory."""
        keep = max(values // self.targets.shape[1], 1)
        if len(self.targets) <= keep and self.rows is None:
            return self
        at = np.linspace(0, len(self.targets) - 1, min(keep, len(self.targets))).astype(np.int64)
        rows = at if self.rows is None else self.rows[at]
        return CandidateSubset(
            metric=self.metric,
            kind=self.kind,
            factors=self.factors,
            probabilities=self.probabilities[:, rows].astype(np.float32),
            targets=self.targets[at],
            folds=self.folds[at],
            costs=self.costs,
            bound=self.bound,
            known_scores=self.known_scores if len(at) == len(self.targets) else None,
        )


def residual_products(
    probabilities: NDArray[np.floating], rows: NDArray[np.int64], targets: NDArray[np.uint8]
) -> Floats:
    """[K, K] sums over images and labels of the products of residuals.

    Args:
        probabilities: [K, M, C].
        rows: [n] which of the M images count.
        targets: [n, C] of these images.
    """
    count = len(probabilities)
    total = np.zeros((count, count))
    # Products this small gain nothing from threads, which wait for each other where the cores are busy.
    with threadpool_limits(1, "blas"):
        for start in range(0, len(rows), _CHUNK):
            stop = start + _CHUNK
            residuals = probabilities[:, rows[start:stop]].astype(np.float32, copy=False) - targets[start:stop]
            flat = residuals.reshape(count, -1)
            total += flat @ flat.T
    return total
