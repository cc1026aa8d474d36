"""Which trials belong to a sweep: sweep.json, and beside it refitted and imported trials."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from swath.store.json_files import SCHEMA, read_record, write_record
from swath.store.layout import sweep_key
from swath.store.storage import Storage


@dataclass(frozen=True, kw_only=True)
class ListedTask:
    """A task of a sweep.

    Attributes:
        data: Fingerprint of its data, under which the store keeps its record.
        label: Its label.
        labels: Names of its classes, in order.
        metric: `map` or `macro_f1`.
    """

    data: str
    label: str
    labels: tuple[str, ...]
    metric: str


@dataclass(frozen=True, kw_only=True)
class ListedSearch:
    """The points that a search has asked for in one cell of the grid.

    Attributes:
        search: Name and seed of the search.
        space: Each range as text.
        points: Value of each range by its name, a point each.
    """

    search: tuple[str | int, ...]
    space: dict[str, str]
    points: tuple[dict[str, Any], ...]


@dataclass(frozen=True, kw_only=True)
class ListedStep:
    """The kept results of an expensive op that a cache entry starts from.

    Attributes:
        key: Of its folder in the cache.
        chain: Label of the ops that it holds the results of.
    """

    key: str
    chain: str


@dataclass(frozen=True, kw_only=True)
class ListedEntry:
    """A cache entry that a sweep uses.

    Attributes:
        key: Of its folder in the cache.
        title: What a report calls it.
        chain: Label of its preprocessing.
        part: `train`, `val` or `test`.
        steps: Kept results of expensive ops that it starts from.
    """

    key: str
    title: str
    chain: str
    part: str
    steps: tuple[ListedStep, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ListedTrial:
    """A trial of a sweep.

    Attributes:
        fingerprint: Of its spec.
        entries: Keys of the cache entries it reads.
        cell: Label of its cell.
        factors: Factor name to the label of its level.
        baseline: True for the cell made of each grid's first value.
        data: Fingerprint of its task's data.
        fold: The fold that validates.
        seed: Training seed.
        epochs: Epochs of its recipe.
        rungs: Epochs at which it may be stopped.
        phase: 1, or 2 for one that runs, or not, by what phase 1 found.
        exempt: True when the stopping rule cannot end it.
        final: True when final estimates may rest on it.
        passes: Passes over the training images in all; 0 where the writer did not know.
    """

    fingerprint: str
    entries: tuple[str, ...] = ()
    cell: str
    factors: dict[str, str]
    baseline: bool
    data: str
    fold: int
    seed: int
    epochs: int
    rungs: tuple[int, ...]
    phase: int = 1
    exempt: bool = True
    final: bool = True
    passes: int = 0


@dataclass(frozen=True, kw_only=True)
class SweepRecord:
    """The content of sweep.json: all that a report needs to know of a sweep beside its trials.

    Attributes:
        name: The sweep's name.
        tasks: Its tasks.
        split: Canonical form of its split.
        rule: The stopping rule as stored with stopped trials, "" for none.
        stop: Canonical form of the stopping description, "" for none.
        seeds: Its seeds.
        notes: Remarks on its data.
        command: The shell command that started it, or "".
        named: True where cells have names of their own.
        search: Points of its search by the label of the grid's cell.
        published: Scores on record by the label of the cell: one, or public and private.
        matters: Difference of scores that matters to the study.
        streams: Whose random numbers its trials have; see `TrialSpec`.
        entries: The cache entries it uses.
        trials: Its trials, the baseline's first.
        schema: Of the record; see `swath.store.json_files`.
    """

    name: str
    tasks: tuple[ListedTask, ...]
    split: str
    rule: str
    stop: str = ""
    seeds: tuple[int, ...]
    notes: tuple[str, ...]
    command: str = ""
    named: bool = False
    search: dict[str, ListedSearch] = field(default_factory=dict)
    published: dict[str, tuple[float, ...]] = field(default_factory=dict)
    matters: float = 0.005
    streams: str = "common"
    entries: tuple[ListedEntry, ...] = ()
    trials: tuple[ListedTrial, ...]
    schema: int = SCHEMA


def write_sweep(storage: Storage, record: SweepRecord) -> None:
    """Replace a sweep's record."""
    write_record(storage, sweep_key(record.name, "sweep.json"), record)


def read_sweep(storage: Storage, name: str) -> SweepRecord | None:
    """A sweep's record, or None for a name the store does not have; StoreError for one that is damaged."""
    return read_record(storage, sweep_key(name, "sweep.json"), SweepRecord)


def read_refits(storage: Storage, name: str) -> tuple[ListedTrial, ...]:
    """The trials of a sweep's cells that trained on all images."""
    return read_record(storage, sweep_key(name, "refits.json"), tuple[ListedTrial, ...]) or ()


def add_refits(storage: Storage, name: str, trials: Sequence[ListedTrial]) -> None:
    """List further refits; those that are listed already stay once."""
    by_fingerprint = {trial.fingerprint: trial for trial in (*read_refits(storage, name), *trials)}
    write_record(storage, sweep_key(name, "refits.json"), tuple(by_fingerprint.values()))


def read_imports(storage: Storage, name: str) -> tuple[ListedTrial, ...]:
    """The trials that imported models became."""
    return read_record(storage, sweep_key(name, "imports.json"), tuple[ListedTrial, ...]) or ()


def write_imports(storage: Storage, name: str, trials: Sequence[ListedTrial]) -> None:
    """Replace the list of imported trials."""
    write_record(storage, sweep_key(name, "imports.json"), tuple(trials))


def sweep_names(storage: Storage) -> list[str]:
    """Names of the sweeps in the store."""
    return storage.names("sweeps")
