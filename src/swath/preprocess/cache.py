"""Preprocessed images as fixed-size uint8 shards: the key, building a shard, the manifest, reading. No Ray.

An entry is one chain applied to one part (train or test) of a task's table. It is a folder `cache/<key>/` of
`.npy` shards [n, S, S, C], a receipt beside each finished shard, and a manifest, written last. Builders may run on
any machine and in any order; a killed build leaves its finished shards, and the next build does the rest.
"""

import io
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from swath import chains
from swath.contents import bytes_digest
from swath.description import changed, digest
from swath.errors import StoreError
from swath.ops import Op, Resize
from swath.paths import Storage
from swath.preprocess.apply import UnreadableImageError, apply, decode

SCHEMA = 1
SHARD_BYTES = 32 * 2**20


@dataclass(frozen=True)
class EntryPlan:
    """What an entry will hold.

    Attributes:
        part: `train` or `test`, for display.
        chain: The ops, the resize last.
        paths: Image files in table order.
        ids: Their ids.
        digests: Their content hashes (`contents.bytes_digest`); "" for a file that cannot be read.
    """

    part: str
    chain: tuple[Op, ...]
    paths: tuple[str, ...]
    ids: tuple[str, ...]
    digests: tuple[str, ...]

    @cached_property
    def key(self) -> str:
        """Hash of the chain with code versions, the ids and the content of the images."""
        rows = digest([list(self.ids), list(self.digests)], 64)
        return digest({"schema": SCHEMA, "chain": changed(self.chain), "rows": rows})

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(S, S, C)."""
        resize = self.chain[-1]
        if not isinstance(resize, Resize) or not resize.size_px:
            raise ValueError(f"chain {chains.ops_label(self.chain)} does not end in a resize of known size")
        return resize.size_px, resize.size_px, chains.channels(self.chain)

    @property
    def image_bytes(self) -> int:
        """Size of one preprocessed image."""
        return int(np.prod(self.image_shape))

    @property
    def bytes(self) -> int:
        """Size of the finished entry."""
        return len(self.ids) * self.image_bytes

    @property
    def shard_rows(self) -> int:
        """Images in a shard: about 32 MB, at most 1024 and at least 16."""
        return int(np.clip(SHARD_BYTES // self.image_bytes, 16, 1024))

    def images_in(self, numbers: Sequence[int]) -> int:
        """Number of images in some of the shards."""
        shards = self.shards()
        return sum(len(shards[number]) for number in numbers)

    def shards(self) -> list[range]:
        """The rows of each shard."""
        return [range(i, min(i + self.shard_rows, len(self.ids))) for i in range(0, len(self.ids), self.shard_rows)]

    def describe(self) -> str:
        """`sharpen, train, 1,470 images at 64 px`."""
        size = self.image_shape[0]
        return f"{chains.ops_label(self.chain[:-1])}, {self.part}, {len(self.ids):,} images at {size} px"


def _shard(number: int) -> str:
    return f"shard-{number:05d}"


def is_built(cache: Storage, key: str) -> bool:
    """True if the entry has its manifest."""
    return cache.exists(f"{key}/manifest.json")


def missing_shards(cache: Storage, plan: EntryPlan) -> list[int]:
    """Numbers of the shards without a receipt."""
    if is_built(cache, plan.key):
        return []
    there = set(cache.names(plan.key))
    return [i for i in range(len(plan.shards())) if f"{_shard(i)}.json" not in there]


def build_shard(cache: Storage, plan: EntryPlan, number: int) -> int:
    """Decode, preprocess and store one shard; a row that cannot be decoded is zero and named in the receipt.

    Returns:
        Number of images.

    Raises:
        StoreError: An image changed, or went away, since the plan was made.
    """
    cv2.setNumThreads(1)  # parallelism is over shards; OpenCV's own threads would fight for the same cores
    rows = plan.shards()[number]
    images = np.zeros((len(rows), *plan.image_shape), np.uint8)
    bad: dict[str, str] = {}
    for position, row in enumerate(rows):
        try:
            images[position] = apply(decode(_content(plan, row)), plan.chain)
        except UnreadableImageError as error:
            bad[plan.ids[row]] = str(error)
    buffer = io.BytesIO()
    np.save(buffer, images)
    data = buffer.getvalue()
    cache.write(f"{plan.key}/{_shard(number)}.npy", data)
    receipt = {"rows": len(rows), "crc32": zlib.crc32(data), "bytes": len(data), "bad": bad}
    cache.write(f"{plan.key}/{_shard(number)}.json", json.dumps(receipt).encode())
    return len(rows)


def _content(plan: EntryPlan, row: int) -> bytes:
    """A file's bytes, which must be those the plan was made for.

    Raises:
        UnreadableImageError: The file could not be read when the plan was made.
        StoreError: It could be read then. To call it a bad image would keep a moment's trouble in the cache for good.
    """
    path, planned = plan.paths[row], plan.digests[row]
    if not planned:
        raise UnreadableImageError("could not be read")
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise StoreError(
            f"image {path} was there when the sweep started and cannot be read now: {error.strerror}. Every node must "
            "see the data under the same path. Start the sweep again when they are back; what is built is kept."
        ) from error
    if bytes_digest(data) != planned:
        raise StoreError(f"image {path} has changed since the sweep started. Start it again to use the new content.")
    return data


def finish(cache: Storage, plan: EntryPlan) -> dict[str, str]:
    """Write the manifest from the receipts.

    Returns:
        Ids of the images that could not be decoded, and why.

    Raises:
        StoreError: A shard has no receipt.
    """
    raw = [cache.read_or_none(f"{plan.key}/{_shard(i)}.json") for i in range(len(plan.shards()))]
    if any(r is None for r in raw):
        raise StoreError(f"cache entry {plan.key} lacks {sum(r is None for r in raw)} shards; start the sweep again.")
    receipts = [json.loads(r) for r in raw if r is not None]
    manifest = {
        "chain": chains.ops_label(plan.chain),
        "part": plan.part,
        "images": len(plan.ids),
        "image_shape": plan.image_shape,
        "shards": [
            {"name": _shard(i), **{k: r[k] for k in ("rows", "crc32", "bytes")}} for i, r in enumerate(receipts)
        ],
        "bad": {k: v for r in receipts for k, v in r["bad"].items()},
    }
    cache.write(f"{plan.key}/manifest.json", json.dumps(manifest, ensure_ascii=False).encode())
    return manifest["bad"]


def bad_images(cache: Storage, key: str) -> dict[str, str]:
    """Ids of a finished entry's images that could not be decoded, and why."""
    return json.loads(cache.read(f"{key}/manifest.json"))["bad"]


class CachedImages:
    """Memory-mapped images of a finished entry.

    Args:
        folder: The entry's local folder.
        manifest: Its manifest.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self._shards = [np.load(folder / f"{s['name']}.npy", mmap_mode="r") for s in manifest["shards"]]
        self._starts = np.cumsum([0, *(s["rows"] for s in manifest["shards"])])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[np.uint8]:
        """Images [len(rows), S, S, C] in the order asked for."""
        rows = np.asarray(rows, np.int64)
        shards = np.searchsorted(self._starts, rows, side="right") - 1
        images = np.empty((len(rows), *self._shards[0].shape[1:]), np.uint8)
        for shard in np.unique(shards):
            here = shards == shard
            images[here] = self._shards[shard][rows[here] - self._starts[shard]]
        return images


def open_entry(cache: Storage, key: str, local: Path | None) -> CachedImages:
    """Map a finished entry, fetching it to this machine first where `local` is given.

    Args:
        cache: Where entries are built.
        key: Of the entry.
        local: Node-local folder that holds copies; None maps the entry where it was built.

    Raises:
        StoreError: The entry has no manifest, or what arrived is not what was built.
    """
    raw = cache.read_or_none(f"{key}/manifest.json")
    if raw is None:
        raise StoreError(f"cache entry {key} is not finished in {cache.root}; start the sweep again to build it.")
    manifest = json.loads(raw)
    if local is None:
        return CachedImages(cache.file(key), manifest)
    copy = Storage(str(local))
    local.mkdir(parents=True, exist_ok=True)
    with FileLock(local / f"{key}.lock"):
        if not copy.exists(f"{key}/manifest.json"):
            for shard in manifest["shards"]:
                data = cache.read(f"{key}/{shard['name']}.npy")
                if zlib.crc32(data) != shard["crc32"]:
                    raise StoreError(
                        f"{shard['name']} of cache entry {key} in {cache.root} is damaged; delete the entry."
                    )
                copy.write(f"{key}/{shard['name']}.npy", data)
            copy.write(f"{key}/manifest.json", raw)
    return CachedImages(local / key, manifest)
