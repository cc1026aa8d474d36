"""Records of the store: what a reader makes of files of older and newer versions, and of damaged ones."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from swath.core.errors import StoreError
from swath.store.cluster_state import ClusterState, read_state, write_state
from swath.store.json_files import SCHEMA, read_record, write_record
from swath.store.states import State
from swath.store.storage import Storage
from swath.store.sweeps import ListedTask, ListedTrial, SweepRecord, add_refits, read_refits, read_sweep, write_sweep
from swath.store.trials import Outcome, Trial

TRIAL = ListedTrial(
    fingerprint="f0",
    cell="raw / resnet18",
    factors={"preprocess": "raw"},
    baseline=True,
    data="d0",
    fold=1,
    seed=7,
    epochs=9,
    rungs=(3,),
)
SWEEP = SweepRecord(
    name="study",
    tasks=(ListedTask(data="d0", label="scenes", labels=("water", "나무"), metric="map"),),
    split="holdout(0.2,seed=0)",
    rule="",
    seeds=(7,),
    notes=(),
    published={"raw / resnet18": (0.9, float("nan"))},
    trials=(TRIAL,),
)


@dataclass(frozen=True)
class Record:
    """A record of the tests."""

    name: str
    sizes: tuple[int, ...] = (1,)
    share: float | None = None
    schema: int = SCHEMA


def stored(storage: Storage, content: Any) -> None:
    storage.write("record.json", json.dumps(content).encode())


def test_records_come_back_as_written(storage: Storage) -> None:
    for record in (Record("a"), Record("b", (), 0.5), Record("c", (1, 2), float("inf"))):
        write_record(storage, "record.json", record)
        assert read_record(storage, "record.json", Record) == record
    assert read_record(storage, "other.json", Record) is None


def test_fields_of_other_versions_are_left_out_or_have_their_default(storage: Storage) -> None:
    stored(storage, {"name": "a", "added_later": {"x": 1}})
    assert read_record(storage, "record.json", Record) == Record("a")


def test_a_newer_schema_is_refused(storage: Storage) -> None:
    stored(storage, {"name": "a", "schema": SCHEMA + 1})
    with pytest.raises(StoreError, match=r"record.json in the store was written by a newer swath .* Install that"):
        read_record(storage, "record.json", Record)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"sizes": [1]}, r"name: field required"),
        ({"name": "a", "sizes": [1, "2"]}, r"sizes\.1: input should be a valid integer"),
        ({"name": 3}, r"name: input should be a valid string"),
        ([1, 2], r"its content: input should be an object"),
    ],
)
def test_a_damaged_record_is_named_with_its_field(storage: Storage, content: Any, problem: str) -> None:
    stored(storage, content)
    with pytest.raises(StoreError, match=rf"^record.json in the store is damaged \({problem}.*\); delete it"):
        read_record(storage, "record.json", Record)


def test_a_cut_record_is_no_json(storage: Storage) -> None:
    storage.write("record.json", b'{"name": "a')
    with pytest.raises(StoreError, match=r"^record.json in the store is no JSON .*; delete it to have it made again"):
        read_record(storage, "record.json", Record)


def test_a_sweep_of_the_first_versions_has_the_defaults(storage: Storage) -> None:
    """As sweep.json was before it had a schema, points, entries, phases or names."""
    old = {
        "name": "study",
        "tasks": [{"data": "d0", "label": "scenes", "labels": ["water", "나무"], "metric": "map"}],
        "split": "holdout(0.2,seed=0)",
        "rule": "",
        "seeds": [7],
        "notes": [],
        "trials": [
            {
                "fingerprint": "f0",
                "cell": "raw / resnet18",
                "factors": {"preprocess": "raw"},
                "baseline": True,
                "data": "d0",
                "fold": 1,
                "seed": 7,
                "epochs": 9,
                "rungs": [3],
            }
        ],
    }
    storage.write("sweeps/study/sweep.json", json.dumps(old).encode())
    sweep = read_sweep(storage, "study")
    assert sweep is not None
    assert sweep.trials == (TRIAL,)
    assert (sweep.stop, sweep.command, sweep.named, sweep.search, sweep.published, sweep.entries) == (
        "",
        "",
        False,
        {},
        {},
        (),
    )


def test_a_sweep_is_written_with_its_schema_and_read_again(storage: Storage) -> None:
    write_sweep(storage, SWEEP)
    written = json.loads(storage.read("sweeps/study/sweep.json"))
    assert written["schema"] == SCHEMA
    assert written["trials"][0]["rungs"] == [3]
    sweep = read_sweep(storage, "study")
    assert sweep is not None
    assert repr(sweep) == repr(SWEEP)  # NaN is not equal to itself


def test_refits_are_listed_once(storage: Storage) -> None:
    for _ in range(2):
        add_refits(storage, "study", [TRIAL])
    assert read_refits(storage, "study") == (TRIAL,)
    assert read_refits(storage, "other") == ()


def test_states_are_stored_as_their_text(storage: Storage) -> None:
    trial = Trial(storage, "f0")
    trial.finish(Outcome(State.STOPPED, epochs=3, score=float("nan"), rule="asha"))
    assert json.loads(storage.read("trials/f0/trial.json"))["state"] == "STOPPED"
    outcome = trial.outcome()
    assert outcome is not None
    assert outcome.state is State.STOPPED
    storage.write("trials/f0/trial.json", b'{"state": "DONE", "epochs": 1, "score": null}')
    with pytest.raises(StoreError, match=r"trials/f0/trial.json in the store is damaged \(state: input should be"):
        trial.outcome()


def test_a_cluster_state_that_cannot_be_read_is_none(storage: Storage) -> None:
    state = ClusterState(in_use={"CPU": 1.0}, total={"CPU": 2.0}, nodes=1)
    write_state(storage, "study", state)
    assert read_state(storage, "study") == state
    storage.write("sweeps/study/cluster.json", b'{"in_use": 3}')
    assert read_state(storage, "study") is None
