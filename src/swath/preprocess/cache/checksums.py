"""Objects of the cache: written whole with a clear error when the disk is full, checked against their checksum."""

import errno
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swath.core.errors import StoreError
from swath.store.storage import Storage

READERS = 16
"""Objects read at once: object stores are slow to answer."""


@dataclass(frozen=True)
class Written:
    """What an object must be.

    Attributes:
        name: Its name in the entry's folder.
        size: Its size in bytes.
        crc32: Of its content.
    """

    name: str
    size: int
    crc32: int

    def is_in(self, data: bytes) -> bool:
        """True if `data` is this object's content."""
        return len(data) == self.size and zlib.crc32(data) == self.crc32


def put(cache: Storage, key: str, data: bytes | memoryview) -> None:
    """Write an object whole or not at all.

    Raises:
        StoreError: It cannot be written; says what to do when the disk is full.
    """
    try:
        cache.write(key, data)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(
                f"the disk of {cache.root} is full: {key} ({len(data):,} bytes) was not written. Free some, for "
                "instance with `swath cache rm --unused`, and start the sweep again; what is built is kept."
            ) from error
        raise StoreError(f"{key} cannot be written in {cache.root}: {error}. Start the sweep again.") from error


def read_all(cache: Storage, keys: Iterable[str]) -> list[bytes | None]:
    """Several objects at once, None for those that are not there."""
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(cache.read_or_none, keys))


def checksums(rows: NDArray[Any]) -> list[int]:
    """CRC-32 of each row [N, ...], which is contiguous."""
    return [zlib.crc32(row) for row in np.ascontiguousarray(rows)]
