"""Content hashes of files, remembered by size and time of change, so that an unchanged file is read once."""

import contextlib
import hashlib
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

import pandas as pd

from swath.core.description import digest
from swath.store.parquet import read_frame
from swath.store.storage import write_atomic

_THREADS = 16  # hashing releases the GIL and waits for the disk most of the time
_State = tuple[int, int, int]  # size, times of change of content and of inode in ns
_COLUMNS = ("path", "size", "mtime_ns", "ctime_ns", "digest")
_Entry = tuple[int, int, int, str]  # the state, digest


@dataclass(frozen=True)
class FileInfo:
    """One file as found.

    Attributes:
        digest: 32 hex digits over its content; "" when it cannot be read.
        problem: Why it cannot be an image ("is missing", "is empty"), or "".
    """

    digest: str
    problem: str = ""


def bytes_digest(data: bytes) -> str:
    """BLAKE2b over bytes, 32 hex digits: what `file_digest` gives for a file that holds them."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def file_digest(path: str | Path) -> str:
    """BLAKE2b over a file's content, 32 hex digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def file_sha256(path: str | Path) -> str:
    """SHA-256 over a file's content, 64 hex digits: what releases of weight files publish."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def inspect(paths: Sequence[str], memory: Path) -> list[FileInfo]:
    """Stat every file and hash those not seen before in this state.

    Args:
        paths: Absolute paths.
        memory: Folder that remembers hashes between runs.
    """
    index = memory / f"{digest(os.path.commonpath(paths) if paths else '')}.parquet"
    known = _load(index)
    with ThreadPoolExecutor(_THREADS) as pool:
        inspected = list(pool.map(lambda p: _inspect(p, known), paths))
    entries = {path: entry for path, (_, entry) in zip(paths, inspected, strict=True) if entry is not None}
    if any(known.get(path) != entry for path, entry in entries.items()):
        _save(index, {**known, **entries})
    return [info for info, _ in inspected]


def _inspect(path: str, known: dict[str, _Entry]) -> tuple[FileInfo, _Entry | None]:
    try:
        stat = Path(path).stat()
        if not S_ISREG(stat.st_mode):
            return FileInfo("", "is no file"), None
        if stat.st_size == 0:
            return FileInfo("", "is empty (zero bytes)"), None
        state: _State = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        seen = known.get(path)
        if seen is None or seen[:3] != state:
            seen = (*state, file_digest(path))
        return FileInfo(seen[3]), seen
    except FileNotFoundError:
        return FileInfo("", "is missing"), None
    except OSError as error:
        return FileInfo("", f"cannot be read: {error.strerror}"), None


def _load(index: Path) -> dict[str, _Entry]:
    if not index.is_file():
        return {}
    try:
        frame = read_frame(index.read_bytes(), _COLUMNS)
    except (OSError, ValueError):
        return {}  # a damaged memory costs one more reading of the files
    columns = (frame[c].tolist() for c in _COLUMNS[1:])
    return dict(zip(frame["path"], zip(*columns, strict=True), strict=True))


def _save(index: Path, entries: dict[str, _Entry]) -> None:
    frame = pd.DataFrame([(path, *entry) for path, entry in entries.items()], columns=list(_COLUMNS))
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    with contextlib.suppress(OSError):  # unwritable storage is a problem of its own, reported where it matters
        write_atomic(index, buffer.getvalue())
