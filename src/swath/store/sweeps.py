"""The lists of a sweep's trials."""

from typing import Any

from swath.store.json_files import _dumps, _loads
from swath.store.keys import sweep_key
from swath.store.storage import Storage


def write_sweep(storage: Storage, name: str, content: dict[str, Any]) -> None:
    """Replace the list of a sweep's trials."""
    storage.write(sweep_key(name, "sweep.json"), _dumps(content))


def read_sweep(storage: Storage, name: str) -> dict[str, Any] | None:
    """The list of a sweep's trials, or None for a name the store does not have."""
    data = storage.read_or_none(sweep_key(name, "sweep.json"))
    return None if data is None else _loads(data, sweep_key(name, "sweep.json"))


def read_refits(storage: Storage, name: str) -> list[dict[str, Any]]:
    """The trials of a sweep's cells that trained on all images, in the form of those that sweep.json lists."""
    data = storage.read_or_none(sweep_key(name, "refits.json"))
    return [] if data is None else _loads(data, sweep_key(name, "refits.json"))


def add_refits(storage: Storage, name: str, entries: list[dict[str, Any]]) -> None:
    """List further ones; those that are listed already stay once."""
    found = {entry["fingerprint"]: entry for entry in [*read_refits(storage, name), *entries]}
    storage.write(sweep_key(name, "refits.json"), _dumps(list(found.values())))


def sweep_names(storage: Storage) -> list[str]:
    """Names of the sweeps in the store."""
    return storage.names("sweeps")
