"""Every kind of problem, planted in a labelled set, is found in exactly the rows it is in; clean data have none."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from swath import Sweep, holdout, tasks
from swath.config.task import Task
from swath.tasks.prepare import plan_task
from tests.support.planted_data import Audited, Planted


@pytest.fixture(scope="module")
def audited(planted: Planted, run_audit: Callable[[Task], Audited]) -> Audited:
    return run_audit(planted.task)


def ids_of(audited: Audited, kind: str) -> set[str]:
    return {name for group in audited.finding(kind).show for name in group}


def test_identical_files_and_their_contradictions(audited: Audited, planted: Planted) -> None:
    assert ids_of(audited, "exact_duplicates") == planted.exact
    assert set(audited.finding("contradicting_labels").flagged) == planted.contradicting


def test_near_duplicates_by_where_the_split_puts_them(audited: Audited, planted: Planted) -> None:
    fold = dict(zip(audited.task.ids, audited.task.fold, strict=True))
    apart = [pair for pair in planted.near if fold[pair[0]] != fold[pair[1]]]
    together = [pair for pair in planted.near if fold[pair[0]] == fold[pair[1]]]
    assert apart
    assert together
    leak = audited.finding("near_duplicates_across_split")
    assert leak.severity == "serious"
    assert leak.count == len(apart)
    assert set(leak.flagged) == {name for pair in apart for name in pair if fold[name] == 0}
    assert audited.finding("near_duplicates").count == len(together)


def test_no_different_pictures_are_grouped(audited: Audited, planted: Planted) -> None:
    exact = {frozenset(p) for p in (("i000", "i100"), ("i001", "i101"))}
    test = {frozenset(p) for p in (("i040", "i370"), ("i041", "i371"))}
    assert {frozenset(g) for g in audited.audit.groups} == {frozenset(p) for p in planted.near} | exact | test


def test_training_images_in_the_test_set(audited: Audited, planted: Planted) -> None:
    finding = audited.finding("duplicates_across_test")
    assert finding.severity == "serious"
    assert {name for group in finding.show for name in group} >= planted.across_test
    assert finding.count == len(planted.across_test)


def test_labels(audited: Audited, planted: Planted) -> None:
    assert audited.finding("labels_without_choice").examples == ("ghost (no image)",)
    rare = pd.read_csv(planted.root / "train.csv")["rare"].sum()
    assert f"rare ({rare})" in audited.finding("few_positives").examples
    together = audited.finding("labels_always_together")
    assert together.count == 1
    assert together.examples[0].startswith("twin a and twin b")
    assert ids_of(audited, "images_without_labels") == planted.empty
    assert "i344" in audited.finding("implausible_counts").flagged


def test_filled_runs(audited: Audited, planted: Planted) -> None:
    finding = audited.finding("filled_runs")
    assert finding.severity == "serious"
    assert set(finding.flagged) == planted.filled


@pytest.mark.parametrize("kind", ["damaged_images", "constant_images", "wrong_suffixes", "image_modes"])
def test_image_files(audited: Audited, planted: Planted, kind: str) -> None:
    assert ids_of(audited, kind) == planted.files[kind]


def test_image_remarks(audited: Audited) -> None:
    assert audited.finding("damaged_images").examples[0].endswith("is truncated)")
    assert ".png inside" in audited.finding("wrong_suffixes").examples[0]
    modes = {e.rpartition(", ")[2].rstrip(")") for e in audited.finding("image_modes").examples}
    assert modes == {"gray", "alpha", "CMYK", "16 bit"}
    assert ids_of(audited, "image_sizes") == {"i357", "i371"}


def test_the_most_serious_come_first(audited: Audited) -> None:
    order = [("serious", "warning", "note").index(f.severity) for f in audited.audit.findings]
    assert order == sorted(order)
    assert (
        audited.audit.images == {"train": 270, "validation": 90, "test": 60}
        or sum(audited.audit.images.values()) == 420
    )


def test_groups_of_the_audit_keep_copies_on_one_side(audited: Audited, planted: Planted, tmp_path: Path) -> None:
    file = tmp_path / "groups.csv"
    lines = [f"{name},{k}" for k, group in enumerate(audited.audit.groups) for name in group]
    file.write_text("\n".join(["id,group", *lines]))
    grouped = tasks.Grouped(planted.task, str(file))
    plan = plan_task(grouped, Sweep("audited", grouped, holdout(0.25, seed=0)), tmp_path)
    fold = dict(zip(plan.record.rows["id"], plan.folds, strict=True))
    assert [pair for pair in planted.near if fold[pair[0]] != fold[pair[1]]] == []
    assert plan.record.label == "planted"


@pytest.mark.parametrize("task", ["SyntheticSatellite", "SyntheticBirds"])
def test_clean_drawn_data_have_nothing_serious(
    task: str, synthetic_root: str, run_audit: Callable[[Task], Audited]
) -> None:
    audited = run_audit(tasks.TASKS[task](synthetic_root, train=400, test=100))  # type: ignore[call-arg]
    serious = [f.kind for f in audited.audit.findings if f.severity == "serious"]
    assert serious == []
    assert audited.kinds() <= {"few_positives", "labels_absent_from_part", "images_without_labels"}


@pytest.mark.shared
def test_real_photographs(run_audit: Callable[[Task], Audited], shared: Path) -> None:
    audited = run_audit(tasks.UCMerced(str(shared / "data/ucmerced")))
    assert audited.audit.groups == (("airplane01", "airplane02"),)
    assert audited.finding("image_sizes").count == 44
    assert audited.audit.counts()["serious"] == 0
    dock, ship = (audited.task.targets[:, audited.task.labels.index(name)] == 1 for name in ("dock", "ship"))
    assert 0.98 <= (dock & ship).sum() / (dock | ship).sum() < 1
    assert audited.finding("labels_always_together").examples == ("dock and ship (100 images)",)
