"""How many images, groups and trials a task has, and what its trials cost."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from swath.analysis.results import TaskResults
from swath.store.states import State


@dataclass(frozen=True)
class PartSizes:
    """Usable images of each part; a fold's training images are all but those that validate on it.

    Attributes:
        training: Number in each fold.
        validation: Number in each fold.
        test: Number in all.
    """

    training: tuple[int, ...]
    validation: tuple[int, ...]
    test: int


def part_sizes(task: TaskResults) -> PartSizes:
    """Count the images of each part."""
    train, test = task.record.part("train"), task.record.part("test")
    fold_of = task.folds[train]
    folds = sorted(set(fold_of[fold_of >= 0].tolist()))
    validation = [int((fold_of == fold).sum()) for fold in folds]
    return PartSizes(tuple(len(train) - n for n in validation), tuple(validation), len(test))


def grouped_images(task: TaskResults) -> tuple[int, int]:
    """Number of images that share a group with others, and of such groups."""
    sizes = np.unique(task.record.rows["group"].to_numpy(), return_counts=True)[1]
    together = sizes[sizes > 1]
    return int(together.sum()), len(together)


def trials_out_of_memory(task: TaskResults) -> int:
    """Number of trials that went on with a smaller micro-batch than their batch."""
    tables = [(t.spec["recipe"]["batch_size"], t.metrics) for t in task.trials if "micro_batch" in t.metrics]
    return sum(bool((table["micro_batch"] < size).any()) for size, table in tables)


def device_s_by_state(task: TaskResults) -> dict[State, float]:
    """Seconds times devices of the task's trials by their state; trials that cells share count once."""
    spent: dict[State, float] = {}
    for trial in {t.fingerprint: t for t in task.trials}.values():
        spent[trial.state] = spent.get(trial.state, 0) + trial.device_s
    return spent


def trials_by_device(task: TaskResults) -> list[tuple[str, int]]:
    """Each device and the number of trials that ended on it, the most first."""
    return _counted(t.outcome.device for t in task.trials if t.outcome)


def trials_by_host(task: TaskResults) -> list[tuple[str, int]]:
    """Each host and the number of trials that ended on it, the most first."""
    return _counted(t.outcome.host for t in task.trials if t.outcome)


def _counted(names: Iterable[str]) -> list[tuple[str, int]]:
    return Counter(name for name in names if name).most_common()
