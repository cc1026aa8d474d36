"""Whose random numbers trials have: their own in new sweeps, those of the seed alone in sweeps that began so."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from swath import Sweep, grid, losses, ops, union
from swath.core.errors import InputError
from swath.plan.progress import Progress
from swath.plan.records import write_records
from swath.store import sweeps as sweeps_
from swath.store.storage import Locations
from tests.support.planned import planned_sweep

SweepMaker = Callable[..., Sweep]


def written(sweep: Sweep, store: Path) -> Progress:
    progress = planned_sweep(sweep, Locations.of(str(store)))
    write_records(progress)
    return progress


def fingerprints(progress: Progress) -> list[str]:
    return [t.spec.fingerprint for t in progress.plan.trials]


def age(progress: Progress) -> None:
    """Make the record what an earlier swath wrote, which knew neither field."""
    storage, key = progress.plan.locations.storage, f"sweeps/{progress.plan.sweep.name}/sweep.json"
    record = json.loads(storage.read(key))
    del record["streams"], record["matters"]
    storage.write(key, json.dumps(record).encode())


def test_trials_of_a_new_sweep_have_random_numbers_of_their_own(make_sweep: SweepMaker, tmp_path: Path) -> None:
    progress = written(make_sweep(seeds=(0, 1), loss=grid(losses.BCE(), losses.Focal())), tmp_path)
    specs = [t.spec for t in progress.plan.trials]
    assert [s.seed for s in specs].count(0) == 4
    assert {s.streams for s in specs} == {"own"}
    assert len({s.random_seed for s in specs}) == 8
    assert progress.plan.notes == ()
    record = sweeps_.read_sweep(progress.plan.locations.storage, "study")
    assert record is not None
    assert record.streams == "own"
    assert fingerprints(planned_sweep(progress.plan.sweep, progress.plan.locations)) == fingerprints(progress)


def test_common_random_numbers_are_asked_for(make_sweep: SweepMaker, tmp_path: Path) -> None:
    progress = written(make_sweep(seeds=(3, 5), streams="common"), tmp_path)
    assert [t.spec.random_seed for t in progress.plan.trials] == [t.spec.seed for t in progress.plan.trials]
    (note,) = progress.plan.notes
    assert "share their random numbers (streams='common'" in note
    alone = planned_sweep(make_sweep(preprocess=(), streams="common"), Locations.of(str(tmp_path / "alone")))
    assert alone.plan.notes == ()  # one trial shares with none


@pytest.mark.parametrize("joined", [False, True])
def test_a_sweep_goes_on_as_it_began(make_sweep: SweepMaker, tmp_path: Path, joined: bool) -> None:
    """The store of an earlier swath: the same script has the same trials, and more seeds are of their kind."""

    def sweep(**changes: object) -> Sweep:
        if not joined:
            return make_sweep(**changes)
        one = make_sweep(preprocess=(), name="one", **changes)
        return union(one, replace(one, name="two", preprocess=(ops.Sharpen(),)), name="study")

    began = written(sweep(streams="common"), tmp_path)
    age(began)
    again = planned_sweep(sweep(), Locations.of(str(tmp_path)))
    assert fingerprints(again) == fingerprints(began)
    assert {t.spec.streams for t in again.plan.trials} == {"common"}
    assert any("streams='common'" in note for note in again.plan.notes)
    more = written(sweep(seeds=(0, 1)), tmp_path)
    assert set(fingerprints(began)) < set(fingerprints(more))
    record = sweeps_.read_sweep(again.plan.locations.storage, "study")
    assert record is not None
    assert (record.streams, record.matters) == ("common", 0.005)
    other = planned_sweep(replace(sweep(), name="another"), Locations.of(str(tmp_path)))
    assert not set(fingerprints(other)) & set(fingerprints(began))


def test_a_union_goes_on_as_its_members_began(make_sweep: SweepMaker, tmp_path: Path) -> None:
    began = written(make_sweep(preprocess=(), name="one", streams="common"), tmp_path)
    age(began)
    one = make_sweep(preprocess=(), name="one")
    both = planned_sweep(
        union(one, replace(one, name="two", preprocess=(ops.Sharpen(),)), name="both"), Locations.of(str(tmp_path))
    )
    assert set(fingerprints(began)) < set(fingerprints(both))
    assert {t.spec.streams for t in both.plan.trials} == {"common"}


def test_an_unknown_kind_of_random_numbers_is_refused(make_sweep: SweepMaker, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown streams 'shared'. Allowed: common, own"):
        planned_sweep(make_sweep(streams="shared"), Locations.of(str(tmp_path)))


def test_what_matters_is_kept_and_changes_no_trial(make_sweep: SweepMaker, tmp_path: Path) -> None:
    progress = written(make_sweep(matters=0.02), tmp_path)
    record = sweeps_.read_sweep(progress.plan.locations.storage, "study")
    assert record is not None
    assert record.matters == 0.02
    assert json.loads(progress.plan.locations.storage.read("sweeps/study/sweep.json"))["matters"] == 0.02
    assert fingerprints(planned_sweep(make_sweep(), Locations.of(str(tmp_path)))) == fingerprints(progress)
