"""Looks at a sweep: which are kept, and what becomes of stores that cannot be written or are damaged."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from swath.core.errors import DamagedRecordError
from swath.store.layout import sweep_key
from swath.store.looks import looks_at, note_look, read_looks
from swath.store.storage import Storage
from swath.store.sweeps import ListedTrial, SweepRecord

FILE = sweep_key("study", "looks.json")


def sweep(seeds: Sequence[int], cells: str = "ab", trying: str = "", name: str = "study") -> SweepRecord:
    """A sweep with a trial for each cell and seed; those of `trying` no final estimate rests on."""
    trials = [
        ListedTrial(
            fingerprint=f"{cell}{seed}",
            cell=cell,
            factors={"cell": cell},
            baseline=cell == "a",
            data="d0",
            fold=0,
            seed=seed,
            epochs=9,
            rungs=(),
            final=cell not in trying,
        )
        for seed in seeds
        for cell in cells + trying
    ]
    return SweepRecord(name=name, tasks=(), split="", rule="", seeds=tuple(seeds), notes=(), trials=tuple(trials))


def test_one_look_is_kept_for_each_set_of_trials(storage: Storage) -> None:
    assert read_looks(storage, "study") == ()
    assert looks_at(storage, sweep([0, 1])) == 1
    for asked, looks in (
        (sweep([0, 1]), 1),
        (sweep([0, 1]), 1),
        (sweep([1, 0], "ba"), 1),  # in another order
        (sweep([0, 1], trying="c"), 1),
        (sweep([0, 1, 2]), 2),
        (sweep([0, 1, 2], "abc"), 3),  # a cell is more trials, too
        (sweep([0, 1, 2], "abc"), 3),
        (sweep([0, 1]), 3),  # back again, it is judged by all that was seen
    ):
        assert looks_at(storage, asked) == looks
        note_look(storage, asked)
        assert looks_at(storage, asked) == looks
    kept = read_looks(storage, "study")
    assert [look.seeds for look in kept] == [(0, 1), (0, 1, 2), (0, 1, 2)]
    assert len({look.trials for look in kept}) == 3
    for look in kept:
        assert timedelta(0) <= datetime.now(UTC) - datetime.fromisoformat(look.at) < timedelta(minutes=10)
    assert read_looks(storage, "other") == ()
    assert looks_at(storage, sweep([0], name="other")) == 1


def test_a_look_already_kept_writes_nothing(storage: Storage) -> None:
    note_look(storage, sweep([0, 1]))
    before = storage.read(FILE).replace(b'"schema": 1', b'"schema":  1')  # as another writer may lay it out
    storage.write(FILE, before)
    note_look(storage, sweep([1, 0]))
    assert storage.read(FILE) == before


def test_a_store_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "sweeps").symlink_to(tmp_path / "gone")  # no permission would stop a test that root runs
    storage = Storage(str(tmp_path))
    with pytest.raises(OSError, match="sweeps"):
        storage.write(FILE, b"[]")
    note_look(storage, sweep([0, 1]))
    assert read_looks(storage, "study") == ()
    assert [path.name for path in tmp_path.iterdir()] == ["sweeps"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'[{"trials": "x", "seeds": [0], "at"',
        b'[{"trials": "x", "seeds": [0]}]',
        b'[{"trials": "x", "seeds": "0", "at": "y"}]',
    ],
)
def test_a_damaged_file_names_its_cure(storage: Storage, content: bytes) -> None:
    storage.write(FILE, content)
    expected = r"sweeps/study/looks\.json in the store .*Delete it: the sweep is then judged as if nobody had looked"
    with pytest.raises(DamagedRecordError, match=expected):
        read_looks(storage, "study")
    with pytest.raises(DamagedRecordError, match=expected):
        note_look(storage, sweep([0, 1]))
    assert storage.read(FILE) == content
