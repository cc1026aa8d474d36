"""Two sweeps, or one sweep at two dates: what moved in each cell, and whether that is more than noise.

Both sides become one task whose trials have one factor more, the side. So matching, intervals and verdicts are those
of any factor (matching.py, intervals.py, significance.py).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from swath.analysis.effects import significance as verdicts
from swath.analysis.effects.comparable import final_members
from swath.analysis.effects.confounds import differences
from swath.analysis.effects.differences import PairedDifferences
from swath.analysis.effects.intervals import Estimate, estimate, image_freedom, image_variances
from swath.analysis.effects.matching import Corners, Member, matched
from swath.analysis.effects.paired_effects import evidence, scores
from swath.analysis.effects.power import Power, power
from swath.analysis.effects.significance import Verdict
from swath.analysis.results import Results, TaskResults, TrialResult

Floats = NDArray[np.float64]
SIDE, BEFORE, AFTER = "side", "A", "B"
_CORNERS: Corners = {(AFTER,): 1.0, (BEFORE,): -1.0}


@dataclass(frozen=True)
class CellChange:
    """The change of one cell's score from A to B. Scores and differences are 0 to 1; not points.

    Attributes:
        cell: Its label in A.
        before: Mean score of its matched trials in A.
        after: In B.
        estimate: Of B less A.
        adjusted_p: P-value times the cells of the task that are not the same trials (Bonferroni).
        equivalence_p: The same of a difference of what matters to A's study, or more.
        verdict: What may be said of B.
        same: True when both sides hold exactly the same predictions.
    """

    cell: str
    before: float
    after: float
    estimate: Estimate
    adjusted_p: float
    equivalence_p: float
    verdict: Verdict
    same: bool


@dataclass(frozen=True)
class TaskComparison:
    """One task on both sides.

    Attributes:
        label: The task.
        metric: Its metric.
        refused: Why nothing can be compared, or "".
        images: Validation images that both sides have.
        cells: Cells with matched trials, the largest move first.
        overall: Mean move over these cells, without those that are the same on both sides if others are not; None
            without any.
        verdict: What may be said of `overall`.
        power: What `overall` could have shown, or None without an interval.
        unmatched: Cells without a finished match, and why, by label; "A" or "B" is part of the reason.
        changed: What the matched trials differ in beside the side: name to values in A and B.
        notes: What a reader should know of the matching.
    """

    label: str
    metric: str
    refused: str
    images: int = 0
    cells: tuple[CellChange, ...] = ()
    overall: Estimate | None = None
    verdict: Verdict = "refused"
    power: Power | None = None
    unmatched: tuple[tuple[str, str], ...] = ()
    changed: tuple[tuple[str, str, str], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def same(self) -> int:
        """Number of cells with the same predictions on both sides."""
        return sum(cell.same for cell in self.cells)

    @property
    def moved(self) -> int:
        """Number of cells that moved by more than noise."""
        return sum(cell.verdict in ("better", "worse") for cell in self.cells)

    @property
    def family(self) -> int:
        """Number of comparisons that the verdicts on cells are corrected for."""
        return sum(math.isfinite(cell.adjusted_p) for cell in self.cells)


@dataclass(frozen=True)
class _Candidate:
    """A finished trial of one side with the cell of A it is matched with."""

    trial: TrialResult
    member: Member
    cell: str


def compare(a: Results, b: Results) -> list[TaskComparison]:
    """Every task that either side has, in A's order."""
    before, after = ({t.label.removesuffix(f" {t.data[:8]}"): t for t in r.tasks} for r in (a, b))
    comparisons = []
    for label in dict.fromkeys([*before, *after]):
        if label not in before or label not in after:
            side = BEFORE if label in before else AFTER
            metric = (before.get(label) or after[label]).record.metric
            comparisons.append(TaskComparison(label, metric, f"only {side} has this task"))
            continue
        refused = _refusal(before[label], after[label], a.sweep.split, b.sweep.split)
        if refused:
            comparisons.append(TaskComparison(label, before[label].record.metric, refused))
        else:
            comparisons.append(_compared(label, before[label], after[label]))
    return comparisons


def _refusal(a: TaskResults, b: TaskResults, split_a: str, split_b: str) -> str:
    """Why trials of two tasks cannot be paired on the same validation images, or ""."""
    if a.record.metric != b.record.metric:
        return f"A is scored by {a.record.metric}, B by {b.record.metric}"
    if a.data != b.data:
        return (
            f"the data differ (fingerprint {a.data[:8]} in A, {b.data[:8]} in B: labels, ids, groups or the content of "
            "images), so no two trials were scored on the same images"
        )
    if split_a != split_b:
        return f"the splits differ ({split_a} in A, {split_b} in B), so other images validated"
    if not np.array_equal(a.record.rows["id"], b.record.rows["id"]) or not np.array_equal(a.folds, b.folds):
        return f"both sides call their split {split_a}, but other images validated"
    return ""


def _compared(label: str, a: TaskResults, b: TaskResults) -> TaskComparison:
    names = _partners(a, b)
    identity = {t.cell: t.cell for t in a.trials}
    sides, notes = _numbered(_candidates(a, BEFORE, identity, a), _candidates(b, AFTER, names, a))
    merged = _merged(a, b, sides)
    members = [c.member for c in sides]
    images = merged.validation_images
    of_cell = {cell: _units(members, [c.cell == cell for c in sides]) for cell in dict.fromkeys(c.cell for c in sides)}
    compared = {cell: units for cell, units in of_cell.items() if units is not None}
    if not compared:
        return TaskComparison(
            label, a.record.metric, "no cell has finished on both sides with the same seeds and folds"
        )
    fold_evidence = evidence(merged, members, [])
    values = scores(members, fold_evidence)
    variances = partial(image_variances, evidence=fold_evidence)
    freedom = partial(image_freedom, evidence=fold_evidence)
    changes = {cell: estimate(units, values, variances, freedom) for cell, units in compared.items()}
    moved = [_cell_change(cell, units, values, changes[cell], merged) for cell, units in compared.items()]
    # Cells that are the same trials show no noise; where others moved they would only add degrees of freedom.
    counted = {m.cell for m in moved if not m.same} or set(compared)
    together = _units(members, [c.cell in counted for c in sides])
    assert together is not None
    overall = estimate(together, values, variances, freedom)
    return TaskComparison(
        label=label,
        metric=a.record.metric,
        refused="",
        images=images,
        cells=tuple(sorted(_corrected(moved), key=lambda m: -abs(m.estimate.difference))),
        overall=overall,
        verdict=verdicts.verdict(
            overall, overall.p, verdicts.equivalence_p(overall.noise, overall.difference, a.matters)
        ),
        power=power(overall, len(np.unique(together.blocks)), images, a.matters),
        unmatched=tuple(_unmatched(a, b, names, compared)),
        changed=tuple(_changes(together, merged.trials)),
        notes=(*notes, *_counts(merged, a, b)),
    )


def _partners(a: TaskResults, b: TaskResults) -> dict[str, str]:
    """The cell of A that each cell of B is matched with: of the same label, or else of the same levels throughout."""
    labels = {t.cell: t.factors for t in a.trials}
    by_factors: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for cell, factors in labels.items():
        by_factors.setdefault(tuple(sorted(factors.items())), []).append(cell)
    partners = {}
    for cell, factors in {t.cell: t.factors for t in b.trials}.items():
        same = by_factors.get(tuple(sorted(factors.items())), [])
        if cell in labels:
            partners[cell] = cell
        elif factors and len(same) == 1 and same[0] not in {t.cell for t in b.trials}:
            partners[cell] = same[0]
    return partners


def _candidates(task: TaskResults, side: str, names: Mapping[str, str], a: TaskResults) -> list[_Candidate]:
    """The trials of a side that luck has not chosen, with the levels of their cell in A.

    Epochs are no part of the match: that one side trained longer may be what moved.
    """
    factors = {t.cell: t.factors for t in a.trials}
    distinct = len({tuple(sorted(f.items())) for f in factors.values()}) == len(factors)
    candidates = []
    for trial, member in zip(task.trials, final_members(task).members, strict=True):
        if member is not None and trial.cell in names and np.isfinite(trial.probabilities).all():
            cell = names[trial.cell]
            levels = factors[cell] if distinct else {"cell": cell}
            member = Member({**levels, SIDE: side}, trial.seed, trial.fold, 0, trial.own_stream)
            candidates.append(_Candidate(trial, member, cell))
    return candidates


def _numbered(a: list[_Candidate], b: list[_Candidate]) -> tuple[list[_Candidate], list[str]]:
    """Both sides, seeds of a cell that share none numbered alike, in their order; and a note where that was done."""
    candidates = list(a)
    odd = []
    for cell in dict.fromkeys(c.cell for c in b):
        seeds_a, seeds_b = (sorted({c.member.seed for c in side if c.cell == cell}) for side in (a, b))
        renamed = (
            dict(zip(seeds_b, seeds_a, strict=False))
            if not set(seeds_a) & set(seeds_b)
            else {seed: seed for seed in seeds_b}
        )
        odd += [cell] * (renamed != {seed: seed for seed in seeds_b} and bool(seeds_a))
        candidates += [
            replace(c, member=replace(c.member, seed=renamed[c.member.seed]))
            for c in b
            if c.cell == cell and c.member.seed in renamed
        ]
    note = f"The sides have no seed in common in {len(odd)} cells; there seeds are paired in their order."
    return candidates, [note] if odd else []


def _merged(a: TaskResults, b: TaskResults, sides: Sequence[_Candidate]) -> TaskResults:
    """One task of the candidates, on the validation images that both sides have."""
    common = {f: np.intersect1d(a.validation[f], b.validation[f]) for f in a.validation.keys() & b.validation.keys()}
    rows = {BEFORE: a.validation, AFTER: b.validation}
    trials = []
    for c in sides:
        trial, side_rows = c.trial, rows[c.member.factors[SIDE]]
        if trial.fold in common and trial.val_logits is not None:
            at = np.searchsorted(side_rows[trial.fold], common[trial.fold])
            trial = replace(trial, val_logits=trial.val_logits[at], factors=dict(c.member.factors))
        trials.append(trial)
    return replace(a, trials=tuple(trials), validation=common)


def _units(members: Sequence[Member], chosen: Sequence[bool]) -> PairedDifferences | None:
    return matched([m if here else None for m, here in zip(members, chosen, strict=True)], [SIDE], _CORNERS)


def _cell_change(
    cell: str, units: PairedDifferences, values: Floats, change: Estimate, merged: TaskResults
) -> CellChange:
    pairs = [(merged.trials[int(row.argmin())], merged.trials[int(row.argmax())]) for row in units.weights]
    same = all(np.array_equal(x.probabilities, y.probabilities) for x, y in pairs)
    before = float(units.shares @ (np.minimum(units.weights, 0) @ -values))
    return CellChange(
        cell=cell,
        before=before,
        after=before + change.difference,
        estimate=change,
        adjusted_p=float("nan"),
        equivalence_p=verdicts.equivalence_p(change.noise, change.difference, merged.matters),
        verdict="no interval",
        same=same,
    )


def _corrected(moved: Sequence[CellChange]) -> list[CellChange]:
    different = verdicts.bonferroni([float("nan") if m.same else m.estimate.p for m in moved])
    equivalent = verdicts.bonferroni([float("nan") if m.same else m.equivalence_p for m in moved])
    return [
        replace(m, adjusted_p=p, equivalence_p=q, verdict=verdicts.verdict(m.estimate, p, q))
        for m, p, q in zip(moved, map(float, different), map(float, equivalent), strict=True)
    ]


def _unmatched(
    a: TaskResults, b: TaskResults, names: Mapping[str, str], compared: Mapping[str, PairedDifferences]
) -> list[tuple[str, str]]:
    partners = set(names.values())
    unmatched_a = [
        (cell, "not finished on both sides" if cell in partners else "only in A")
        for cell in dict.fromkeys(t.cell for t in a.trials)
        if cell not in compared
    ]
    return [
        *unmatched_a,
        *((cell, "only in B") for cell in dict.fromkeys(t.cell for t in b.trials) if cell not in names),
    ]


def _changes(units: PairedDifferences, trials: Sequence[TrialResult]) -> list[tuple[str, str, str]]:
    """What the two trials of some pair differ in: parts of their specs, package versions, devices, swath's commit."""
    changes: dict[tuple[str, str, str], None] = {}
    for row in units.weights:
        one, other = trials[int(row.argmin())], trials[int(row.argmax())]
        for name, (x, y) in differences(one.spec, other.spec).items():
            changes[name, x, y] = None
        for name, x, y in _surroundings(one, other):
            changes[name, x, y] = None
    return list(changes)


def _surroundings(one: TrialResult, other: TrialResult) -> list[tuple[str, str, str]]:
    x, y = one.outcome, other.outcome
    if x is None or y is None:
        return []
    old, new = x.versions or {}, y.versions or {}
    pairs = {name: (old.get(name, ""), new.get(name, "")) for name in dict.fromkeys([*old, *new])}
    pairs |= {"device": (x.device, y.device), "commit of swath": (x.commit[:8], y.commit[:8])}
    return [(name, was, now) for name, (was, now) in pairs.items() if was != now and was and now]


def _counts(merged: TaskResults, a: TaskResults, b: TaskResults) -> list[str]:
    images = merged.validation_images
    most = max(a.validation_images, b.validation_images)
    if images == most:
        return []
    return [f"{most - images} of {most} validation images are left out: only one side has predictions of them."]
