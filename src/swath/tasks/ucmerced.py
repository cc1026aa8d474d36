"""UC Merced land use, multi-label: 2,100 aerial photographs, labels by Chaudhuri et al., TGRS 2018."""

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from swath.config.task import Images, Task
from swath.core.errors import raise_if_any
from swath.tasks.csv_reader import binary_targets, data_folder, id_problems, image_paths, read_tables


@dataclass(frozen=True)
class UCMerced(Task):
    """labels.csv `img_id,img_path,<17 labels>` with `images/<scene>/<id>.jpg`. It has no test part.

    Attributes:
        root: Folder that holds labels.csv and images/.
    """

    name: ClassVar[str] = "ucmerced"
    root: str = "data/ucmerced"

    def read(self) -> Images:
        root = data_folder(self.root)
        (table,) = read_tables(root, {"labels.csv": ["img_id", "img_path"]})
        labels = tuple(c for c in table.columns if c not in ("img_id", "img_path"))
        targets, problems = binary_targets("labels.csv", table, labels)
        raise_if_any([*problems, *id_problems("labels.csv", table["img_id"])])
        rows = pd.DataFrame({"id": table["img_id"], "path": image_paths(root, table["img_path"]), "split": "train"})
        return Images(rows, labels, targets)
