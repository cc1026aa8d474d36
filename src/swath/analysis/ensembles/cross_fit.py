"""Ensembles, cross-fitted: chosen on four fifths of the validation images, scored on the fifth that did not choose.

A member is a run: a cell with one seed, on every fold. Where a sweep has one split, a run is a trial.

Each fifth may have another choice, and probabilities of different choices are on different scales: a run trained with
another loss gives the same ranking with larger numbers. Where the metric ranks images, what is pooled is therefore the
rank that an image has among all images by its fifth's choice, which is the same for every scale.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swath.analysis import score_intervals as image_intervals
from swath.analysis.cells import Run, blocks_of
from swath.analysis.ensembles.candidates import CandidateSubset
from swath.analysis.ensembles.pool import Floats, Pool
from swath.analysis.ensembles.rules import SINGLE, Average, EnsembleWeights, Rule, choice, ranks, rules
from swath.config.splits import stratified_folds

PARTS = 5
_SEED = 0
Estimate = tuple[float, Floats]
"""A score, and how it moves with the validation images (see `score_intervals`)."""


@dataclass(frozen=True, eq=False)
class Ensemble:
    """An average of finished runs and what it is worth on images that did not choose it.

    Attributes:
        name: `single`, `top2`, ..., `best-per-backbone`, `all`, `greedy`, `weighted`, `ranks` or `best`.
        members: Its runs, chosen on all validation images, the best or heaviest first.
        final: The same by their numbers in the pool, with their weights.
        score: Of the cross-fitted predictions, pooled; NaN when the images cannot be parted. Rules that choose the same
            ensemble on all images have one estimate: that of the first of them, the simplest.
        low: Lower end of the 95 % interval of the score over validation images.
        high: Its upper end.
        gain: Score minus that of `single`, with the interval of the paired difference.
        chosen: What stands for it on each part of the images, chosen without that part.
        naive: Score of the members on the images that chose them: too good, and shown to say so.
    """

    name: str
    members: tuple[Run, ...]
    final: EnsembleWeights
    score: float
    low: float
    high: float
    gain: tuple[float, float, float]
    chosen: tuple[EnsembleWeights, ...]
    naive: float

    @property
    def weights(self) -> tuple[float, ...]:
        """Of the members; they sum to 1."""
        return self.final.weights

    @property
    def average(self) -> Average:
        """`probabilities` or `ranks`."""
        return self.final.average

    @property
    def part_sizes(self) -> tuple[int, ...]:
        """Members chosen for each part."""
        return tuple(mix.size for mix in self.chosen)

    @property
    def size(self) -> int:
        """Number of members."""
        return len(self.members)

    @property
    def ms_per_image(self) -> float:
        """Milliseconds that all members take for an image; NaN where one was not measured."""
        return sum(run.ms_per_image for run in self.members)

    @property
    def trials(self) -> tuple[str, ...]:
        """Fingerprints of its members' trials."""
        return tuple(f for run in self.members for f in run.fingerprints)

    def json(self, data: str) -> dict[str, Any]:
        """Its entry in ensembles.json, for the task with this data fingerprint; `swath predict` reads it, too."""
        return {
            "members": [
                {"trials": list(run.fingerprints), "cell": run.cell, "seed": run.seed, "weight": weight}
                for run, weight in zip(self.members, self.weights, strict=True)
            ],
            "average": self.average,
            "cross_fit_score": None if np.isnan(self.score) else self.score,
            "interval": None if np.isnan(self.low) else [self.low, self.high],
            "choice": choice(self.name),
            "data": data,
            "ms_per_image": None if np.isnan(self.ms_per_image) else self.ms_per_image,
        }


def ensembles(pool: Pool, only: str = "") -> list[Ensemble]:
    """All ensembles of a task's candidates, `single` first, `best` last; [] before any run has finished.

    Args:
        pool: The candidates.
        only: Leave out all but `single` and the one of this name.
    """
    named = rules(pool.task, len(pool.runs))
    if not named:
        return []
    parts = cross_fit_parts(pool)
    *fitting, everything = [pool.view()] if parts is None else pool.views(parts)
    if only:  # what it comes to may have been estimated by a rule before it
        named = dict(itertools.islice(named.items(), list(named).index(only) + 1))
    final = {name: rule(everything) for name, rule in named.items()}
    chosen = _chosen(named, final, fitting)
    scored: dict[str, Estimate] = {}
    if parts is not None:
        blocks, estimates = blocks_of(pool.task), dict[EnsembleWeights, Estimate]()
        for name, mixes in chosen.items():
            # The ranks of one run rank images as it does.
            key = final[name].sorted() if final[name].size > 1 else replace(final[name], average="probabilities")
            if key not in estimates:
                estimates[key] = _scored(pool, pooled(pool, mixes, parts), blocks)
            scored[name] = estimates[key]
    asked = (SINGLE, only) if only else tuple(final)
    return [_ensemble(pool, name, mix, scored, chosen[name]) for name, mix in final.items() if name in asked]


def _chosen(
    named: Mapping[str, Rule], final: Mapping[str, EnsembleWeights], views: Sequence[CandidateSubset]
) -> dict[str, tuple[EnsembleWeights, ...]]:
    """What stands for each rule on each part: the choice of the first rule that comes to the same on all images."""
    by_members: dict[EnsembleWeights, tuple[EnsembleWeights, ...]] = {}
    chosen = {}
    for name, mix in final.items():
        key = replace(mix.sorted(), average="probabilities")
        if key not in by_members:
            by_members[key] = tuple(named[name](view) for view in views)
        chosen[name] = tuple(replace(part, average=mix.average) for part in by_members[key])
    return chosen


def pooled(pool: Pool, chosen: Sequence[EnsembleWeights], parts: NDArray[np.int64]) -> Floats:
    """[N, C] cross-fitted predictions: of each image by what was chosen without its part.

    Probabilities where the metric looks at their size. Where it ranks images and the choices differ, ranks among all
    images of the fold.
    """
    predictions = np.empty(pool.targets.shape)
    ranked = pool.task.record.metric == "map" and len({mix.sorted() for mix in chosen}) > 1
    for part, mix in enumerate(chosen):
        here = parts == part
        if not ranked:
            predictions[here] = pool.mixed(mix, here)
            continue
        p = pool.mixed(mix)
        for fold in np.unique(pool.folds):
            in_fold = pool.folds == fold
            predictions[here & in_fold] = ranks(p[in_fold])[here[in_fold]]
    return predictions


def ensemble_names(pool: Pool) -> list[str]:
    """Names of the ensembles that a pool allows."""
    return list(rules(pool.task, len(pool.runs)))


def named_ensemble(pool: Pool, name: str) -> Ensemble:
    """One ensemble of `ensemble_names`, as `ensembles` has it."""
    return next(e for e in ensembles(pool, only=name) if e.name == name)


def cross_fit_parts(pool: Pool) -> NDArray[np.int64] | None:
    """[N] part of each validation image: whole groups, stratified on labels; None where there are too few groups."""
    count = min(PARTS, len(np.unique(pool.groups)))
    return stratified_folds(pool.targets, pool.groups, count, _SEED) if count > 1 else None


def _scored(pool: Pool, p: Floats, blocks: int) -> Estimate:
    """The score of predictions [N, C], and how it moves with the validation images (see `score_intervals`)."""
    record, scores, fold_moves = pool.task.record, [], []
    for fold in np.unique(pool.folds):
        here = pool.folds == fold
        groups = np.unique(pool.groups[here], return_inverse=True)[1].astype(np.int64)
        about = (record.metric, record.kind, pool.targets[here])
        if blocks:
            fold_moves.append(image_intervals.left_out(*about, [p[here]], groups))
        else:
            score, moves = image_intervals.moves_of(*about, p[here], groups)
            scores.append(score)
            fold_moves.append(moves)
    return pool.score(p) if blocks else float(np.mean(scores)), image_intervals.over_folds(fold_moves)


def _ensemble(
    pool: Pool,
    name: str,
    mix: EnsembleWeights,
    scored: Mapping[str, Estimate],
    chosen: tuple[EnsembleWeights, ...],
) -> Ensemble:
    nan = float("nan")
    score, low, high, gain = nan, nan, nan, (nan, nan, nan)
    if scored:
        (score, moves), (single, of_single) = scored[name], scored[SINGLE]
        low, high = image_intervals.of_score(score, moves)
        gain = (score - single, *image_intervals.of_difference(score - single, moves - of_single))
    return Ensemble(
        name=name,
        members=tuple(pool.runs[m] for m in mix.members),
        final=mix,
        score=score,
        low=low,
        high=high,
        gain=gain,
        chosen=chosen if scored else (),
        naive=pool.score(pool.mixed(mix)),
    )
