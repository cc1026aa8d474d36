from pathlib import Path

import pytest

from swath import tasks
from swath.core.errors import InputError


def test_groups_of_the_file_and_of_the_task_join(layout: Path, tmp_path: Path) -> None:
    inner = tasks.DaconSatellite(str(layout))
    file = tmp_path / "groups.csv"
    file.write_text("id,group\nTRAIN000,x\nTRAIN007,x\nTRAIN001,y\nTEST003,y\n")
    rows = tasks.Grouped(inner, str(file)).images.rows.set_index("id")
    assert rows.group["TRAIN000"] == rows.group["TRAIN007"]
    assert rows.group["TRAIN001"] == rows.group["TEST003"]
    assert rows.group.nunique() == len(rows) - 2
    again = tasks.Grouped(tasks.Grouped(inner, str(file)), str(tmp_path / "more.csv"))
    (tmp_path / "more.csv").write_text("id,group\nTRAIN007,a\nTRAIN001,a\n")
    rows = again.images.rows.set_index("id")
    assert len({rows.group[i] for i in ("TRAIN000", "TRAIN007", "TRAIN001", "TEST003")}) == 1


def test_it_is_the_same_task_otherwise(layout: Path, tmp_path: Path) -> None:
    inner = tasks.DaconSatellite(str(layout))
    (tmp_path / "groups.csv").write_text("id,group\n")
    grouped = tasks.Grouped(inner, str(tmp_path / "groups.csv"))
    assert (grouped.label, grouped.kind, grouped.metric) == (inner.label, inner.kind, inner.metric)
    assert grouped.images.submission == inner.images.submission


def test_ids_of_another_task_are_refused(layout: Path, tmp_path: Path) -> None:
    (tmp_path / "groups.csv").write_text("id,group\nsomewhere,1\nelse,1\n")
    with pytest.raises(InputError, match="2 of its 2 ids are not in the task"):
        tasks.Grouped(tasks.DaconSatellite(str(layout)), str(tmp_path / "groups.csv")).read()
    missing = tasks.Grouped(tasks.DaconSatellite(str(layout)), str(tmp_path / "nowhere.csv"))
    with pytest.raises(InputError, match="nowhere"):
        missing.read()
