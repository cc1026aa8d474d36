"""Images that are there more than once: within and across the parts of the split, and with other labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swath.tasks.audit.audited_task import TEST, AuditedTask
from swath.tasks.audit.findings import Finding, some
from swath.tasks.audit.near_duplicates import Pairs, confirmed, pairs_within
from swath.tasks.audit.scan import GRID, feature_matrix
from swath.tasks.groups import joined, linked

_SERIOUS_SHARE = 0.01
_HUES_APART, _GRAY = 15.0, 2.0  # mean gray levels between hues; of an image without any
_GROUPED_ADVICE = (
    "Give the split the groups of this audit: task=tasks.Grouped(YOUR_TASK, 'groups.csv') with the groups.csv beside "
    "this page. The images then stay on one side; all trials of the sweep are new ones."
)


@dataclass(frozen=True, eq=False)
class Duplicates:
    """Groups of two images or more that show the same picture.

    Attributes:
        exact: Rows of each group of identical files.
        near: Rows of each group that has images alike but not identical (identical ones are in it, too).
    """

    exact: tuple[NDArray[np.int64], ...]
    near: tuple[NDArray[np.int64], ...]

    @property
    def all(self) -> tuple[NDArray[np.int64], ...]:
        """Disjoint groups, near ones first."""
        inside = {int(row) for group in self.near for row in group}
        return (*self.near, *(group for group in self.exact if int(group[0]) not in inside))


def find_duplicates(task: AuditedTask) -> Duplicates:
    """Find groups of images that are files of the same content, or show the same picture.

    Constant images are alike whatever they are of; they are a finding of their own and left out here.
    """
    same_file = joined(task.digests)
    usable = [i for i, scan in enumerate(task.scans) if scan.features is not None and not scan.constant]
    _, first = np.unique(same_file[usable], return_index=True)
    one_of_each = np.array(usable, np.int64)[np.sort(first)]
    hashes = np.array([task.scans[i].hash for i in one_of_each], np.uint64)
    features = feature_matrix(task.scans)
    near_batches: list[Pairs] = [np.empty((0, 2), np.int64)]
    for batch in pairs_within(hashes):
        pairs = one_of_each[batch]
        pairs = pairs[same_colours(features[pairs[:, 0]], features[pairs[:, 1]])]
        pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
        near_batches.append(pairs[confirmed(task.paths, pairs)])
    near_pairs = np.concatenate(near_batches)
    anchors = np.unique(same_file, return_index=True)[1]
    same_pairs = np.stack([np.arange(len(same_file)), anchors[same_file]], axis=1)
    near = linked(len(same_file), np.concatenate([same_pairs, near_pairs]))
    of_pairs = set(near[near_pairs[:, 0]].tolist())
    return Duplicates(
        tuple(_groups(same_file)), tuple(g for g in _groups(near) if len(g) > 1 and int(near[g[0]]) in of_pairs)
    )


def same_colours(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which pairs of feature rows have like hues in like places, or one image without hues; light may differ."""
    grids = (rows[:, -3 * GRID * GRID :].reshape(len(rows), GRID, GRID, 3) for rows in (left, right))
    a, b = (grid - grid.mean(axis=3, keepdims=True) for grid in grids)
    apart = np.abs(a - b).mean(axis=(1, 2, 3))
    gray = np.minimum(np.abs(a).mean(axis=(1, 2, 3)), np.abs(b).mean(axis=(1, 2, 3))) < _GRAY
    return (apart <= _HUES_APART) | gray


def _groups(index: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rows of each group of two or more."""
    order = np.argsort(index, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(index[order])) + 1)
    return [part for part in parts if len(part) > 1]


def duplicate_findings(task: AuditedTask, duplicates: Duplicates) -> list[Finding]:
    """All that duplicates have to say."""
    findings = [
        _across_folds(task, duplicates.near),
        _across_test(task, duplicates.all),
        _contradictions(task, duplicates),
        _plain(task, duplicates.exact, "exact_duplicates", "are identical files", _EXACT_ADVICE),
        _plain(task, duplicates.near, "near_duplicates", "show the same picture in different files", _NEAR_ADVICE),
    ]
    return [finding for finding in findings if finding]


_EXACT_ADVICE = (
    "Nothing has to be done for the split: swath keeps identical files on one side. Drop the copies from the csv "
    "where they should not weigh double."
)
_NEAR_ADVICE = "None is divided by this split, but another seed or k-fold would divide some. " + _GROUPED_ADVICE


def _plain(
    task: AuditedTask, groups: tuple[NDArray[np.int64], ...], kind: str, what: str, advice: str
) -> Finding | None:
    """Groups inside one part; those across parts are findings of their own."""
    inside = [g for g in groups if len(np.unique(task.fold[g])) == 1 or kind == "exact_duplicates"]
    if not inside:
        return None
    images = sum(map(len, inside))
    text = f"{images} images in {len(inside)} group{'s' if len(inside) > 1 else ''} {what}."
    return Finding(
        kind=kind,
        severity="note",
        text=text,
        count=len(inside),
        unit="groups",
        advice=advice,
        examples=some([task.some_ids(g) for g in inside]),
        show=_shown(task, inside),
    )


def _across_folds(task: AuditedTask, groups: tuple[NDArray[np.int64], ...]) -> Finding | None:
    """Near duplicates on both sides of the split: the validation score is too good."""
    leaks, flagged = [], []
    for group in groups:
        train_rows = group[task.fold[group] != TEST]
        if len(np.unique(task.fold[train_rows])) > 1:
            leaks.append(train_rows)
            flagged += [int(row) for row in train_rows if task.fold[row] >= 0]
    if not leaks:
        return None
    validating = int((task.fold >= 0).sum())
    share = len(flagged) / max(1, validating)
    return Finding(
        kind="near_duplicates_across_split",
        severity="serious" if share >= _SERIOUS_SHARE else "warning",
        text=f"{len(flagged)} of {validating:,} validation images ({share:.1%}) show the same picture as an image that "
        "is trained on: their scores are too good.",
        count=len(leaks),
        unit="groups",
        advice=_GROUPED_ADVICE,
        examples=some([task.some_ids(g) for g in leaks]),
        flagged=tuple(task.ids[row] for row in flagged),
        show=_shown(task, leaks),
    )


def _across_test(task: AuditedTask, groups: tuple[NDArray[np.int64], ...]) -> Finding | None:
    leaks = [g for g in groups if 0 < (task.fold[g] == TEST).sum() < len(g)]
    if not leaks:
        return None
    images = sum(int((task.fold[g] == TEST).sum()) for g in leaks)
    share = images / max(1, len(task.test))
    return Finding(
        kind="duplicates_across_test",
        severity="serious" if share >= _SERIOUS_SHARE else "warning",
        text=f"{images} of {len(task.test):,} test images ({share:.1%}) show the same picture as a training image.",
        count=len(leaks),
        unit="groups",
        advice="A test score is too good by so much: leave these test images out of it, or the training ones out of "
        "the csv. Where the test set is a competition's, validation that is free of duplicates is the stricter score.",
        examples=some([task.some_ids(g) for g in leaks]),
        show=_shown(task, leaks),
    )


def _contradictions(task: AuditedTask, duplicates: Duplicates) -> Finding | None:
    """Images that show the same picture and carry different labels."""
    at_odds = []
    for group in duplicates.all:
        train_rows = group[task.fold[group] != TEST]
        if len(np.unique(task.targets[train_rows], axis=0)) > 1:
            at_odds.append(train_rows)
    if not at_odds:
        return None
    flagged = [int(row) for group in at_odds for row in group]
    return Finding(
        kind="contradicting_labels",
        severity="serious" if len(flagged) >= _SERIOUS_SHARE * len(task.train) else "warning",
        text=f"{len(flagged)} images in {len(at_odds)} groups show the same picture and have different labels.",
        count=len(at_odds),
        unit="groups",
        advice="At most one of the labels is right: correct the csv, or drop the rows. As many of the other labels may "
        "be wrong in the same way.",
        examples=some([_odds(task, group) for group in at_odds]),
        flagged=tuple(task.ids[row] for row in flagged),
        show=_shown(task, at_odds),
    )


def _odds(task: AuditedTask, group: NDArray[np.int64]) -> str:
    """`a: cat; b: dog`, for multi-label images only what they do not agree on."""
    disputed = task.targets[group].min(axis=0) != task.targets[group].max(axis=0)
    names = np.array(task.labels, object)
    parts = (f"{task.ids[r]}: {', '.join(names[disputed & (task.targets[r] == 1)]) or '-'}" for r in group[:4])
    return "; ".join(parts)


def _shown(task: AuditedTask, groups: list[NDArray[np.int64]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(task.ids[row] for row in group[:4]) for group in groups[:12])
