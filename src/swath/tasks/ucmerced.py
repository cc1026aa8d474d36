"""UC Merced land use, multi-label: 2,100 aerial photographs, labels by Chaudhuri et al., TGRS 2018."""

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from swath.config.task import Images, Task
from swath.core.errors import raise_if_any
from swath.tasks.csv_reader import Reader


@dataclass(frozen=True)
class UCMerced(Task):
    """labels.csv `img_id,img_path,<17 labels>` with `images/<scene>/<id>.jpg`. It has no test part.

    Attributes:
        root: Folder that holds labels.csv and images/.
    """

    name: ClassVar[str] = "ucmerced"
    root: str = "data/ucmerced"

    def read(self) -> Images:
        reader = Reader(self.root)
        (table,) = reader.tables({"labels.csv": ["img_id", "img_path"]})
        labels = tuple(c for c in table.columns if c not in ("img_id", "img_path"))
        targets = reader.binary("labels.csv", table, labels)
        reader.unique_ids("labels.csv", table["img_id"])
        raise_if_any(reader.problems)
        rows = pd.DataFrame({"id": table["img_id"], "path": reader.paths(table["img_path"]), "split": "train"})
        return Images(rows, labels, targets)
