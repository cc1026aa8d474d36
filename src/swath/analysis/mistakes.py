"""What the best cell gets wrong: its least likely images, and the precision-recall curve of each label.

Probabilities are means over the cell's seeds on the validation images of each fold.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve

from swath.analysis.cells import CellResult, Floats
from swath.analysis.results import TaskResults

_CURVE_POINTS = 80
_MISTAKES = 24
_CUT = 0.5


@dataclass(frozen=True)
class LabelProbability:
    """A label and how probable it was.

    Attributes:
        label: Its name.
        p: 0 to 1.
    """

    label: str
    p: float


@dataclass(frozen=True)
class Mistake:
    """An image whose labels were improbable.

    Attributes:
        id: Of the image.
        loss: Negative log-likelihood of its labels, summed over all labels, present or not.
        truth: Labels that it has.
        missed: Those of them below a half.
        wrong: Labels above a half that it does not have.
    """

    id: str
    loss: float
    truth: tuple[str, ...]
    missed: tuple[LabelProbability, ...]
    wrong: tuple[LabelProbability, ...]


@dataclass(frozen=True)
class PrecisionRecall:
    """The curve of a label at some of its points, evenly along it, to four digits.

    Attributes:
        label: Its name.
        recall: [P] ascending.
        precision: [P] at these.
    """

    label: str
    recall: Floats
    precision: Floats


def mistakes(task: TaskResults, cell: CellResult) -> list[Mistake]:
    """The images with the largest negative log-likelihood summed over labels, and where it comes from."""
    p, rows = cell.probabilities, task.validation_rows
    targets, ids, labels = task.record.targets[rows], task.record.rows["id"].to_numpy()[rows], task.record.labels
    q = np.clip(p, 1e-7, 1 - 1e-7)
    loss = -np.where(targets > 0, np.log(q), np.log1p(-q)).sum(axis=1)

    def probabilities(row: int, chosen: NDArray[np.bool_]) -> tuple[LabelProbability, ...]:
        return tuple(LabelProbability(labels[c], float(p[row, c])) for c in np.flatnonzero(chosen))

    return [
        Mistake(
            id=str(ids[row]),
            loss=float(loss[row]),
            truth=tuple(labels[c] for c in np.flatnonzero(targets[row])),
            missed=probabilities(row, (targets[row] > 0) & (p[row] < _CUT)),
            wrong=probabilities(row, (targets[row] == 0) & (p[row] > _CUT)),
        )
        for row in np.argsort(-loss, kind="stable")[:_MISTAKES]
    ]


def precision_recall(task: TaskResults, cell: CellResult) -> list[PrecisionRecall]:
    """The curve of each label that an image of the validation part has."""
    p, targets = cell.probabilities, task.record.targets[task.validation_rows]
    return [_curve(label, targets[:, c], p[:, c]) for c, label in enumerate(task.record.labels) if targets[:, c].any()]


def _curve(label: str, y: NDArray[np.uint8], p: Floats) -> PrecisionRecall:
    precision, recall, _ = precision_recall_curve(y, p)
    keep = np.unique(np.linspace(0, len(recall) - 1, _CURVE_POINTS).astype(int))
    return PrecisionRecall(label, np.round(recall[keep][::-1], 4), np.round(precision[keep][::-1], 4))
