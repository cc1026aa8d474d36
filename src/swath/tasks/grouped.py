"""Any task with groups from a file: rows of one group stay on one side of every split."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pandas as pd

from swath.config.task import Images, Kind, Task
from swath.core.errors import raise_if_any
from swath.store.paths import absolute
from swath.tasks.csv_reader import data_folder, id_problems, read_tables
from swath.tasks.groups import joined


@dataclass(frozen=True)
class Grouped(Task):
    """Another task whose images a csv file puts into groups, such as the `groups.csv` of `swath audit`.

    Images the file does not name keep the groups they had; an image may be in groups of both, which join.

    Attributes:
        task: The task.
        groups: Csv file with the columns `id` and `group`.
    """

    name: ClassVar[str] = "grouped"
    task: Task = Task()
    groups: str = "groups.csv"

    @property
    def label(self) -> str:
        """The task's own label: what is learned is the same."""
        return self.task.label

    @property
    def kind(self) -> Kind:  # type: ignore[override]
        """The task's own."""
        return self.task.kind

    @property
    def metric(self) -> str:  # type: ignore[override]
        """The task's own."""
        return self.task.metric

    def problems(self) -> list[str]:
        if not isinstance(self.task, Task):
            return [f"Grouped(task={self.task!r}): give a task, e.g. tasks.DaconSatellite(DIR)."]
        return [*super().problems(), *self.task.problems()]

    def read(self) -> Images:
        images = self.task.read()
        table = _table(self.groups)
        unknown = sorted(set(table["id"]) - set(images.rows["id"]))
        if unknown:
            raise_if_any(
                [
                    f"Grouped(groups={self.groups!r}): {len(unknown)} of its {len(table)} ids are not in the task, "
                    f"e.g. {unknown[0]!r}. Give the file that was made for this task."
                ]
            )
        given = images.rows["id"].map(dict(zip(table["id"], table["group"], strict=True))).fillna("").tolist()
        task_groups = [images.rows["group"].tolist()] if "group" in images.rows else []
        return replace(images, rows=images.rows.assign(group=[f"g{i}" for i in joined(given, *task_groups)]))


def _table(file: str) -> pd.DataFrame:
    """The csv, each id once."""
    path = absolute(file, "groups")
    root = data_folder(path.rpartition("/")[0] or "/")
    (table,) = read_tables(root, {path.rpartition("/")[2]: ["id", "group"]})
    raise_if_any(id_problems(file, table["id"]))
    return table
