"""What the cache holds and who uses it; freeing it. What `swath cache ls` and `swath cache rm` do."""

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from swath.core.errors import DamagedRecordError, InputError
from swath.core.text import size_text
from swath.preprocess.cache.manifest import PackReceipt, delete_manifest, is_built, read_manifest, read_receipts
from swath.store import sweeps as sweeps_
from swath.store.lease import Lease
from swath.store.storage import Storage
from swath.store.trials import Trial

_READERS = 16
_AGES = (("d", 86400), ("h", 3600), ("min", 60))


@dataclass(frozen=True)
class Cached:
    """One folder of the cache.

    Attributes:
        key: Its name.
        state: `ready`, `building` (by a process that lives), `unfinished` (begun, and left), `damaged` (its manifest
            cannot be read; the next sweep that needs it writes it again), or `results` (of an expensive op, which
            chains start from).
        chain: Label of its chain; "" while it is unfinished and no sweep lists it.
        part: `train` or `test`; "" for results.
        images: Number of images.
        size_bytes: Of its objects.
        changed: When it was last written, in seconds since 1970.
        sweeps: Names of the sweeps in the store that use it.
        trials: Trials of those sweeps that use it.
        open_trials: Those of them without a final state.
    """

    key: str
    state: str
    chain: str
    part: str
    images: int
    size_bytes: int
    changed: float
    sweeps: tuple[str, ...]
    trials: int
    open_trials: int

    def line(self) -> str:
        """A row of `swath cache ls`."""
        users = ", ".join(self.sweeps) or "no sweep"
        trials = f" ({self.trials} trials, {self.open_trials} to run)" if self.trials else ""
        return (
            f"{self.key}  {self.state:<10}  {self.images:>9,} images  {size_text(self.size_bytes):>9}  "
            f"{_age(time.time() - self.changed):>7}  {' '.join(filter(None, (self.chain or '?', self.part)))}  "
            f"used by {users}{trials}"
        )


def _age(seconds: float) -> str:
    for unit, length in _AGES:
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def list_cached(storage: Storage) -> list[Cached]:
    """All folders of the store's cache, the largest first."""
    cache, uses = storage.child("cache"), _uses(storage)
    with ThreadPoolExecutor(_READERS) as pool:
        entries = pool.map(lambda key: _look(cache, key, uses.get(key, [])), cache.names())
    return sorted(entries, key=lambda c: -c.size_bytes)


def _look(cache: Storage, key: str, uses: Sequence["_Use"]) -> Cached:
    sizes = cache.sizes(key)
    manifest, damaged = None, False
    try:
        manifest = read_manifest(cache, key)
    except DamagedRecordError:
        damaged = True
    packs = [name for name in sizes if name.startswith("pack-") and name.endswith(".json")]
    state = "damaged" if damaged else "ready" if manifest else "results" if packs else "unfinished"
    if "lease.json" in sizes and Lease(cache, f"{key}/lease.json").elsewhere():
        state = "building"
    receipts = [] if manifest else read_receipts(cache, key, [Path(name).stem for name in packs], PackReceipt)
    chain, part = (manifest.chain, manifest.part) if manifest else ("", "")
    return Cached(
        key=key,
        state=state,
        chain=chain or next((use.chain for use in uses), ""),
        part=part or next((use.part for use in uses), ""),
        images=len(manifest.ids) if manifest else sum(len(receipt.images) for receipt in receipts if receipt),
        size_bytes=sum(size for size, _ in sizes.values()),
        changed=max((changed for _, changed in sizes.values()), default=0.0),
        sweeps=tuple(dict.fromkeys(use.sweep for use in uses)),
        trials=sum(use.trials for use in uses),
        open_trials=sum(use.open_trials for use in uses),
    )


@dataclass(frozen=True)
class _Use:
    """What one sweep does with one folder of the cache."""

    sweep: str
    chain: str
    part: str
    trials: int
    open_trials: int


def _uses(storage: Storage) -> dict[str, list[_Use]]:
    """Who uses each folder, by the lists that sweeps leave in the store."""
    uses: dict[str, list[_Use]] = {}
    for name in sweeps_.sweep_names(storage):
        sweep = sweeps_.read_sweep(storage, name)
        if sweep is None:
            continue
        with ThreadPoolExecutor(_READERS) as pool:
            outcomes = list(pool.map(lambda t: Trial(storage, t.fingerprint).outcome(), sweep.trials))
        for entry in sweep.entries:
            of_entry = [o for t, o in zip(sweep.trials, outcomes, strict=True) if entry.key in t.entries]
            open_trials = sum(outcome is None for outcome in of_entry)
            use = _Use(sweep=name, chain=entry.chain, part=entry.part, trials=len(of_entry), open_trials=open_trials)
            uses.setdefault(entry.key, []).append(use)
            for step in entry.steps:
                uses.setdefault(step.key, []).append(replace(use, chain=step.chain, part=""))
    return uses


def chosen(entries: Iterable[Cached], keys: Sequence[str], chain: str, unused: bool) -> list[Cached]:
    """The folders to remove.

    Args:
        entries: The folders of the cache.
        keys: Keys, or the first digits of keys.
        chain: Label of a chain, "" for none.
        unused: Those that no sweep in the store uses.

    Raises:
        InputError: Nothing is asked for, a key is unknown, or a folder is being built.
    """
    entries = list(entries)
    if not keys and not chain and not unused:
        raise InputError("say what to remove: keys (see `swath cache ls`), --chain LABEL, or --unused.")
    problems = [
        f"the cache has no entry {key!r}; `swath cache ls` lists them."
        for key in keys
        if not any(c.key.startswith(key) for c in entries)
    ]
    if chain and not any(c.chain == chain for c in entries):
        labels = ", ".join(sorted({c.chain for c in entries if c.chain})) or "none"
        problems.append(f"the cache has no chain {chain!r}. It has: {labels}.")
    selected = [
        c
        for c in entries
        if any(c.key.startswith(key) for key in keys) or (chain and c.chain == chain) or (unused and not c.sweeps)
    ]
    problems += [
        f"{c.key} ({c.chain or 'unknown chain'}) is being built; wait for it, or end the sweep that builds it."
        for c in selected
        if c.state == "building" and (not unused or keys or chain)
    ]
    if problems:
        raise InputError(problems)
    return [c for c in selected if c.state != "building"]


def remove(storage: Storage, entries: Iterable[Cached], local: Path | None) -> None:
    """Remove folders from the cache, and their copies from a node-local folder.

    The manifest goes first: whatever remains of a folder when this is interrupted does not count as built.
    """
    cache = storage.child("cache")
    copies = Storage(str(local)) if local else None
    for entry in entries:
        for place in filter(None, (cache, copies)):
            delete_manifest(place, entry.key)
            place.delete(entry.key)
        if copies:
            copies.delete(f"{entry.key}.lock")


def list_copies(local: Path) -> list[str]:
    """Lines about the copies in a node-local folder."""
    copies = Storage(str(local))
    lines = []
    for key in copies.names():
        sizes = copies.sizes(key)
        if sizes:
            state = "whole" if is_built(copies, key) else "partial"
            lines.append(f"{key}  {state:<10}  {size_text(sum(size for size, _ in sizes.values())):>9}")
    return lines
