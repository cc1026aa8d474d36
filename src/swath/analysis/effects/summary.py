"""All that a task's matched trials say: effects, interactions, labels, shares of variance, effects at rungs."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from swath.analysis.effects.comparable import Members, final_members
from swath.analysis.effects.interactions import Interaction, interactions
from swath.analysis.effects.intervals import image_freedom, image_variances
from swath.analysis.effects.labels import LabelEffect, label_effects
from swath.analysis.effects.matching import Member
from swath.analysis.effects.noise import LEVEL
from swath.analysis.effects.paired_effects import Comparison, Effect, comparisons, effects, evidence, scores
from swath.analysis.effects.rungs import RungEffect, rung_effects
from swath.analysis.effects.variance_shares import Shares, shares
from swath.analysis.image_variance import FoldEvidence
from swath.analysis.results import TaskResults

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SeedNoise:
    """How much the score of one cell changes with the training seed alone. Scores are 0 to 1.

    Attributes:
        sd: Standard deviation between seeds of one cell, pooled over cells and folds.
        df: Its degrees of freedom.
        floor: Two trials that differ in the seed alone are further apart than this once in twenty times.
    """

    sd: float
    df: int
    floor: float


@dataclass(frozen=True)
class LabelTable:
    """One comparison label by label.

    Attributes:
        factor: The factor.
        level: The level.
        baseline: The baseline level.
        labels: Effects on each label, largest first.
    """

    factor: str
    level: str
    baseline: str
    labels: tuple[LabelEffect, ...]


@dataclass(frozen=True)
class TaskEffects:
    """What a task's matched trials say.

    Attributes:
        effects: Every level against its factor's baseline level, in the sweep's order.
        seed_noise: None without a cell of two finished seeds.
        interactions: Two-way, in the sweep's order.
        labels: Comparisons label by label.
        shares: Each factor's share of the variance; None where nothing varies, or a search does.
        rungs: Effects after a few epochs, where trials were stopped.
        left_out: Finished trials that no final effect may use, because luck may have chosen them.
        rare: Labels with few positives, whose part of the image noise comes from drawing images again.
        dropped: Largest share of the draws without a positive of such a label; there it left both sides.
    """

    effects: tuple[Effect, ...]
    seed_noise: SeedNoise | None
    interactions: tuple[Interaction, ...]
    labels: tuple[LabelTable, ...]
    shares: Shares | None
    rungs: tuple[RungEffect, ...]
    left_out: int
    rare: tuple[str, ...]
    dropped: float


NO_EFFECTS = TaskEffects(
    effects=(), seed_noise=None, interactions=(), labels=(), shares=None, rungs=(), left_out=0, rare=(), dropped=0.0
)
"""Of a task whose predictions have not been read."""


def task_effects(task: TaskResults) -> TaskEffects:
    """Compute them from the task's finished trials."""
    members = final_members(task)
    asked = comparisons(task, members.members)
    fold_evidence = evidence(task, members.members, asked)
    return from_evidence(task, members, asked, fold_evidence)


def from_evidence(
    task: TaskResults, members: Members, asked: Sequence[Comparison], fold_evidence: Sequence[FoldEvidence]
) -> TaskEffects:
    """The same, with the predictions read already."""
    values = scores(members.members, fold_evidence)
    variances = partial(image_variances, evidence=fold_evidence)
    freedom = partial(image_freedom, evidence=fold_evidence)
    names = task.record.labels
    tables = [
        LabelTable(c.factor, c.level, c.baseline, tuple(label_effects(k, c.units, names, fold_evidence)))
        for k, c in enumerate(asked)
        if c.units is not None
    ]
    return TaskEffects(
        effects=tuple(effects(task, members, asked, fold_evidence)),
        seed_noise=seed_noise(members.members, values),
        interactions=tuple(interactions(task, members.members, values, variances, freedom)),
        labels=tuple(tables),
        # Of a search the importances say it, over its parameters and the factors together.
        shares=None if task.searches else shares(list(task.factors), members.members, values),
        rungs=tuple(rung_effects(task)),
        left_out=members.left_out,
        rare=tuple(names[c] for c in fold_evidence[0].rare) if fold_evidence else (),
        dropped=max((float(fold.dropped.max(initial=0)) for fold in fold_evidence), default=0.0),
    )


def seed_noise(members: Sequence[Member | None], values: Floats) -> SeedNoise | None:
    """Pooled standard deviation of scores between seeds of one cell and fold."""
    blocks: dict[tuple[object, ...], list[float]] = {}
    for member, value in zip(members, values, strict=True):
        if member is not None:
            key = (tuple(sorted(member.factors.items())), member.fold, member.budget)
            blocks.setdefault(key, []).append(float(value))
    df = sum(len(v) - 1 for v in blocks.values())
    if not df:
        return None
    sd = float(np.sqrt(sum(np.var(v) * len(v) for v in blocks.values()) / df))
    return SeedNoise(sd, df, float(stats.norm.ppf(0.5 + LEVEL / 2)) * np.sqrt(2.0) * sd)


def interaction_tables(task: TaskResults, summary: TaskEffects) -> list[dict[str, Any]]:
    """For each two factors by how much each combination departs from the sum of its two effects."""
    tables = []
    for first, second in dict.fromkeys((i.factor, i.by) for i in summary.interactions):
        rows, columns = task.factors[first], task.factors[second]
        departs = {
            (i.level, i.by_level): 100 * i.estimate.difference
            for i in summary.interactions
            if (i.factor, i.by) == (first, second)
        }
        # Both effects are taken at the other factor's baseline level, so there nothing is left.
        known = {(r, task.baseline_level(second)): 0.0 for r in rows}
        known |= {(task.baseline_level(first), c): 0.0 for c in columns}
        values = [[(known | departs).get((r, c)) for c in columns] for r in rows]
        tables.append({"first": first, "second": second, "rows": rows, "columns": columns, "values": values})
    return tables
