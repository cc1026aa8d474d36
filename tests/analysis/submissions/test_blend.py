from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata

from swath.analysis.submissions.blend import blend
from swath.core.errors import InputError


def write(path: Path, table: pd.DataFrame) -> Path:
    table.to_csv(path, index=False)
    return path


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    rng = np.random.default_rng(0)
    ids = [f"00{i}" for i in range(6)]
    a = pd.DataFrame({"img_id": ids, "water": rng.random(6), "trees": rng.random(6)})
    b = pd.DataFrame({"img_id": ids[::-1], "trees": rng.random(6), "water": rng.random(6)})
    return write(tmp_path / "a.csv", a), write(tmp_path / "b.csv", b)


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"img_id": str}).set_index("img_id")


def test_a_weighted_mean_in_the_first_files_form(two, tmp_path):
    a, b = map(read, two)
    found = read(blend(two, tmp_path / "c.csv", weights=(3, 1)))
    assert list(found.columns) == ["water", "trees"]
    assert list(found.index) == list(a.index)
    expected = 0.75 * a + 0.25 * b.loc[a.index, a.columns]
    assert np.allclose(found, expected, atol=6e-7)


def test_ranks(two, tmp_path):
    a, b = map(read, two)
    found = read(blend(two, tmp_path / "c.csv", by_rank=True))
    b = b.loc[a.index, a.columns]
    expected = (rankdata(a, axis=0) + rankdata(b, axis=0)) / 12
    assert np.allclose(found, expected, atol=6e-7)


def test_labels_are_voted_on(tmp_path):
    tables = [["owl", "kite"], ["wren", "owl"], ["wren", "wren"]]
    files = [
        write(tmp_path / f"{i}.csv", pd.DataFrame({"id": ["x", "y"], "label": labels}))
        for i, labels in enumerate(tables)
    ]
    assert pd.read_csv(blend(files, tmp_path / "v.csv"))["label"].tolist() == ["wren", "kite"]
    weighted = blend(files, tmp_path / "w.csv", weights=(5, 1, 1))
    assert pd.read_csv(weighted)["label"].tolist() == ["owl", "kite"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.assign(img_id="z" + t["img_id"]), "differ in 12 ids"),
        (lambda t: t.rename(columns={"water": "sea"}), "'sea', 'water'"),
        (lambda t: t.assign(water="wet"), "hold text"),
        (lambda t: t.assign(water=np.inf), "not numbers"),
        (lambda t: pd.concat([t, t[:1]]), "more than once"),
        (lambda t: t[["img_id"]], "1 column"),
    ],
)
def test_what_does_not_fit_is_named(two, tmp_path, change, message):
    write(two[1], change(pd.read_csv(two[1], dtype={"img_id": str})))
    with pytest.raises(InputError, match=message):
        blend(two, tmp_path / "c.csv")


@pytest.mark.parametrize("weights", [(1.0,), (0, 0), (-1, 2), (np.nan, 1)])
def test_weights_out_of_range(two, tmp_path, weights):
    with pytest.raises(InputError, match="weights"):
        blend(two, tmp_path / "c.csv", weights=weights)


def test_one_file_is_nothing_to_blend(two, tmp_path):
    with pytest.raises(InputError, match="two or more"):
        blend(two[:1], tmp_path / "c.csv")
