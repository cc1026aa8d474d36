"""Looks at a sweep: on which trials it was reported, so that what is added after a verdict is accounted for."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from swath.store.json_files import SCHEMA, read_record, write_record
from swath.store.layout import sweep_key
from swath.store.storage import Storage
from swath.store.sweeps import SweepRecord

_CURE = "Delete it: the sweep is then judged as if nobody had looked at it."


@dataclass(frozen=True, kw_only=True)
class Look:
    """A report on a sweep that had verdicts to give.

    Attributes:
        trials: Hash over the fingerprints of the trials that final estimates may rest on, as the sweep listed them.
        seeds: Their seeds.
        at: When, in ISO 8601.
        schema: Of the record; see `swath.store.json_files`.
    """

    trials: str
    seeds: tuple[int, ...]
    at: str
    schema: int = SCHEMA


def read_looks(storage: Storage, name: str) -> tuple[Look, ...]:
    """The looks at a sweep, first to last; one for each set of trials."""
    return read_record(storage, sweep_key(name, "looks.json"), tuple[Look, ...], _CURE) or ()


def looks_at(storage: Storage, sweep: SweepRecord) -> int:
    """How often a sweep has been looked at, with this set of trials included."""
    now = _trials(sweep)
    return 1 + sum(look.trials != now for look in read_looks(storage, sweep.name))


def note_look(storage: Storage, sweep: SweepRecord) -> None:
    """Keep that a sweep was reported on with the trials it lists; a store that cannot be written keeps nothing."""
    looks, now = read_looks(storage, sweep.name), _trials(sweep)
    if any(look.trials == now for look in looks):
        return
    seeds = tuple(sorted({t.seed for t in sweep.trials if t.final}))
    look = Look(trials=now, seeds=seeds, at=datetime.now(UTC).isoformat(timespec="seconds"))
    try:
        write_record(storage, sweep_key(sweep.name, "looks.json"), (*looks, look))
    except OSError:
        return


def _trials(sweep: SweepRecord) -> str:
    names = sorted(t.fingerprint for t in sweep.trials if t.final)
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
