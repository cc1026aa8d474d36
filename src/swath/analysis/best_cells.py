"""Which cells may be the best, and what the one that came out highest is worth.

The highest of many scores is high by luck as well. All that is said here comes from draws of the joint error of the
cells' mean scores: images move all of them together, chance in training each alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from scipy.special import expit, logit, polygamma

from swath.analysis.cells import CellResult
from swath.analysis.effects.intervals import estimate, image_freedom, image_variances
from swath.analysis.effects.matching import Member, matched
from swath.analysis.image_variance import FoldEvidence
from swath.analysis.results import TaskResults

Floats = NDArray[np.float64]
_LEVEL = 0.95
_DRAWS = 4000
_MOST = 100
"""Cells that are looked at, best first: what ranks below a hundred others is not the best."""
_MOST_FREEDOM = 1e6
_SAYS_NOTHING = 0.5  # width of an interval of a score
_LEAST_DRAWS = 40  # draws in which the highest cell wins, below which their mean says nothing


@dataclass(frozen=True)
class BestCells:
    """What is known of the best of a task's cells. Scores and differences are 0 to 1; not points.

    Attributes:
        tied: Labels of the cells that hold the best one with 95 %, highest first: no other is clearly better.
        examined: Cells that were compared.
        score: Of the highest cell, less what having been chosen adds on average.
        low: Lower end of its 95 % interval, over images, chance in training and the choice.
        high: Its upper end.
        gain: Its difference from the baseline cell, corrected likewise; NaN where that is the highest or unknown.
        gain_low: Lower end of the 95 % interval of that difference, likewise.
        gain_high: Its upper end.
        worse: Probability that it is worse than the baseline cell; NaN likewise.
    """

    tied: tuple[str, ...]
    examined: int
    score: float
    low: float
    high: float
    gain: float
    gain_low: float
    gain_high: float
    worse: float


def best_cells(
    task: TaskResults, cells: Sequence[CellResult], evidence: Sequence[FoldEvidence], seed: int = 0
) -> BestCells | None:
    """What can be said of the best of some cells.

    Args:
        task: The task.
        cells: Finished cells, best first.
        evidence: Of the trials that luck has not chosen.
        seed: Of the draws.

    Returns:
        None with fewer than two cells of such trials, where no cell was trained twice, or where that is too little: the
        interval of the highest score is half as wide as the scale.
    """
    number = {t.fingerprint: i for i, t in enumerate(task.trials)}
    known = {int(i) for fold in evidence for i in fold.trials}
    usable = [c for c in cells if all(number[t.fingerprint] in known for t in c.trials)][:_MOST]
    if len(usable) < 2 or usable[0] is not cells[0]:
        return None
    training = _training_noise(task, usable)
    if training is None:
        return None
    variance, free = training
    rng = np.random.default_rng(seed)
    errors = rng.standard_t(free, (_DRAWS, len(free))) * np.sqrt(variance)
    if len(task.validation) > 1:  # between folds images differ, so that variance holds them
        errors += _common_to_folds(task, usable, rng)
    else:
        covariance = np.sum([f.covariance(_means(usable, number)[:, f.trials]) for f in evidence], axis=0)
        if not np.isfinite(covariance).all():
            return None
        errors += _normal(covariance, rng)
    base = next((i for i, c in enumerate(usable) if c.baseline), None)
    least = _paired_half(task, usable[0], usable[base], evidence) if base else 0.0
    best = _from_errors([c.cell for c in usable], np.array([c.score for c in usable]), errors, base, least)
    return best if best.high - best.low < _SAYS_NOTHING else None


def _means(cells: Sequence[CellResult], number: Mapping[str, int]) -> Floats:
    """[k, T] each cell's mean score as weights of the task's trials, by the trials' numbers."""
    contrasts = np.zeros((len(cells), len(number)))
    for row, cell in zip(contrasts, cells, strict=True):
        row[[number[t.fingerprint] for t in cell.trials]] = 1 / len(cell.trials)
    return contrasts


def _paired_half(task: TaskResults, one: CellResult, other: CellResult, evidence: Sequence[FoldEvidence]) -> float:
    """Half the interval that an effect of these two cells alone would have; 0 where it has none.

    What is said of the winner against the baseline is never surer than what is said of the two as a comparison.
    """
    members = [
        Member({"cell": t.cell}, t.seed, t.fold, 0, t.own_stream) if t.cell in (one.cell, other.cell) else None
        for t in task.trials
    ]
    kept = {t.fingerprint for t in (*one.trials, *other.trials)}
    members = [m if t.fingerprint in kept else None for m, t in zip(members, task.trials, strict=True)]
    units = matched(members, ["cell"], {(one.cell,): 1.0, (other.cell,): -1.0})
    if units is None:
        return 0.0
    values = np.array([task.score(t) if t.fingerprint in kept else 0.0 for t in task.trials])
    half = estimate(
        units, values, partial(image_variances, evidence=evidence), partial(image_freedom, evidence=evidence)
    ).noise.half_width()
    return half if np.isfinite(half) else 0.0


def _from_errors(
    labels: Sequence[str], scores: Floats, errors: Floats, base: int | None, least: float = 0.0
) -> BestCells:
    """The same from scores [k], best first, and draws of their errors [B, k].

    Args:
        labels: Of the cells.
        scores: Their scores.
        errors: Draws of their errors.
        base: Number of the baseline cell.
        least: Half the interval that the difference from it has at least.
    """
    errors = errors - errors.mean(axis=0)
    tied = [name for i, name in enumerate(labels) if _may_be_best(i, scores, errors)]
    low, high = _on_logit_scale(float(scores[0]), _simultaneous(errors, 0))
    gain = gain_low = gain_high = worse = float("nan")
    if base:
        observed = float(scores[0] - scores[base])
        against = errors - errors[:, [base]]
        half = _simultaneous(np.delete(against, base, axis=1), 0)
        against = against * max(1.0, least / half)
        half = max(half, least)
        gain_low, gain_high = observed - half, observed + half
        gain = float(np.clip(observed - _luck(scores, against), gain_low, gain_high))
        worse = float((gain + against[:, 0] < 0).mean())
    return BestCells(
        tied=tuple(tied),
        examined=len(labels),
        score=float(np.clip(scores[0] - _luck(scores, errors), low, high)),
        low=low,
        high=high,
        gain=gain,
        gain_low=gain_low,
        gain_high=gain_high,
        worse=worse,
    )


def _on_logit_scale(score: float, half: float) -> tuple[float, float]:
    """Interval of a score between 0 and 1 from half its width; see `score_intervals.of_score`."""
    if not 0 < score < 1:
        return max(score - half, 0.0), min(score + half, 1.0)
    step = half / (score * (1 - score))
    return float(expit(logit(score) - step)), float(expit(logit(score) + step))


def _may_be_best(i: int, scores: Floats, errors: Floats) -> bool:
    """Multiple comparisons with the best (Hsu 1981): False where some cell is better by more than the largest error.

    The critical value is that of the largest of the studentised differences to cell i, so the cell that is the best in
    truth is left out in 5 % of sweeps at most.
    """
    others = np.delete(np.arange(len(scores)), i)
    differences = errors[:, others] - errors[:, [i]]
    spread = _spread(differences)
    observed = ((scores[others] - scores[i]) / spread).max()
    return bool(observed <= np.quantile((differences / spread).max(axis=1), _LEVEL))


def _simultaneous(errors: Floats, at: int) -> float:
    """Half the interval of one of several values, such that all hold at once: it holds whichever was chosen."""
    spread = _spread(errors)
    return float(np.quantile(np.abs(errors / spread).max(axis=1), _LEVEL) * spread[at])


def _spread(errors: Floats) -> Floats:
    """[k] standard deviation as the middle 68 % of the draws have it; few degrees of freedom have none."""
    low, high = np.quantile(errors, [0.1587, 0.8413], axis=0)
    return np.maximum((high - low) / 2, 1e-12)


def _luck(scores: Floats, errors: Floats) -> float:
    """By how much the highest score, the first, is too high on average where it comes out highest.

    Parametric bootstrap. Its truth is the scores drawn together to the spread that is left without their errors, each
    by its own (James and Stein): as they are they lie too far apart, and the highest would seem to have won without
    luck.
    """
    # Outermost draws of few degrees of freedom have no mean to speak of.
    low, high = np.quantile(errors, [0.005, 0.995], axis=0)
    usual = np.clip(errors, low, high)
    noise = (usual - usual.mean(axis=1, keepdims=True)).var(axis=0)
    apart = max(0.0, float(scores.var() - np.median(noise)))
    centre = float((scores / np.maximum(noise, 1e-12)).sum() / (1 / np.maximum(noise, 1e-12)).sum())
    shrunk = centre + np.sqrt(apart / np.maximum(apart + noise, 1e-12)) * (scores - centre)
    wins = (shrunk + usual).argmax(axis=1) == 0
    # What all cells have of an error alike decides no ranking.
    own = usual[:, 0] - usual.mean(axis=1)
    return max(0.0, float(own[wins].mean())) if wins.sum() >= _LEAST_DRAWS else 0.0


def _training_noise(task: TaskResults, cells: Sequence[CellResult]) -> tuple[Floats, Floats] | None:
    """[k] variance of each cell's mean by chance in training, and its degrees of freedom; None without replicates.

    Between seeds; with folds between these, after what all cells share of a fold is taken off, images and training
    splits included (Nadeau and Bengio 2003).
    """
    folds = len(cells[0].runs[0].trials)
    if folds > 1:
        by_fold = np.array([np.mean([[task.score(t) for t in r.trials] for r in c.runs], axis=0) for c in cells])
        left = by_fold - by_fold.mean(axis=0) - by_fold.mean(axis=1, keepdims=True) + by_fold.mean()
        free = np.full(len(cells), (folds - 1) * (1 - 1 / len(cells)))
        return _moderated((left**2).sum(axis=1) / free, free, np.full(len(cells), 1 / folds + 1 / (folds - 1)))
    runs = np.array([len(c.runs) for c in cells])
    if runs.max() == 1:
        return None
    variance = np.array([np.var([r.score for r in c.runs], ddof=1) if len(c.runs) > 1 else 0.0 for c in cells])
    return _moderated(variance, (runs - 1).astype(np.float64), 1 / runs)


def _common_to_folds(task: TaskResults, cells: Sequence[CellResult], rng: np.random.Generator) -> Floats:
    """[B, 1] errors that all cells share, by the images and the training split of each fold."""
    of_fold = np.mean([[task.score(t) for t in run.trials] for cell in cells for run in cell.runs], axis=0)
    folds = len(of_fold)
    variance = float(of_fold.var(ddof=1)) * (1 / folds + 1 / (folds - 1))
    return rng.standard_t(folds - 1, (_DRAWS, 1)) * np.sqrt(variance)


def _moderated(variance: Floats, free: Floats, share: Floats) -> tuple[Floats, Floats]:
    """Each cell's variance drawn to what they have in common, as far as their spread is chance (Smyth 2004, limma).

    Args:
        variance: [k] each cell's own.
        free: [k] its degrees of freedom; 0 for a cell that has none.
        share: [k] what one such variance counts in that of the cell's mean.
    """
    told = (free > 0) & (variance > 0)
    if not told.any():
        return np.zeros(len(free)), np.full(len(free), _MOST_FREEDOM)
    half = free[told] / 2
    # log s^2 of a scaled chi-squared variable has mean log(s0^2) + psi(d/2) - log(d/2) and variance psi'(d/2); what is
    # over between cells is the spread of their true variances, psi'(d0/2).
    logs = np.log(variance[told]) - polygamma(0, half) + np.log(half)
    over = float(logs.var(ddof=1) - polygamma(1, half).mean()) if told.sum() > 1 else np.inf
    prior = _trigamma_inverse(over) * 2 if over > 0 else _MOST_FREEDOM
    centre = float(np.exp(logs.mean() + polygamma(0, prior / 2) - np.log(prior / 2))) if told.sum() > 1 else 0.0
    prior = prior if told.sum() > 1 else 0.0
    alone = np.where(told, variance, variance[told].max())
    own = np.where(told, free, free[told].min())
    return (prior * centre + own * alone) / (prior + own) * share, prior + own


def _trigamma_inverse(value: float) -> float:
    """x with psi'(x) = value."""
    if value < 1e-6:
        return _MOST_FREEDOM
    log_x = optimize.brentq(lambda log_x: float(polygamma(1, np.exp(log_x))) - value, -15.0, 15.0)
    return float(np.exp(log_x))  # type: ignore[arg-type]


def _normal(covariance: Floats, rng: np.random.Generator) -> Floats:
    """[B, k] normal errors of a covariance that may not have full rank."""
    values, vectors = np.linalg.eigh(covariance)
    # The symmetric root, which is unique: the signs of eigenvectors, and so the draws, differ between libraries.
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return rng.standard_normal((_DRAWS, len(covariance))) @ root
