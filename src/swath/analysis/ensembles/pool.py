"""The finished runs of a task as candidates for ensembles: probabilities side by side, and scores to choose by."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from swath.analysis.cells import Run, finished_runs, pooled_score
from swath.analysis.ensembles.candidates import CandidateSubset, residual_products
from swath.analysis.ensembles.rules import EnsembleWeights, ranks
from swath.analysis.results import TaskResults
from swath.core import metrics
from swath.core.average_precision import RANKED_UP_TO, average_precision_from_counts, bin_counts
from swath.core.errors import InputError

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Pool:
    """Candidates for ensembles.

    Attributes:
        task: The task.
        runs: K distinct finished runs whose predictions are numbers throughout, in the sweep's order.
        max_ms: The most milliseconds that all members of an ensemble may take for an image.
    """

    task: TaskResults
    runs: tuple[Run, ...]
    max_ms: float = math.inf

    @staticmethod
    def of(task: TaskResults, max_ms: float = math.inf) -> "Pool":
        """All candidates of a task; with a bound those that keep it alone.

        Raises:
            InputError: Runs have finished, and none is known to keep the bound.
        """
        distinct = {run.fingerprints: run for run in finished_runs(task)}
        runs = tuple(run for run in distinct.values() if np.isfinite(run.probabilities).all())
        if max_ms == math.inf:
            return Pool(task, runs)
        within = tuple(run for run in runs if run.ms_per_image <= max_ms)
        if runs and not within:
            costs = [run.ms_per_image for run in runs if not math.isnan(run.ms_per_image)]
            cheapest = f"the cheapest takes {min(costs):.3g} ms" if costs else "none has its cost on record"
            raise InputError(
                f"--max-ms-per-image {max_ms:g}: no finished run of {task.label} predicts an image in that time; "
                f"{cheapest}. Raise the bound, or train smaller models."
            )
        return Pool(task, within, max_ms)

    @cached_property
    def probabilities(self) -> Floats:
        """[K, N, C] on the validation images of all folds, fold after fold."""
        probabilities = np.empty((len(self.runs), *self.targets.shape))
        for at, run in enumerate(self.runs):
            probabilities[at] = run.probabilities
        return probabilities

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """[N] rows of the validation images in the task's record."""
        folds = self.task.validation
        return np.concatenate([np.empty(0, np.int64), *(folds[f] for f in sorted(folds))])

    @cached_property
    def targets(self) -> NDArray[np.uint8]:
        """[N, C]."""
        return self.task.record.targets[self.rows]

    @cached_property
    def folds(self) -> NDArray[np.int64]:
        """[N] the fold of the split that each image validates in."""
        folds = self.task.validation
        return np.repeat(sorted(folds), [len(folds[f]) for f in sorted(folds)])

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """[N] group index from 0."""
        groups = self.task.record.rows["group"].to_numpy()[self.rows]
        return np.unique(groups, return_inverse=True)[1].astype(np.int64)

    def view(self, mask: Mask | None = None) -> CandidateSubset:
        """The candidates on the images of a mask [N]; on all without one."""
        return self._view(None if mask is None else np.flatnonzero(mask))

    def _view(
        self, rows: NDArray[np.int64] | None, scores: Floats | None = None, products: Floats | None = None
    ) -> CandidateSubset:
        record = self.task.record
        return CandidateSubset(
            metric=record.metric,
            kind=record.kind,
            factors=tuple(run.trials[0].factors for run in self.runs),
            probabilities=self.probabilities,
            targets=self.targets if rows is None else self.targets[rows],
            folds=self.folds if rows is None else self.folds[rows],
            costs=tuple(run.ms_per_image for run in self.runs),
            bound=self.max_ms,
            rows=rows,
            known_scores=scores,
            known_products=products,
        )

    def views(self, parts: NDArray[np.int64]) -> Iterator[CandidateSubset]:
        """The candidates on the images outside of each part [N] in turn, and at last on all: each as `view` has it.

        What adds up over images is read once for all of them.
        """
        count = int(parts.max()) + 1
        scores = self._scores(parts) if self.task.record.metric == "map" else None
        rows = [np.flatnonzero(parts == part) for part in range(count)]
        products = np.stack([residual_products(self.probabilities, r, self.targets[r]) for r in rows])
        for part in [*range(count), None]:
            kept = np.arange(count) != part
            images = sum(len(r) for r, keep in zip(rows, kept, strict=True) if keep)
            yield self._view(
                None if part is None else np.flatnonzero(parts != part),
                None if scores is None else scores[count if part is None else part],
                products[kept].sum(axis=0) / (images * self.targets.shape[1]),
            )

    def _scores(self, parts: NDArray[np.int64]) -> Floats | None:
        """[parts + 1, K] `CandidateSubset.scores` of every subset; None where images are few enough to sort."""
        count, folds = int(parts.max()) + 1, np.unique(self.folds, return_inverse=True)[1]
        sizes = np.zeros((folds.max() + 1, count), np.int64)
        np.add.at(sizes, (folds, parts), 1)
        if (sizes.sum(axis=1, keepdims=True) - sizes).min() <= RANKED_UP_TO:
            return None
        positives, block = np.flatnonzero(self.targets), folds * count + parts
        scores = np.empty((count + 1, len(self.runs)))
        for k, p in enumerate(self.probabilities):
            by_part = bin_counts(positives, p.astype(np.float32), block)
            by_part = by_part.reshape(2, *sizes.shape, *by_part.shape[2:])
            whole = by_part.sum(axis=2)
            seen = [*(whole - by_part[:, :, part] for part in range(count)), whole]
            scores[:, k] = [metrics.macro(average_precision_from_counts(*one)).mean() for one in seen]
        return scores

    def ranked(self, candidate: int) -> Floats:
        """[N, C] ranks of the images within each label, as `rules.ranks` has them; computed once."""
        if candidate not in self._ranked:
            # Twice a rank is a whole number, which float32 holds exactly for up to eight million images.
            self._ranked[candidate] = (ranks(self.probabilities[candidate]) * len(self.rows)).astype(np.float32)
        return np.divide(self._ranked[candidate], len(self.rows), dtype=np.float64)

    @cached_property
    def _ranked(self) -> dict[int, NDArray[np.float32]]:
        return {}

    def mixed(self, mix: EnsembleWeights, mask: Mask | None = None) -> Floats:
        """[N, C] predictions of an ensemble, or [n, C] on a mask of the images; ranks are among all images."""
        return mix.apply(self.probabilities, mask, self.ranked)

    def score(self, p: Floats, mask: Mask | None = None) -> float:
        """The task's metric of probabilities [N, C], on some images or on all; the mean over the folds of a split."""
        return pooled_score(self.task, p, mask)
