"""Finished entries, checked and memory-mapped: what training reads. Damage is found here and never served."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from swath.errors import DamagedError, StoreError
from swath.paths import Storage
from swath.preprocess.objects import Written, damaged, put


def drop_damaged(cache: Storage, key: str) -> list[str]:
    """Forget the shards of a finished entry in a folder that are not what was built; they will be built again.

    Returns:
        Names of the shards; empty on an object store, whose shards are checked as they are fetched.
    """
    raw = cache.read_or_none(f"{key}/manifest.json") if cache.folder else None
    if raw is None:
        return []
    names = [written.name for written in damaged(cache.file(key), _written(json.loads(raw)))]
    for name in names:
        _forget(cache, key, name)
    return names


def _forget(cache: Storage, key: str, shard: str) -> None:
    """Let a damaged shard count as not built: the manifest goes first, for it vouches for all."""
    cache.delete(f"{key}/manifest.json")
    cache.delete(f"{key}/{Path(shard).stem}.json")


def _written(manifest: dict[str, Any]) -> list[Written]:
    return [Written(f"{shard['name']}.npy", shard["bytes"], shard["crc32"]) for shard in manifest["shards"]]


class Images(Protocol):
    """Preprocessed images, or their features, by row."""

    def __len__(self) -> int: ...

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[Any]:
        """Images uint8 [len(rows), S, S, C], or features float32 [len(rows), F], in the order asked for."""
        ...


class CachedImages:
    """Memory-mapped images of a finished entry.

    Args:
        folder: The entry's local folder.
        manifest: Its manifest.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self._row_of = {id_: row for row, id_ in enumerate(manifest["ids"])}
        self._shards = [np.load(folder / f"{s['name']}.npy", mmap_mode="r") for s in manifest["shards"]]
        self._starts = np.cumsum([0, *(s["rows"] for s in manifest["shards"])])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def rows_of(self, ids: Sequence[str] | NDArray[np.str_]) -> NDArray[np.int64]:
        """Rows of images by their ids."""
        return np.array([self._row_of[str(i)] for i in ids], np.int64)

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[Any]:
        """Images uint8 [len(rows), S, S, C], or features float32 [len(rows), F], in the order asked for."""
        rows = np.asarray(rows, np.int64)
        shards = np.searchsorted(self._starts, rows, side="right") - 1
        images = np.empty((len(rows), *self._shards[0].shape[1:]), self._shards[0].dtype)
        for shard in np.unique(shards):
            here = shards == shard
            images[here] = self._shards[shard][rows[here] - self._starts[shard]]
        return images


class JoinedImages:
    """Images of several entries as one: the rows of the second come after those of the first.

    Args:
        parts: The entries, of one image shape.
    """

    def __init__(self, *parts: Images) -> None:
        self._parts = parts
        self._starts = np.cumsum([0, *map(len, parts)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[Any]:
        rows = np.asarray(rows, np.int64)
        owners = np.searchsorted(self._starts, rows, side="right") - 1
        none = self._parts[0].take([])
        images = np.empty((len(rows), *none.shape[1:]), none.dtype)
        for number, part in enumerate(self._parts):
            here = owners == number
            images[here] = part.take(rows[here] - self._starts[number])
        return images


def open_entry(cache: Storage, key: str, local: Path | None) -> CachedImages:
    """Map a finished entry, fetching it to this machine first where `local` is given.

    Args:
        cache: Where entries are built.
        key: Of the entry.
        local: Node-local folder that holds copies; None maps the entry where it was built.

    Raises:
        StoreError: The entry has no manifest.
        DamagedError: What is there is not what was built. It counts as not built from now on.
    """
    raw = cache.read_or_none(f"{key}/manifest.json")
    if raw is None:
        raise StoreError(f"cache entry {key} is not finished in {cache.root}; start the sweep again to build it.")
    manifest = json.loads(raw)
    if local is None:
        names = drop_damaged(cache, key)
        if names:
            raise _damage(cache, key, names[0])
        return CachedImages(cache.file(key), manifest)
    copy = Storage(str(local))
    local.mkdir(parents=True, exist_ok=True)
    with FileLock(local / f"{key}.lock"):
        for written in damaged(local / key, _written(manifest)):
            data = cache.read_or_none(f"{key}/{written.name}")
            if data is None or not written.is_in(data):
                _forget(cache, key, written.name)
                raise _damage(cache, key, written.name)
            put(copy, f"{key}/{written.name}", data)
        if copy.read_or_none(f"{key}/manifest.json") != raw:
            put(copy, f"{key}/manifest.json", raw)
    return CachedImages(local / key, manifest)


def _damage(cache: Storage, key: str, shard: str) -> DamagedError:
    return DamagedError(
        f"{shard} of cache entry {key} in {cache.root} is not what was built. It will be built again: start the sweep "
        "again if it does not do so by itself."
    )
