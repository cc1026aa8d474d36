"""The finished runs of a task as candidates for ensembles: probabilities side by side, and scores to choose by."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from swath import metrics
from swath.errors import InputError
from swath.report.cells import Run, finished_runs, pooled_score, rank_key
from swath.report.results import TaskResults

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
_SORTED = 1000  # images up to which sorting costs less than binning
_DROPPED_BITS = 18  # of the 23 of a float32's mantissa; leaves 32 bins to a factor of two
_OCTAVES = 16  # odds from 2^-16 to 2^16
_ONE = int(np.float32(1).view(np.int32)) >> _DROPPED_BITS
_BINS = 2 * _OCTAVES * 32


@dataclass(frozen=True, eq=False)
class View:
    """What a rule that chooses an ensemble may see: the candidates on some of the validation images.

    Attributes:
        metric: The task's metric.
        kind: The task's kind.
        factors: Of each of the K candidates its level of every factor.
        probabilities: float32 [K, n, C].
        targets: uint8 [n, C].
        folds: [n] the fold of the split that each image validates in.
        costs: [K] what each candidate counts against the bound; only looked at where there is one.
        bound: The most that all members together may cost.
    """

    metric: str
    kind: str
    factors: tuple[dict[str, str], ...]
    probabilities: NDArray[np.float32]
    targets: NDArray[np.uint8]
    folds: NDArray[np.int64]
    costs: tuple[float, ...] = ()
    bound: float = math.inf

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
        return np.array([self.score(p) for p in self.probabilities])

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """[K] candidates, best first."""
        return np.array(sorted(range(len(self.scores)), key=lambda i: rank_key(self.scores[i])))

    def score(self, p: NDArray[np.floating]) -> float:
        """Score of probabilities [n, C], to choose by; the mean over the folds.

        On more than a thousand images average precision counts odds within 3 % of each other as equal, which needs
        no sorting: within .002 of the exact score, several times as fast. What is reported of a choice is exact
        (`Pool.score`).
        """
        found = []
        for fold in np.unique(self.folds):
            here = self.folds == fold if self.folds[0] != self.folds[-1] else slice(None)
            if self.metric == "map":
                targets = self.targets[here]
                quick = binned_average_precision if len(targets) > _SORTED else sorted_average_precision
                parts = quick(targets, p[here])
            else:
                parts = metrics.per_label(self.metric, self.kind, self.targets[here], p[here].astype(np.float64))
            found.append(float(metrics.macro(parts)))
        return float(np.mean(found))

    def thinned(self, values: int) -> "View":
        """An even share of the images where they times labels are more than `values`."""
        keep = max(values // self.targets.shape[1], 1)
        if len(self.targets) <= keep:
            return self
        rows = np.linspace(0, len(self.targets) - 1, keep).astype(np.int64)
        return replace(
            self, probabilities=self.probabilities[:, rows], targets=self.targets[rows], folds=self.folds[rows]
        )


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
            found = f"the cheapest takes {min(costs):.3g} ms" if costs else "none has its cost on record"
            raise InputError(
                f"--max-ms-per-image {max_ms:g}: no finished run of {task.label} predicts an image in that time; "
                f"{found}. Raise the bound, or train smaller models."
            )
        return Pool(task, within, max_ms)

    @cached_property
    def probabilities(self) -> Floats:
        """[K, N, C] on the validation images of all folds, fold after fold."""
        return np.stack([run.probabilities for run in self.runs])

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

    def view(self, mask: Mask | None = None) -> View:
        """The candidates on the images of a mask [N]; on all without one."""
        rows = np.arange(len(self.rows)) if mask is None else np.flatnonzero(mask)
        record = self.task.record
        return View(
            record.metric,
            record.kind,
            tuple(run.trials[0].factors for run in self.runs),
            self.probabilities[:, rows].astype(np.float32),
            self.targets[rows],
            self.folds[rows],
            tuple(run.ms_per_image for run in self.runs),
            self.max_ms,
        )

    def score(self, p: Floats, mask: Mask | None = None) -> float:
        """The task's metric of probabilities [N, C], on some images or on all; the mean over the folds of a split."""
        return pooled_score(self.task, p, mask)


def sorted_average_precision(targets: NDArray[np.uint8], p: NDArray[np.floating]) -> Floats:
    """[C] average precision of probabilities [N, C], equal ones ranked in the images' order."""
    order = np.argsort(-p, axis=0, kind="stable")
    gains = np.take_along_axis(targets, order, axis=0)
    precision = gains.cumsum(axis=0) / np.arange(1, len(p) + 1)[:, None]
    positives = gains.sum(axis=0)
    return np.where(positives > 0, (precision * gains).sum(axis=0) / np.maximum(positives, 1), np.nan)


def binned_average_precision(targets: NDArray[np.uint8], p: NDArray[np.floating]) -> Floats:
    """[C] average precision with probabilities [N, C] binned by their odds, 32 bins to a factor of two."""
    classes = targets.shape[1]
    odds = (p / np.maximum(1 - p, 2.0**-_OCTAVES)).astype(np.float32)
    bins = (odds.view(np.int32) >> _DROPPED_BITS) - (_ONE - _BINS // 2)
    flat = np.clip(bins, 0, _BINS - 1) + np.arange(classes) * _BINS
    retrieved = np.bincount(flat.ravel(), minlength=classes * _BINS).reshape(classes, _BINS)
    gains = np.bincount(flat[targets.astype(bool)], minlength=classes * _BINS).reshape(classes, _BINS)
    retrieved, gains = retrieved[:, ::-1].cumsum(axis=1), gains[:, ::-1]
    precision = gains.cumsum(axis=1) / np.maximum(retrieved, 1)
    positives = gains.sum(axis=1)
    return np.where(positives > 0, (precision * gains).sum(axis=1) / np.maximum(positives, 1), np.nan)
