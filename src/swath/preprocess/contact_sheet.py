"""Contact sheets: some images of an entry before and after its chain, to look at."""

from collections.abc import Sequence
from io import BytesIO

import cv2
import numpy as np

from swath.preprocess.cache.entry import EntryPlan
from swath.preprocess.cache.intermediates import read_results
from swath.preprocess.cache.manifest import read_manifest
from swath.preprocess.image_files import Image, UnreadableImageError, as_rgb, read_image
from swath.store.storage import Storage

IMAGES = 8
REMARKED = 2
CELL_PX = 192
_GAP_PX = 6
_BACKGROUND = 255


def contact_sheet(cache: Storage, plan: EntryPlan) -> bytes:
    """A JPEG of a finished entry: above some image files as they are, below what the entry holds of them.

    Args:
        cache: Where the entry is.
        plan: The entry.
    """
    rows = _rows(cache, plan)
    pairs = []
    for row, after in _entry_images(cache, plan, rows).items():
        try:
            pairs.append((read_image(plan.paths[row]), after))
        except UnreadableImageError:
            continue  # named in the manifest
    side = CELL_PX + _GAP_PX
    sheet = np.full((2 * side + _GAP_PX, max(1, len(pairs)) * side + _GAP_PX, 3), _BACKGROUND, np.uint8)
    for column, pair in enumerate(pairs):
        for line, image in enumerate(pair):
            cell = _fitted(as_rgb(image))
            top = _GAP_PX + line * side + (CELL_PX - cell.shape[0]) // 2
            left = _GAP_PX + column * side + (CELL_PX - cell.shape[1]) // 2
            sheet[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    return cv2.imencode(".jpg", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


def _rows(cache: Storage, plan: EntryPlan) -> list[int]:
    """Rows spread over the entry; on an object store over its first shard, the only one that is then fetched.

    Images on which a model remarked that it found nothing look as before: they get `REMARKED` places, if others can
    have the rest.
    """
    rows = range(len(plan.ids) if cache.folder else len(plan.shards()[0]))
    steps = plan.steps()
    remarks = read_results(cache, steps[-1].key).notes if steps else {}
    remarked = [row for row in rows if plan.digests[row] in remarks]
    others = [row for row in rows if plan.digests[row] not in remarks]
    few = _spread(remarked, min(len(remarked), max(REMARKED, IMAGES - len(others))))
    return sorted([*few, *_spread(others, IMAGES - len(few))])


def _spread(rows: Sequence[int], count: int) -> list[int]:
    """At most so many of the rows, at equal distances."""
    if not rows or not count:
        return []
    return [rows[i] for i in sorted({int(i) for i in np.linspace(0, len(rows) - 1, count).round()})]


def _entry_images(cache: Storage, plan: EntryPlan, rows: list[int]) -> dict[int, Image]:
    """The entry's images of some rows, without those that could not be decoded."""
    manifest = read_manifest(cache, plan.key)
    assert manifest is not None, "the entry is finished"
    starts = np.cumsum([0, *(shard.rows for shard in manifest.shards)])
    images: dict[int, Image] = {}
    for number, shard in enumerate(manifest.shards):
        in_shard = [
            row for row in rows if starts[number] <= row < starts[number + 1] and plan.ids[row] not in manifest.bad
        ]
        if in_shard:
            name = f"{plan.key}/{shard.name}.npy"
            array = np.load(cache.file(name), mmap_mode="r") if cache.folder else np.load(BytesIO(cache.read(name)))
            images |= {row: np.array(array[row - starts[number]]) for row in in_shard}
    return images


def _fitted(image: Image) -> Image:
    """The image at the size of a cell: pixels stay visible where it grows."""
    height, width = image.shape[:2]
    scale = CELL_PX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)
