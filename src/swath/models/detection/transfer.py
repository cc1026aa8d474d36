"""Annotations in pixels of the high-resolution images -> the same objects in the low-resolution ones."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from swath.core.errors import InputError, raise_if_any
from swath.models.detection.boxes import Box, Polygon, clipped
from swath.models.detection.coco import Annotation
from swath.preprocess.image_files import UnreadableImageError, read_image

SMALLEST_PX = 1.0
"""An object under this width or height in the low-resolution image is dropped: nothing of it is left to see."""
_THREADS = 8


@dataclass(frozen=True)
class Target:
    """An object in the low-resolution image.

    Attributes:
        category: Index of its class.
        box: In pixels of the low-resolution image, inside it.
        contour: Its outline, in the same pixels.
    """

    category: int
    box: Box
    contour: tuple[Polygon, ...] = ()


@dataclass(frozen=True)
class Example:
    """A low-resolution image and its objects.

    Attributes:
        path: Its file.
        width: In pixels.
        height: In pixels.
        targets: Its objects; () for an image without any.
    """

    path: str
    width: int
    height: int
    targets: tuple[Target, ...]


def scaled_box(box: Box, source: tuple[int, int], target: tuple[int, int]) -> Box:
    """A box of an image of size `source` (width, height) in that image at size `target`, clipped to it.

    >>> scaled_box((40, 20, 80, 300), (256, 256), (64, 64))
    (10.0, 5.0, 20.0, 64)
    """
    fx, fy = target[0] / source[0], target[1] / source[1]
    return clipped((box[0] * fx, box[1] * fy, box[2] * fx, box[3] * fy), *target)


def scaled_polygon(polygon: Polygon, source: tuple[int, int], target: tuple[int, int]) -> Polygon:
    """An outline in the pixels of another size of the image."""
    return (polygon * (target[0] / source[0], target[1] / source[1])).clip(0, target)


def transfer(
    annotations: Sequence[Annotation], low: Mapping[str, str], high: Mapping[str, str], categories: Sequence[str]
) -> dict[str, Example]:
    """Bring every annotation into its row's low-resolution image, by the sizes that the files have.

    Args:
        annotations: In pixels of the high-resolution images.
        low: Row id to the low-resolution file.
        high: Row id to the file that was annotated.
        categories: Names of the classes, in order.

    Returns:
        Row id to example, for rows with an annotation; all of an example's objects may have been dropped.

    Raises:
        InputError: Sizes in the annotations are not those of the files, or a file cannot be read.
    """
    numbers = {name: i for i, name in enumerate(categories)}
    by_row: dict[str, list[Annotation]] = defaultdict(list)
    for annotation in annotations:
        by_row[annotation.row].append(annotation)
    paths = list(dict.fromkeys(path for row in by_row for path in (low[row], high[row])))
    with ThreadPoolExecutor(_THREADS) as pool:
        sizes = dict(zip(paths, pool.map(_size, paths), strict=True))
    raise_if_any(size for size in sizes.values() if isinstance(size, str))
    raise_if_any(_size_problems(by_row, high, sizes))
    examples = {}
    for row, row_annotations in by_row.items():
        source, target = sizes[high[row]], sizes[low[row]]
        assert not isinstance(source, str)
        assert not isinstance(target, str)
        targets = [
            Target(
                numbers[a.category],
                scaled_box(a.box, source, target),
                tuple(scaled_polygon(p, source, target) for p in a.contour),
            )
            for a in row_annotations
        ]
        width, height = target
        examples[row] = Example(low[row], width, height, tuple(t for t in targets if _is_left(t.box)))
    return examples


def _is_left(box: Box) -> bool:
    return box[2] - box[0] >= SMALLEST_PX and box[3] - box[1] >= SMALLEST_PX


def _size(path: str) -> tuple[int, int] | str:
    """Width and height; decoded, because only then EXIF's orientation is in them, as in training. Or a problem."""
    try:
        height, width = read_image(path).shape[:2]
    except UnreadableImageError as error:
        return f"image {path} {error}. Restore the file, or drop its annotations."
    return width, height


def _size_problems(
    by_row: Mapping[str, Sequence[Annotation]], high: Mapping[str, str], sizes: Mapping[str, tuple[int, int] | str]
) -> list[str]:
    wrong = [
        (row, a.size)
        for row, annotations in by_row.items()
        for a in annotations[:1]
        if a.size and a.size != sizes[high[row]]
    ]
    if not wrong:
        return []
    row, said = wrong[0]
    return [
        f"annotations: {len(wrong)} images have another width x height than the annotations say, e.g. {row} is "
        f"{sizes[high[row]]} and said to be {said}. Annotate the files that the task names as high-resolution versions."
    ]


def missing_contours(examples: Sequence[Example]) -> None:
    """Raise when boxes have no contour to train a segmentation on."""
    without = sum(not t.contour for e in examples for t in e.targets)
    if without:
        raise InputError(
            f"{without} annotations have no segmentation, which --task segment trains on. Label with contours "
            "(`swath detect label` draws them unless --no-contours), or use --task detect."
        )


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
    return [
        Row(id_, low=files[id_][0], high=files[id_][1], fold=int(fold))
        for id_, fold in zip(kept["id"][usable], folds[usable], strict=True)
    ]
