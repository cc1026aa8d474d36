"""Ensembles, cross-fitted: chosen on four fifths of the validation images, scored on the fifth that did not choose.

A member is a run: a cell with one seed, on every fold. Where a sweep has one split, a run is a trial.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swath.analysis import score_intervals as image_intervals
from swath.analysis.cells import Run, blocks_of
from swath.analysis.ensembles.pool import Floats, Pool
from swath.analysis.ensembles.rules import SINGLE, Average, EnsembleWeights, choice, rules
from swath.config.splits import stratified_folds

PARTS = 5
_SEED = 0


@dataclass(frozen=True, eq=False)
class Ensemble:
    """An average of finished runs and what it is worth on images that did not choose it.

    Attributes:
        name: `single`, `top2`, ..., `best-per-backbone`, `all`, `greedy`, `weighted`, `ranks` or `best`.
        members: Its runs, chosen on all validation images, the best or heaviest first.
        weights: Of the members; they sum to 1.
        average: `probabilities` or `ranks`.
        score: Of the cross-fitted predictions, pooled; NaN when the images cannot be parted.
        low: Lower end of the 95 % interval of the score over validation images.
        high: Its upper end.
        gain: Score minus that of `single`, with the interval of the paired difference.
        part_sizes: Members chosen for each part.
        naive: Score of the members on the images that chose them: too good, and shown to say so.
        predictions: [N, C] the cross-fitted predictions, in the order of the pool's rows; None without parts.
    """

    name: str
    members: tuple[Run, ...]
    weights: tuple[float, ...]
    average: Average
    score: float
    low: float
    high: float
    gain: tuple[float, float, float]
    part_sizes: tuple[int, ...]
    naive: float
    predictions: Floats | None

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
    named = {n: rule for n, rule in rules(pool.task, len(pool.runs)).items() if not only or n in (SINGLE, only)}
    if not named:
        return []
    parts = cross_fit_parts(pool)
    fitted: dict[str, Floats] = {name: np.zeros(pool.targets.shape) for name in named} if parts is not None else {}
    sizes: dict[str, list[int]] = {name: [] for name in named}
    *fitting, everything = [pool.view()] if parts is None else pool.views(parts)
    for part, view in enumerate(fitting):
        here = parts == part
        for name, rule in named.items():
            mix = rule(view)
            fitted[name][here] = pool.mixed(mix, here)
            sizes[name].append(len(mix.members))
    blocks = blocks_of(pool.task)
    scored = {name: _scored(pool, p, blocks) for name, p in fitted.items()}
    return [
        _ensemble(pool, name, rule(everything), fitted.get(name), scored, tuple(sizes[name]))
        for name, rule in named.items()
    ]


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


def _scored(pool: Pool, p: Floats, blocks: int) -> tuple[float, Floats]:
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
    predictions: Floats | None,
    scored: dict[str, tuple[float, Floats]],
    sizes: tuple[int, ...],
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
        weights=mix.weights,
        average=mix.average,
        score=score,
        low=low,
        high=high,
        gain=gain,
        part_sizes=sizes,
        naive=pool.score(pool.mixed(mix)),
        predictions=predictions,
    )
