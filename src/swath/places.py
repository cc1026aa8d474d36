"""Where a sweep reads and writes."""

from dataclasses import dataclass
from pathlib import Path

from swath.paths import Storage, node_cache_folder


@dataclass(frozen=True)
class Places:
    """Where a sweep reads and writes.

    Attributes:
        storage: The store.
        local_cache: Node-local folder for copies of cache entries; None maps them in the storage folder.
    """

    storage: Storage
    local_cache: Path | None = None

    @staticmethod
    def of(storage: str, cache: str = "") -> "Places":
        """From the command line's `--storage` and `--cache` (both absolute or a URI)."""
        store = Storage(storage)
        if cache:
            return Places(store, Path(cache))
        return Places(store, None if store.folder else node_cache_folder())

    @property
    def cache(self) -> Storage:
        """Where cache entries are built."""
        return self.storage.child("cache")

    @property
    def memory(self) -> Path:
        """Folder that remembers content hashes."""
        return (self.storage.folder or node_cache_folder()) / "hashes"
