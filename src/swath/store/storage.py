"""Objects in a folder or an object store. Every write is atomic."""

import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

import pyarrow as pa
from pyarrow import fs

from swath.core.errors import InputError, StoreError
from swath.store.paths import is_uri, node_cache_folder


def write_atomic(path: Path, data: bytes | memoryview) -> None:
    """Write a local file so that readers see all of it or nothing: temporary name, then `os.replace`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class Storage:
    """Objects under a root, addressed by keys with forward slashes.

    Args:
        root: A folder, or a URI that pyarrow understands (s3://, gs://, hdfs://).
    """

    def __init__(self, root: str) -> None:
        if root.lower().startswith("file://"):
            root = unquote(urlparse(root).path)  # a folder: pyarrow's own local writes are neither atomic nor nested
        self.root = root.rstrip("/") or "/"
        self.folder: Path | None = None if is_uri(root) else Path(root)
        if self.folder is None:
            try:
                self._fs, self._base = fs.FileSystem.from_uri(root)
            except (pa.ArrowException, ValueError, OSError) as error:
                raise InputError(
                    f"storage {root!r} cannot be opened: {error}. Give a folder, or s3://BUCKET/PREFIX."
                ) from error

    def __repr__(self) -> str:
        return f"Storage({self.root!r})"

    def _at(self, key: str) -> str:
        return f"{self._base.rstrip('/')}/{key}" if key else self._base

    def file(self, key: str) -> Path:
        """Local path of a key; only for stores that are folders (their bytes can be memory-mapped)."""
        if self.folder is None:
            raise StoreError(f"{self.root} is no folder: {key} has no local path")
        return self.folder / key

    def child(self, key: str) -> "Storage":
        """The store below `key`."""
        if self.folder is not None:
            return Storage(str(self.folder / key))
        base, _, query = self.root.partition("?")
        return Storage(f"{base.rstrip('/')}/{key}" + (f"?{query}" if query else ""))

    def write(self, key: str, data: bytes | memoryview) -> None:
        """Put one object, whole or not at all."""
        if self.folder is not None:
            write_atomic(self.folder / key, data)
            return
        with self._fs.open_output_stream(self._at(key)) as stream:
            stream.write(data)

    def read(self, key: str) -> bytes:
        """One object's bytes; FileNotFoundError when there is none."""
        if self.folder is not None:
            return (self.folder / key).read_bytes()
        with self._fs.open_input_stream(self._at(key)) as stream:
            return stream.read()

    def read_part(self, key: str, start: int, count: int) -> bytes:
        """`count` of one object's bytes from `start`, fewer where it ends; FileNotFoundError when there is none."""
        if self.folder is not None:
            with (self.folder / key).open("rb") as file:
                file.seek(start)
                return file.read(count)
        with self._fs.open_input_file(self._at(key)) as file:
            return file.read_at(count, start)

    def read_or_none(self, key: str) -> bytes | None:
        """One object's bytes, or None when there is none."""
        try:
            return self.read(key)
        except FileNotFoundError:
            return None

    def exists(self, key: str) -> bool:
        """True if the object is there."""
        if self.folder is not None:
            return (self.folder / key).is_file()
        return self._fs.get_file_info(self._at(key)).type == fs.FileType.File

    def names(self, key: str = "") -> list[str]:
        """Names directly below `key` (objects and folders), sorted; temporary files are left out."""
        if self.folder is not None:
            below = self.folder / key
            names = [p.name for p in below.iterdir()] if below.is_dir() else []
        else:
            selector = fs.FileSelector(self._at(key), allow_not_found=True)
            names = [info.base_name for info in self._fs.get_file_info(selector)]
        return sorted(n for n in names if not n.startswith("."))

    def sizes(self, key: str) -> dict[str, tuple[int, float]]:
        """Name to size in bytes and time of change (seconds since 1970) of the objects directly below `key`."""
        if self.folder is not None:
            below = self.folder / key
            stats = {p.name: p.stat() for p in below.iterdir() if p.is_file()} if below.is_dir() else {}
            return {name: (stat.st_size, stat.st_mtime) for name, stat in stats.items() if not name.startswith(".")}
        infos = self._fs.get_file_info(fs.FileSelector(self._at(key), allow_not_found=True))
        return {
            i.base_name: (i.size, i.mtime.timestamp() if i.mtime else 0.0) for i in infos if i.type == fs.FileType.File
        }

    def delete(self, key: str) -> None:
        """Remove an object or everything below a key; quiet when there is nothing."""
        if self.folder is not None:
            path = self.folder / key
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
            return
        info = self._fs.get_file_info(self._at(key))
        if info.type == fs.FileType.Directory:
            self._fs.delete_dir(self._at(key))
        elif info.type == fs.FileType.File:
            self._fs.delete_file(self._at(key))

    def problems(self) -> list[str]:
        """A sentence when nothing can be written here."""
        key = f".probe-{uuid.uuid4().hex[:8]}"
        try:
            self.write(key, b"swath")
            self.delete(key)
        except (OSError, pa.ArrowException) as error:
            return [
                f"storage {self.root!r} cannot be written: {error}. Give a folder you may write to, "
                "or a bucket whose credentials are set, with --storage."
            ]
        return []

    def free_bytes(self) -> int | None:
        """Free space where the store is a folder; None for object stores."""
        if self.folder is None:
            return None
        folder = self.folder
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free


class DiscardingStorage(Storage):
    """A store that is read and never changed: of a trial's several workers only the first one writes."""

    def write(self, key: str, data: bytes | memoryview) -> None:
        """Discard the data."""

    def delete(self, key: str) -> None:
        """Leave the object where it is."""


@dataclass(frozen=True)
class Locations:
    """Where a sweep reads and writes.

    Attributes:
        storage: The store.
        local_cache: Node-local folder for copies of cache entries; None maps them in the storage folder.
    """

    storage: Storage
    local_cache: Path | None = None

    @staticmethod
    def of(storage: str, cache: str = "") -> "Locations":
        """From the command line's `--storage` and `--cache` (both absolute or a URI)."""
        store = Storage(storage)
        if cache:
            return Locations(store, Path(cache))
        return Locations(store, None if store.folder else node_cache_folder())

    @property
    def cache(self) -> Storage:
        """Where cache entries are built."""
        return self.storage.child("cache")

    @property
    def memory(self) -> Path:
        """Folder that remembers content hashes."""
        return (self.storage.folder or node_cache_folder()) / "hashes"
