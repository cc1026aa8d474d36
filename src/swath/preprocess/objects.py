"""Objects of the cache: written whole with a clear error when the disk is full, checked against their checksum."""

import contextlib
import errno
import json
import os
import time
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swath.errors import StoreError
from swath.paths import Storage, write_atomic

READERS = 16
"""Objects read at once: object stores are slow to answer."""
_CHUNK_BYTES = 2**22
_STATES = "verified.json"
RECHECK_S = 86_400.0
"""How long an unchanged file is taken to be sound without reading it: disks lose bits without changing times."""


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


def damaged(folder: Path, objects: Iterable[Written]) -> list[Written]:
    """The objects in a local folder that are not what was written.

    A sound one is remembered in the folder by its size and times of change, and read again when those differ or a day
    has passed.
    """
    objects = list(objects)
    known = _states(folder)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # zlib lets other threads run
        states = list(pool.map(lambda o: _sound_state(folder / o.name, o, known.get(o.name)), objects))
    now = {o.name: state for o, state in zip(objects, states, strict=True) if state is not None}
    if any(known.get(name) != state for name, state in now.items()):
        with contextlib.suppress(OSError):  # a folder one may only read is checked again by the next process
            write_atomic(folder / _STATES, json.dumps({**known, **now}).encode())
    return [o for o, state in zip(objects, states, strict=True) if state is None]


def _states(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / _STATES).read_bytes())
    except (OSError, ValueError):
        return {}


def _sound_state(path: Path, wanted: Written, known: list[int] | None) -> list[int] | None:
    """Size and times of a sound file and when it was read; None for one that is missing or damaged."""
    try:
        stat, now = path.stat(), int(time.time())
        state = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, now]
        if known and known[:3] == state[:3] and 0 <= now - known[-1] < RECHECK_S:
            return known
        sound = stat.st_size == wanted.size and _crc32(path) == wanted.crc32
    except OSError:
        return None
    return state if sound else None


def _crc32(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            value = zlib.crc32(chunk, value)
    return value
