"""The training images of a task, as detection uses them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True)
class Row:
    """One training image.

    Attributes:
        id: Its id.
        low: The file that a sweep reads.
        high: Its high-resolution version, or the same file where there is none.
        fold: Fold that validates on it, -1 for none.
    """

    id: str
    low: str
    high: str
    fold: int


def training_rows(source: pd.DataFrame, kept: pd.DataFrame, folds: NDArray[np.int64]) -> list[Row]:
    """Training rows that can be read.

    Args:
        source: The task's rows: `id`, `path`, and `hires_path` where it has them.
        kept: Rows that a sweep uses: `id`, `split`, and `bad`, a reason or "".
        folds: Fold of each kept row.
    """
    high = source["hires_path"] if "hires_path" in source else source["path"]
    files = {id_: (low, other or low) for id_, low, other in zip(source["id"], source["path"], high, strict=True)}
    usable = (kept["split"] == "train") & (kept["bad"] == "")
    return [Row(id_, *files[id_], int(fold)) for id_, fold in zip(kept["id"][usable], folds[usable], strict=True)]
