"""A task as the audit sees it: rows, labels, parts of the split, and the scan of each image."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from swath.tasks.audit.scan import ImageScan

TEST = -2


@dataclass(frozen=True, eq=False)
class AuditedTask:
    """What the checks take.

    Attributes:
        ids: Id of each image.
        paths: Its file.
        digests: Its content hash, "" for a file that cannot be read.
        labels: Label names in the source's order, which is the order of the columns.
        targets: uint8 [N, C]; zeros for test images.
        multiclass: True when each image has exactly one label.
        fold: For each image the fold that validates on it, -1 for training only, `TEST` for test images.
        scans: Of the image files, in the rows' order.
    """

    ids: list[str]
    paths: list[str]
    digests: list[str]
    labels: tuple[str, ...]
    targets: NDArray[np.uint8]
    multiclass: bool
    fold: NDArray[np.int64]
    scans: Sequence[ImageScan]

    @cached_property
    def train(self) -> NDArray[np.int64]:
        """Rows of the training images, those that validate among them."""
        return np.flatnonzero(self.fold != TEST)

    @cached_property
    def test(self) -> NDArray[np.int64]:
        """Rows of the test images."""
        return np.flatnonzero(self.fold == TEST)

    @cached_property
    def sound(self) -> NDArray[np.bool_]:
        """[N] True for images that could be decoded."""
        return np.array([scan.features is not None for scan in self.scans], bool)

    def part(self, row: int) -> str:
        """`train`, `validation` or `test`; `fold 2` where every training image validates once."""
        fold = int(self.fold[row])
        if fold == TEST:
            return "test"
        if self.folds > 1:
            return f"fold {fold}"
        return "validation" if fold == 0 else "train"

    @cached_property
    def folds(self) -> int:
        """Number of folds."""
        return max(1, int(self.fold.max(initial=0)) + 1)

    def some_ids(self, rows: Sequence[int] | NDArray[np.int64], limit: int = 4) -> str:
        """`a (train), b (validation) and 3 more`."""
        shown = ", ".join(f"{self.ids[row]} ({self.part(row)})" for row in rows[:limit])
        return shown + (f" and {len(rows) - limit} more" if len(rows) > limit else "")

    def names(self, row: int) -> str:
        """The image's labels, with commas; `none` where it has none."""
        return ", ".join(np.array(self.labels, object)[self.targets[row] == 1]) or "none"
