"""What each level of a factor does to the score, from matched trials, with an interval that covers images and seeds.

The estimand: for a level against its factor's baseline level, the mean over the cells of this grid (all other factors
fixed to each of their combinations, same folds) of the expected difference in the task's metric, expectation over
training seeds and over images of the validation population. Decision 0012 says what was tried.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from swath.analysis import rare_labels as rare
from swath.analysis.effects import random_effects as wider
from swath.analysis.effects import significance as verdicts
from swath.analysis.effects.comparable import Members, final_members
from swath.analysis.effects.confounds import confounds
from swath.analysis.effects.intervals import Estimate, PairedDifferences, contrast, estimate, image_variances
from swath.analysis.effects.matching import Member, matched
from swath.analysis.effects.random_effects import Interval
from swath.analysis.effects.significance import Power, Verdict
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
        adjusted_p: Holm's p-value within the factor's comparisons.
        family: Number of comparisons in that family.
        verdict: What may be said.
        refused: Why nothing may be compared, or "".
        possible: Pairs there would be had every trial finished.
        pairs: The matched trials.
        blocks: Cells times folds among them.
        splits: Interval over training splits, with k-fold only.
        wider: Interval that takes the other factors' levels as random, where they form a full grid.
        power: What the comparison could have shown, or None without an interval.
        confounds: What else differs between its trials.
    """

    factor: str
    level: str
    baseline: str
    estimate: Estimate | None
    adjusted_p: float
    family: int
    verdict: Verdict
    refused: str
    possible: int
    pairs: tuple[Pair, ...]
    blocks: int
    splits: Interval | None
    wider: Interval | None
    power: Power | None
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
    by_factor: dict[str, list[tuple[Comparison, Estimate | None]]] = {}
    for c in asked:
        one = None if c.units is None else estimate(c.units, values, variances)
        by_factor.setdefault(c.factor, []).append((c, one))
    result = []
    for family in by_factor.values():
        p = [e.p if e else float("nan") for _, e in family]
        for (c, e), adjusted in zip(family, verdicts.holm(p), strict=True):
            possible = matched(everyone, [c.factor], {(c.level,): 1.0, (c.baseline,): -1.0})
            size = int(np.isfinite(p).sum())
            planned = len(possible) if possible else 0
            result.append(_effect(task, members, c, e, values, float(adjusted), size, planned))
    return result


def _effect(
    task: TaskResults,
    members: Members,
    c: Comparison,
    mean_difference: Estimate | None,
    values: Floats,
    adjusted_p: float,
    family: int,
    possible: int,
) -> Effect:
    without_pairs = Effect(
        factor=c.factor,
        level=c.level,
        baseline=c.baseline,
        estimate=None,
        adjusted_p=adjusted_p,
        family=family,
        verdict=verdicts.verdict(mean_difference, adjusted_p),
        refused="",
        possible=possible,
        pairs=(),
        blocks=0,
        splits=None,
        wider=None,
        power=None,
        confounds=(),
    )
    if mean_difference is None or c.units is None:
        return replace(without_pairs, refused=members.refusal(task, c.factor, c.level, c.baseline))
    observed = c.units.weights @ values
    pairs = [_pair(task, row) for row in c.units.weights]
    blocks = len(np.unique(c.units.blocks))
    images = sum(len(task.validation[f]) for f in np.unique(c.units.folds))
    return replace(
        without_pairs,
        estimate=mean_difference,
        pairs=tuple(Pair(a.fingerprint, b.fingerprint, float(d)) for (a, b), d in zip(pairs, observed, strict=True)),
        blocks=blocks,
        splits=wider.over_splits(c.units, observed, _test_share(task)),
        wider=wider.over_factors(c.units, observed, list(c.others), mean_difference.image_variance),
        power=verdicts.power(mean_difference, blocks, images),
        confounds=confounds(c.factor, pairs),
    )


def _pair(task: TaskResults, weights: Floats) -> tuple[TrialResult, TrialResult]:
    return task.trials[int(weights.argmax())], task.trials[int(weights.argmin())]


def _test_share(task: TaskResults) -> float:
    """Images that validate as a share of those that train, in one fold of a k-fold."""
    folds = len(task.validation)
    return 1 / (folds - 1) if folds > 1 else 0.0
