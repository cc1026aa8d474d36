"""What a task is: kind, labels, metric and a table of images. Data sources are in `swath.tasks`."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from swath.core.description import Description
from swath.core.errors import InputError
from swath.core.metrics import METRICS
from swath.core.registry import unknown

Kind = Literal["multilabel", "multiclass"]
RESERVED = ("id", "path", "split", "hires_path", "group", "stratum", "label")


_TYPES: dict[Any, tuple[str, Callable[[Any], bool]]] = {
    str: ("text", lambda value: isinstance(value, str) and "\0" not in value),
    int: ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    tuple[str, ...]: (
        "a tuple of texts, e.g. ('cat', 'dog')",
        lambda value: isinstance(value, tuple) and all(isinstance(v, str) for v in value),
    ),
}


@dataclass(frozen=True)
class SubmissionForm:
    """The form of a submission file.

    Attributes:
        id_column: Name of the id column.
        ids: Test ids in the order the file must have.
        columns: The columns after the id: the labels (probabilities), or one column that holds the label as text.
    """

    id_column: str
    ids: tuple[str, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Images:
    """A task's data as read from its source.

    Attributes:
        rows: One row per image: `id` (str, unique), `path` (absolute), `split` (`train` or `test`), and where the
            source has them `hires_path` ("" where a row has none), `group` (str; rows of a group stay together) and
            `stratum` (str; each is spread evenly over the parts of a split).
        labels: Label names in order.
        targets: uint8 [len(rows), len(labels)], one-hot for multiclass; zeros for test rows.
        submission: Form of the submission file; None when there are no test images to submit.
    """

    rows: pd.DataFrame
    labels: tuple[str, ...]
    targets: NDArray[np.uint8]
    submission: SubmissionForm | None = None


@dataclass(frozen=True)
class Task(Description):
    """Base of the data sources: frozen parameters, read once on demand.

    `kind` is `multilabel` (every label 0 or 1) or `multiclass` (exactly one label); `metric` is `map` or `macro_f1`.
    """

    kind: ClassVar[Kind] = "multilabel"
    metric: ClassVar[str] = "map"

    def problems(self) -> list[str]:
        """Fields of the wrong type."""
        problems = []
        for field in fields(self):
            value = getattr(self, field.name)
            field_type = _TYPES.get(field.type)
            if field_type and not field_type[1](value):
                problems.append(f"{type(self).__name__}({field.name}={value!r}): give {field_type[0]}.")
        return problems

    @property
    def label(self) -> str:
        """What reports and the store call the task."""
        return self.name

    @abstractmethod
    def read(self) -> Images:
        """Read the source from disk.

        Raises:
            InputError: Lists every problem found in folders, csv files and columns.
        """

    @cached_property
    def images(self) -> Images:
        """The data, read at the first use."""
        images = self.read()
        problems = image_problems(self, images)
        if problems:
            raise InputError(problems)
        return images

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names in the source's order."""
        return self.images.labels

    def table(self) -> pd.DataFrame:
        """One row per image: `id`, `path`, `split`, optional `hires_path`, `group`, `stratum`, then the label columns.

        Multilabel tasks have a uint8 column per label, multiclass tasks one text column `label` ("" for test rows).
        """
        images = self.images
        frame = images.rows.copy()
        if self.kind == "multiclass":
            names = np.array(images.labels, dtype=object)[images.targets.argmax(axis=1)]
            frame["label"] = np.where(images.targets.any(axis=1), names, "")
            return frame
        return pd.concat([frame, pd.DataFrame(images.targets, columns=list(images.labels), index=frame.index)], axis=1)


def image_problems(task: Task, images: Images) -> list[str]:
    """Sentences about what no source may deliver: duplicate ids, no images, no labels, targets of the wrong kind."""
    rows, problems = images.rows, []
    name = task.name
    if task.metric not in METRICS:
        problems.append(unknown(f"metric of task {name}", task.metric, METRICS))
    train = (rows["split"] == "train").to_numpy()
    if not train.any():
        problems.append(f"task {name}: there are no training images; a sweep needs some.")
    if len(images.labels) < (2 if task.kind == "multiclass" else 1):
        problems.append(f"task {name}: found the labels {list(images.labels)}; a {task.kind} task needs more.")
    repeated = rows["id"][rows["id"].duplicated()].unique()
    if len(repeated):
        problems.append(
            f"task {name}: {len(repeated)} ids stand for more than one image, e.g. {_some(repeated)}. "
            "Ids must be unique over training and test images: remove or rename the repeated rows."
        )
    if task.kind == "multiclass" and train.any() and not (images.targets[train].sum(axis=1) == 1).all():
        problems.append(f"task {name}: a multiclass task has exactly one label for each training image.")
    if task.kind == "multilabel":
        reserved = [label for label in images.labels if label in RESERVED]
        if reserved:
            problems.append(
                f"task {name}: {_some(reserved)} cannot be a label, swath's table uses the name; rename it."
            )
    return problems


def _some(values: object, limit: int = 5) -> str:
    items = [repr(str(v)) for v in list(values)]  # type: ignore[call-overload]
    return ", ".join(items[:limit]) + (f" and {len(items) - limit} more" if len(items) > limit else "")


def one_hot(text: pd.Series, labels: tuple[str, ...]) -> NDArray[np.uint8]:
    """Text labels to uint8 [N, C]; rows whose text is none of the labels are all zero."""
    codes = pd.Categorical(text, categories=list(labels)).codes
    hot = np.zeros((len(text), len(labels)), np.uint8)
    inside = codes >= 0
    hot[np.flatnonzero(inside), codes[inside]] = 1
    return hot
