"""What a finished cache entry holds, as its manifest.json says; and the receipts of finished shards and packs.

A manifest is written last: an entry without one is not built.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from swath.core.errors import StoreError
from swath.preprocess.cache.checksums import put, read_all
from swath.store.json_files import SCHEMA, from_bytes
from swath.store.storage import Storage

R = TypeVar("R")


@dataclass(frozen=True)
class ShardRecord:
    """One shard of a finished entry.

    Attributes:
        name: Of its file, without `.npy`.
        rows: Number of images.
        crc32: Of each row; one number for the whole file in entries that are older than checksums of rows.
        bytes: Size of the file.
    """

    name: str
    rows: int
    crc32: tuple[int, ...] | int
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """The content of a manifest.json.

    Attributes:
        chain: Label of the preprocessing.
        part: `train` or `test`.
        ids: Of the images, in row order.
        image_shape: Of one row: (S, S, C) of images, (F,) of features.
        shards: In row order.
        bad: Ids of the images that could not be decoded, and why.
        notes: What models remarked on images, and how often.
        dtype: Of the rows, `uint8` or `float32`; "" in entries that are older than checksums of rows.
        schema: Of the record; see `swath.store.json_files`.
    """

    chain: str
    part: str
    ids: tuple[str, ...]
    image_shape: tuple[int, ...]
    shards: tuple[ShardRecord, ...]
    bad: dict[str, str]
    notes: dict[str, int] = field(default_factory=dict)
    dtype: str = ""
    schema: int = SCHEMA


@dataclass(frozen=True)
class ShardReceipt:
    """Written beside a finished shard.

    Attributes:
        rows: Number of images.
        crc32: Of each row.
        bytes: Size of the shard's file.
        bad: Ids of its images that could not be decoded, and why.
        notes: What models remarked on its images, and how often.
        features: Numbers in a row, in shards of features.
    """

    rows: int
    crc32: tuple[int, ...]
    bytes: int
    bad: dict[str, str] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)
    features: int = 0


@dataclass(frozen=True)
class PackReceipt:
    """Written beside a finished pack of an expensive op's results.

    Attributes:
        images: Digests of the image files whose results are in it.
        bad: Digests of image files that cannot be decoded, and why.
        notes: Digests of image files to what the model remarked on them.
        bytes: Size of the pack's file.
        crc32: Of that file.
    """

    images: tuple[str, ...]
    bad: dict[str, str]
    notes: dict[str, str]
    bytes: int
    crc32: int


def _manifest_key(key: str) -> str:
    return f"{key}/manifest.json"


def is_built(cache: Storage, key: str) -> bool:
    """True if the entry has its manifest."""
    return cache.exists(_manifest_key(key))


def read_manifest(cache: Storage, key: str) -> Manifest | None:
    """The manifest of an entry; None while it is not finished.

    Raises:
        DamagedRecordError: The manifest is damaged.
        StoreError: It is of a newer swath.
    """
    data = cache.read_or_none(_manifest_key(key))
    return None if data is None else from_bytes(data, Manifest, f"{_manifest_key(key)} of the cache")


def write_manifest(cache: Storage, key: str, manifest: Manifest) -> None:
    """Finish an entry."""
    put(cache, _manifest_key(key), _compact(manifest))


def delete_manifest(cache: Storage, key: str) -> None:
    """Let an entry count as not built."""
    cache.delete(_manifest_key(key))


def write_receipt(cache: Storage, key: str, name: str, receipt: ShardReceipt | PackReceipt) -> None:
    """Write the receipt of a finished shard or pack, after the file itself."""
    put(cache, f"{key}/{name}.json", _compact(receipt))


def read_receipts(cache: Storage, key: str, names: Sequence[str], kind: type[R]) -> list[R | None]:
    """The receipts of shards or packs by name; None for those that are not finished.

    Raises:
        StoreError: One of them is damaged.
    """
    files = [f"{key}/{name}.json" for name in names]
    return [
        None if data is None else from_bytes(data, kind, f"{file} of the cache")
        for file, data in zip(files, read_all(cache, files), strict=True)
    ]


def whole_receipts(receipts: Iterable[R | None], what: str) -> list[R]:
    """All receipts of an entry.

    Raises:
        StoreError: Some are missing.
    """
    listed = list(receipts)
    finished = [receipt for receipt in listed if receipt is not None]
    if len(finished) < len(listed):
        raise StoreError(f"{what} lacks {len(listed) - len(finished)} shards; start the sweep again.")
    return finished


def _compact(record: Any) -> bytes:
    return json.dumps(asdict(record), ensure_ascii=False).encode()
