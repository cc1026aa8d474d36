"""What each level of a factor does to the score, from matched trials, with an interval that covers images and seeds.

The estimand: for a level against its factor's baseline level, the mean over the cells of this grid (all other factors
fixed to each of their combinations, same folds) of the expected difference in the task's metric, expectation over
training seeds and over images of the validation population. Decision 0012 says what was tried.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from swath.analysis import rare_labels as rare
from swath.analysis.effects import random_effects as wider
from swath.analysis.effects import significance as verdicts
from swath.analysis.effects.comparable import Members, final_members
from swath.analysis.effects.confounds import confounds
from swath.analysis.effects.differences import PairedDifferences, contrast
from swath.analysis.effects.intervals import Estimate, estimate, image_freedom, image_variances
from swath.analysis.effects.lost_pairs import LostPairs, lost_pairs
from swath.analysis.effects.matching import Member, matched
from swath.analysis.effects.power import Power, power
from swath.analysis.effects.random_effects import Interval
from swath.analysis.effects.significance import Verdict
from swath.analysis.image_variance import FoldEvidence, gather
from swath.analysis.results import TaskResults, TrialResult
from swath.core import metrics

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """Two matched trials.

    Attributes:
        level: Fingerprint of the trial with the level.
        baseline: Of the one with the baseline level.
        difference: Of their scores.
    """

    level: str
    baseline: str
    difference: float


@dataclass(frozen=True)
class Effect:
    """A level of a factor against the factor's baseline level. Differences are of scores, 0 to 1; not points.

    Attributes:
        factor: The factor.
        level: The level.
        baseline: What it is compared with.
        estimate: The mean paired difference and its errors, or None where nothing may be compared.
        adjusted_p: P-value of no difference, times the comparisons of the task (Bonferroni) and the price of looks.
        equivalence_p: The same of a difference of `matters` or more.
        family: Number of comparisons in that family.
        matters: Difference that matters to the study.
        looks: Looks that its p-values pay for.
        verdict: What may be said.
        refused: Why nothing may be compared, or "".
        possible: Pairs there would be had every trial finished.
        pairs: The matched trials.
        blocks: Cells times folds among them.
        lost: What failed trials took from it, or None.
        wider: Interval that takes the other factors' levels as random, where they form a full grid.
        power: What the comparison could have shown, or None without an interval.
        seeds: Seeds behind each of its cells and folds, on average.
        seed_s: Device seconds of one more seed of all its trials.
        confounds: What else differs between its trials.
    """

    factor: str
    level: str
    baseline: str
    estimate: Estimate | None
    adjusted_p: float
    equivalence_p: float
    family: int
    matters: float
    looks: int
    verdict: Verdict
    refused: str
    possible: int
    pairs: tuple[Pair, ...]
    blocks: int
    lost: LostPairs | None
    wider: Interval | None
    power: Power | None
    seeds: float
    seed_s: float
    confounds: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """A level and the baseline level of a factor, with the matched trials to compare them by.

    Attributes:
        factor: The factor.
        level: The level.
        baseline: The baseline level.
        units: The paired differences, or None without any.
        others: Names of the factors behind `units.levels`.
    """

    factor: str
    level: str
    baseline: str
    units: PairedDifferences | None
    others: tuple[str, ...]


def comparisons(task: TaskResults, members: Sequence[Member | None]) -> list[Comparison]:
    """Every level of every factor against its baseline level, in the sweep's order."""
    all_comparisons = []
    names = list(dict.fromkeys(name for t in task.trials for name in t.factors))
    for factor, levels in task.factors.items():
        base = task.baseline_level(factor)
        others = tuple(sorted(n for n in names if n != factor))
        for level in levels:
            if level != base:
                units = matched(members, [factor], {(level,): 1.0, (base,): -1.0})
                all_comparisons.append(Comparison(factor, level, base, units, others))
    return all_comparisons


def evidence(task: TaskResults, members: Sequence[Member | None], asked: Sequence[Comparison]) -> list[FoldEvidence]:
    """Read the predictions of the trials that may be compared, once for every fold."""
    contrasts = np.array([np.zeros(len(members)) if c.units is None else contrast(c.units) for c in asked])
    few = [rare.rare_labels(task.targets(fold)) for fold in task.validation]
    fold_evidence = []
    for fold in sorted(task.validation):
        trial_numbers = [i for i, m in enumerate(members) if m is not None and m.fold == fold]
        if trial_numbers:
            fold_evidence.append(
                gather(
                    *(task.record.metric, task.record.kind, task.targets(fold), task.groups(fold), trial_numbers),
                    (task.trials[i].probabilities for i in trial_numbers),
                    label_contrasts=contrasts[:, trial_numbers] if len(asked) else None,
                    few=np.unique(np.concatenate(few)),
                    seed=fold,
                )
            )
    return fold_evidence


def scores(members: Sequence[Member | None], fold_evidence: Sequence[FoldEvidence]) -> Floats:
    """[T] macro score of each trial that may be compared, 0 for the others, which no contrast weighs."""
    values = np.zeros(len(members))
    for fold in fold_evidence:
        values[fold.trials] = metrics.macro(fold.labels)
    return values


def effects(
    task: TaskResults, members: Members, asked: Sequence[Comparison], fold_evidence: Sequence[FoldEvidence]
) -> list[Effect]:
    """The effects of all levels of all factors of a task."""
    values = scores(members.members, fold_evidence)
    variances = partial(image_variances, evidence=fold_evidence)
    everyone = final_members(task, finished_only=False).members
    freedom = partial(image_freedom, evidence=fold_evidence)
    uncorrected = [_uncorrected(task, c, values, variances, freedom, everyone) for c in asked]
    # One family for all factors: the report's first sentence collects what was shown of any of them.
    different = verdicts.bonferroni([one.p for one in uncorrected])
    equivalent = verdicts.bonferroni([one.equivalence_p for one in uncorrected])
    family = int(np.isfinite(different).sum())
    return [
        _effect(task, members, c, replace(one, p=float(p), equivalence_p=float(q)), values, family)
        for c, one, p, q in zip(asked, uncorrected, different, equivalent, strict=True)
    ]


@dataclass(frozen=True)
class _Evidence:
    """A comparison with its two p-values, which take failed trials at their worst."""

    estimate: Estimate | None
    lost: LostPairs | None
    possible: int
    p: float
    equivalence_p: float


def _uncorrected(
    task: TaskResults,
    c: Comparison,
    values: Floats,
    variances: Callable[[Floats], Floats],
    freedom: Callable[[Floats], float],
    everyone: Sequence[Member | None],
) -> _Evidence:
    planned = matched(everyone, [c.factor], {(c.level,): 1.0, (c.baseline,): -1.0})
    possible = len(planned) if planned else 0
    if c.units is None or planned is None:
        return _Evidence(None, None, possible, np.nan, np.nan)
    price = verdicts.price_of_looks(task.looks)
    one = estimate(c.units, values, variances, freedom, 1 - verdicts.ALPHA / price)
    lost = lost_pairs(task, planned, c.units.weights @ values)
    nearest = lost.toward_zero(one.difference) if lost else one.difference
    farthest = lost.away_from_zero(one.difference) if lost else one.difference
    p, equivalence_p = one.noise.p_value(nearest), verdicts.equivalence_p(one.noise, farthest, task.matters)
    # NaN stays NaN, which min() would not promise.
    p, equivalence_p = map(float, np.minimum(1.0, [p * price, equivalence_p * price]))
    return _Evidence(one, lost, possible, p, equivalence_p)


def _effect(
    task: TaskResults, members: Members, c: Comparison, found: _Evidence, values: Floats, family: int
) -> Effect:
    without_pairs = Effect(
        factor=c.factor,
        level=c.level,
        baseline=c.baseline,
        estimate=None,
        adjusted_p=found.p,
        equivalence_p=found.equivalence_p,
        family=family,
        matters=task.matters,
        looks=task.looks,
        verdict=verdicts.verdict(found.estimate, found.p, found.equivalence_p),
        refused="",
        possible=found.possible,
        pairs=(),
        blocks=0,
        lost=found.lost,
        wider=None,
        power=None,
        seeds=0.0,
        seed_s=0.0,
        confounds=(),
    )
    if found.estimate is None or c.units is None:
        return replace(without_pairs, refused=members.refusal(task, c.factor, c.level, c.baseline))
    observed = c.units.weights @ values
    pairs = [_pair(task, row) for row in c.units.weights]
    blocks = len(np.unique(c.units.blocks))
    seeds = len(pairs) / blocks
    images = sum(len(task.validation[f]) for f in np.unique(c.units.folds))
    return replace(
        without_pairs,
        estimate=found.estimate,
        pairs=tuple(Pair(a.fingerprint, b.fingerprint, float(d)) for (a, b), d in zip(pairs, observed, strict=True)),
        blocks=blocks,
        wider=wider.over_factors(c.units, observed, list(c.others), found.estimate.image_variance),
        power=power(
            *(found.estimate, blocks, images, task.matters),
            *(family * verdicts.price_of_looks(looks) for looks in (task.looks, task.looks + 1)),
        ),
        seeds=seeds,
        seed_s=sum(trial.device_s for pair in pairs for trial in pair) / seeds,
        confounds=confounds(c.factor, pairs),
    )


def _pair(task: TaskResults, weights: Floats) -> tuple[TrialResult, TrialResult]:
    return task.trials[int(weights.argmax())], task.trials[int(weights.argmin())]
