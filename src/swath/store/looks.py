"""Looks at a sweep: with which seeds it was reported on, so that seeds added after a verdict are accounted for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from swath.store.json_files import SCHEMA, read_record, write_record
from swath.store.layout import sweep_key
from swath.store.storage import Storage

_CURE = "Delete it: the sweep is then judged as if nobody had looked at it."


@dataclass(frozen=True, kw_only=True)
class Look:
    """A report on a sweep that had verdicts to give.

    Attributes:
        seeds: The seeds that the sweep had asked for by then.
        at: When, in ISO 8601.
        schema: Of the record; see `swath.store.json_files`.
    """

    seeds: tuple[int, ...]
    at: str
    schema: int = SCHEMA


def read_looks(storage: Storage, name: str) -> tuple[Look, ...]:
    """The looks at a sweep, first to last; one for each set of seeds."""
    return read_record(storage, sweep_key(name, "looks.json"), tuple[Look, ...], _CURE) or ()


def note_look(storage: Storage, name: str, seeds: Sequence[int]) -> None:
    """Keep that a sweep was reported on with these seeds; a store that cannot be written keeps nothing."""
    looks = read_looks(storage, name)
    if any(set(look.seeds) == set(seeds) for look in looks):
        return
    now = Look(seeds=tuple(seeds), at=datetime.now(UTC).isoformat(timespec="seconds"))
    try:
        write_record(storage, sweep_key(name, "looks.json"), (*looks, now))
    except OSError:
        return
