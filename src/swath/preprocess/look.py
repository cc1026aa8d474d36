"""Single images of a finished entry, without fetching the rest of it: for reports, not for training."""

import json
import zlib
from collections.abc import Iterable

import numpy as np

from swath.paths import Storage
from swath.preprocess.apply import Image


def entry_images(cache: Storage, key: str, ids: Iterable[str]) -> dict[str, Image]:
    """Images of an entry by id: those it holds undamaged, none where it is not finished or holds no images.

    Reads the manifest and the bytes of these images.

    Args:
        cache: Where entries are built.
        key: Of the entry.
        ids: Wanted images.
    """
    raw = cache.read_or_none(f"{key}/manifest.json")
    manifest = json.loads(raw) if raw else {}
    shape = tuple(manifest.get("image_shape", ()))
    if len(shape) != 3 or "dtype" not in manifest:  # features have one dimension; older entries other checksums
        return {}
    row_of = {id_: row for row, id_ in enumerate(manifest["ids"]) if id_ not in manifest["bad"]}
    shards = manifest["shards"]
    starts = np.cumsum([0, *(shard["rows"] for shard in shards)])
    size = int(np.prod(shape))
    found = {}
    for id_ in ids:
        if id_ in row_of:
            number = int(np.searchsorted(starts, row_of[id_], side="right")) - 1
            shard = shards[number]
            header = shard["bytes"] - shard["rows"] * size  # of the .npy file; its images end where it ends
            start = header + int(row_of[id_] - starts[number]) * size
            data = cache.read_part(f"{key}/{shard['name']}.npy", start, size)
            if zlib.crc32(data) == shard["crc32"][row_of[id_] - starts[number]]:
                found[id_] = np.frombuffer(data, np.uint8).reshape(shape)
    return found
