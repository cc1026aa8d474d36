"""Finished entries, checked and memory-mapped: what training reads. Damage is found here and never served."""

import functools
import io
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from swath.core.errors import DamagedError, DamagedRecordError
from swath.preprocess.cache.checksums import checksums, put
from swath.preprocess.cache.manifest import Manifest, delete_manifest, read_manifest, write_manifest
from swath.preprocess.image_files import Image
from swath.store.storage import Storage


@dataclass(frozen=True)
class Shard:
    """What a shard of a finished entry must be, as its manifest says.

    Attributes:
        name: Of its file.
        size: Of the file in bytes.
        shape: Of the array in it.
        dtype: Of that array.
        crc32: Of each row of it.
    """

    name: str
    size: int
    shape: tuple[int, ...]
    dtype: str
    crc32: tuple[int, ...]

    def mapped(self, file: Path) -> NDArray[Any] | None:
        """The array of a file of the right size and form, memory-mapped; None of any other. Its rows are not read."""
        try:
            array = np.load(file, mmap_mode="r") if file.stat().st_size == self.size else None
        except (OSError, ValueError, EOFError, SyntaxError):  # what numpy makes of a damaged header
            return None
        return array if array is not None and self._fits(array) else None

    def is_in(self, data: bytes) -> bool:
        """True if `data` is this shard's content, every row of it."""
        try:
            array = np.load(io.BytesIO(data))
        except (OSError, ValueError, EOFError, SyntaxError):
            return False
        return len(data) == self.size and self._fits(array) and self.is_whole(array)

    def is_whole(self, array: NDArray[Any]) -> bool:
        """True if every row is what was written."""
        return tuple(checksums(array)) == self.crc32

    def _fits(self, array: NDArray[Any]) -> bool:
        return array.shape == self.shape and array.dtype == np.dtype(self.dtype) and array.flags.c_contiguous


def shards_of(manifest: Manifest) -> list[Shard]:
    """The shards that a manifest lists."""
    return [
        Shard(
            name=f"{shard.name}.npy",
            size=shard.bytes,
            shape=(shard.rows, *manifest.image_shape),
            dtype=manifest.dtype,
            crc32=shard.crc32 if isinstance(shard.crc32, tuple) else (),
        )
        for shard in manifest.shards
    ]


def drop_damaged(cache: Storage, key: str) -> list[str]:
    """Forget the shards of a finished entry in a folder whose files have not the size and form of what was built.

    They will be built again; so will a manifest that cannot be read. Rows are checked as they are read
    (`CachedImages`), not here.

    Returns:
        Names of the files; empty on an object store, whose shards are checked as they are fetched.
    """
    if not cache.folder:
        return []
    try:
        manifest = read_manifest(cache, key)
    except DamagedRecordError:  # the shards have receipts, from which it is written again
        delete_manifest(cache, key)
        return ["manifest.json"]
    if manifest is None:
        return []
    names = [s.name for s in shards_of(manifest) if s.mapped(cache.file(f"{key}/{s.name}")) is None]
    for name in names:
        _forget(cache, key, name)
    return names


def _forget(cache: Storage, key: str, shard: str) -> None:
    """Let a damaged shard count as not built: the manifest goes first, for it vouches for all."""
    delete_manifest(cache, key)
    cache.delete(f"{key}/{Path(shard).stem}.json")


class ImageRows(Protocol):
    """Preprocessed images, or their features, by row."""

    def __len__(self) -> int: ...

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[Any]:
        """Images uint8 [len(rows), S, S, C], or features float32 [len(rows), F], in the order asked for."""
        ...


class CachedImages:
    """Memory-mapped images of a finished entry; each is checked when it is first taken.

    Args:
        ids: Of all images, in row order.
        shards: What the entry's shards must be.
        arrays: The rows of each, memory-mapped.
        forget: Makes a shard that is damaged, and still is on the disk, count as not there.
    """

    def __init__(
        self,
        ids: Sequence[str],
        shards: Sequence[Shard],
        arrays: Sequence[NDArray[Any]],
        forget: Callable[[Shard], DamagedError],
    ) -> None:
        self._row_of = {id_: row for row, id_ in enumerate(ids)}
        self._shards, self._arrays, self._forget = shards, arrays, forget
        self._starts = np.cumsum([0, *map(len, arrays)])
        self._crc32 = np.concatenate([np.asarray(s.crc32, np.uint32) for s in shards])
        self._unseen = np.ones(len(ids), bool)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def rows_of(self, ids: Sequence[str] | NDArray[np.str_]) -> NDArray[np.int64]:
        """Rows of images by their ids."""
        return np.array([self._row_of[str(i)] for i in ids], np.int64)

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[Any]:
        """Images uint8 [len(rows), S, S, C], or features float32 [len(rows), F], in the order asked for.

        Raises:
            DamagedError: One of them is not what was built. Every damaged shard of the entry counts as not there now.
        """
        rows = np.asarray(rows, np.int64)
        shards = np.searchsorted(self._starts, rows, side="right") - 1
        images = np.empty((len(rows), *self._arrays[0].shape[1:]), self._arrays[0].dtype)
        for shard in np.unique(shards):
            here = shards == shard
            images[here] = self._arrays[shard][rows[here] - self._starts[shard]]
        unseen = self._unseen[rows]
        if checksums(images[unseen]) != self._crc32[rows[unseen]].tolist():
            raise self._damage()
        self._unseen[rows] = False
        return images

    def _damage(self) -> DamagedError:
        """Look through the whole entry, so that all that is damaged is made good at once."""
        shards = zip(self._shards, self._arrays, strict=True)
        errors = [self._forget(shard) for shard, array in shards if not shard.is_whole(array)]
        return errors[0] if errors else DamagedError("an image of the cache was misread; the file is sound.")


class JoinedImages:
    """Images of several entries as one: the rows of the second come after those of the first.

    Args:
        parts: The entries, of one image shape.
    """

    def __init__(self, *parts: ImageRows) -> None:
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
        DamagedError: The entry is not finished, or no longer: somebody else has found it damaged. Or what is there is
            not what was built, and counts as not built from now on.
    """
    try:
        manifest = read_manifest(cache, key)
    except DamagedRecordError as error:
        delete_manifest(cache, key)  # the shards have receipts, from which it is written again
        raise _damage(cache, key, "manifest.json") from error
    if manifest is None:
        raise DamagedError(f"cache entry {key} is not finished in {cache.root}; start the sweep again to build it.")
    shards = shards_of(manifest)
    if local is None:
        arrays = [shard.mapped(cache.file(f"{key}/{shard.name}")) for shard in shards]
    else:
        arrays = _fetched(cache, key, local, manifest, shards)

    forget = functools.partial(_forgotten, cache, key, local)
    missing = [forget(s) for s, array in zip(shards, arrays, strict=True) if array is None]
    if missing:
        raise missing[0]
    return CachedImages(manifest.ids, shards, [array for array in arrays if array is not None], forget)


def _forgotten(cache: Storage, key: str, local: Path | None, shard: Shard) -> DamagedError:
    """Let a damaged shard, or this machine's damaged copy of it, count as not there."""
    file = local / key / shard.name if local else cache.file(f"{key}/{shard.name}")
    now = shard.mapped(file)  # another process may have found the damage before, and made it good
    if now is None or not shard.is_whole(now):
        if local:
            file.unlink(missing_ok=True)
        else:
            _forget(cache, key, shard.name)
    return _damage(cache, key, shard.name)


def _fetched(
    cache: Storage, key: str, local: Path, manifest: Manifest, shards: Sequence[Shard]
) -> list[NDArray[Any] | None]:
    """The shards in this machine's copies, those that lack fetched; one that is damaged at its source is forgotten."""
    copy = Storage(str(local))
    arrays = []
    local.mkdir(parents=True, exist_ok=True)
    with FileLock(local / f"{key}.lock"):
        for shard in shards:
            array = shard.mapped(local / key / shard.name)
            if array is None:
                data = cache.read_or_none(f"{key}/{shard.name}")
                if data is None or not shard.is_in(data):
                    _forget(cache, key, shard.name)
                    raise _damage(cache, key, shard.name)
                put(copy, f"{key}/{shard.name}", data)
                array = shard.mapped(local / key / shard.name)
            arrays.append(array)
        write_manifest(copy, key, manifest)
    return arrays


def _damage(cache: Storage, key: str, shard: str) -> DamagedError:
    return DamagedError(
        f"{shard} of cache entry {key} in {cache.root} is not what was built. It is made good: start the sweep again "
        "if it does not go on by itself."
    )


def entry_images(cache: Storage, key: str, ids: Iterable[str]) -> dict[str, Image]:
    """Images of an entry by id: those it holds undamaged, none where it is not finished or holds no images.

    Reads the manifest and the bytes of these images.

    Args:
        cache: Where entries are built.
        key: Of the entry.
        ids: Wanted images.
    """
    manifest = read_manifest(cache, key)
    # Features have one dimension, and entries without a dtype have no checksums of single rows.
    if manifest is None or len(manifest.image_shape) != 3 or not manifest.dtype:
        return {}
    row_of = {id_: row for row, id_ in enumerate(manifest.ids) if id_ not in manifest.bad}
    shards = shards_of(manifest)
    starts = np.cumsum([0, *(shard.shape[0] for shard in shards)])
    size = int(np.prod(manifest.image_shape))
    images = {}
    for id_ in ids:
        if id_ in row_of:
            number = int(np.searchsorted(starts, row_of[id_], side="right")) - 1
            shard, row = shards[number], int(row_of[id_] - starts[number])
            header = shard.size - shard.shape[0] * size  # of the .npy file; its images end where it ends
            data = cache.read_part(f"{key}/{shard.name}", header + row * size, size)
            if zlib.crc32(data) == shard.crc32[row]:
                images[id_] = np.frombuffer(data, np.uint8).reshape(manifest.image_shape)
    return images
