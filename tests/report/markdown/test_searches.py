import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from swath.config.search import Optuna, Point, Random
from swath.report.write import write_report
from swath.store.storage import Storage
from swath.store.sweeps import read_sweep, write_sweep
from tests.support.browser import open_page
from tests.support.fake_store import FakeTrial
from tests.support.searched import SPACE, searched_study


def quality(point: Point, trial: FakeTrial) -> float:
    return max(0.05, 1.6 - 0.35 * (math.log10(point["lr"]) + 2.5) ** 2)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random search without a grid: the issue that began it."""
    storage = Storage(str(tmp_path_factory.mktemp("store")))
    searched_study(storage, quality, points=12, train=300)
    return write_report(storage, "study", tmp_path_factory.mktemp("report")).parent


@pytest.fixture(scope="module")
def text(report: Path) -> str:
    return (report / "leaderboard.md").read_text()


@pytest.fixture(scope="module")
def search(report: Path) -> dict:
    (found,) = json.loads((report / "report.json").read_text())["tasks"][0]["search"]
    return found


def section(text: str, title: str) -> str:
    return re.split(r"^## ", text, flags=re.MULTILINE)[1:][
        [part.split("\n")[0] for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]].index(title)
    ]


def test_no_point_is_compared_with_another(text: str):
    assert "There is no factor to compare: the points of a search are no levels of one." in text
    for word in ("## Effects", "confounded", "baseline", "Share of the differences", "against", "could show"):
        assert word not in text.replace("scores it against", ""), word
    assert "the best of 12 finished points" in " ".join(text.split())


def test_the_first_lines_say_where_the_score_is_highest(text: str, search: dict):
    lr = next(one for one in search["slices"] if one["name"] == "lr")
    best = lr["mean"].index(max(lr["mean"]))
    first = " ".join(text.split("## Ranking")[0].split())
    assert f"Along `lr` macro mAP is highest near {lr['values'][best]:.3g}: **{lr['mean'][best]:.4f}**" in first
    advice = lr["advice"]
    assert f"Where to look next: along `lr` look from {advice['low']:.3g} to {advice['high']:.3g}" in first


def test_parameters_are_columns_of_the_ranking(text: str):
    rows = [line.split("|")[2:4] for line in section(text, "Ranking").splitlines() if re.match(r"\|\s+\d", line)]
    shown = {tuple(float(v) for v in row) for row in rows}
    assert shown == {(p["lr"], p["weight_decay"]) for p in Random(12).ask(SPACE, [])}


def test_the_section_has_importances_slices_and_the_best_so_far(text: str, search: dict):
    own = section(text, "Search")
    assert "A random search over lr (1e-05 to 0.1, log scale), weight_decay (0 to 0.1): 12 points, 12" in own
    for name, share in search["importances"].items():
        assert re.search(rf"\| {name} +\| +{share:.0%} \|", own)
    values = [line.split("|")[2].strip() for line in own.splitlines() if re.match(r"\| (lr|weight_decay| ) ", line)]
    assert len(values) == 2 + 14  # importances, and seven values of each parameter
    lr = next(one for one in search["slices"] if one["name"] == "lr")
    assert f"{lr['low'][12]:.4f} to {lr['high'][12]:.4f}" in own
    assert "No change is shown along weight_decay" in own
    (best,) = search["best"]
    assert f"{best['scores'][4]:.4f}" in own
    assert "![The score along what was searched, and the best so far](searches.png)" in own


def test_the_picture_is_drawn(report: Path):
    assert (report / "searches.png").read_bytes().startswith(b"\x89PNG")
    assert (report / "searches.svg").read_text().count("<!-- weight_decay: no change shown -->") == 1


def test_the_page_has_the_section(report: Path, search: dict):
    with open_page((report / "index.html").as_uri()) as (shown, errors, requests):
        assert "Search" in shown.locator("h2").all_inner_texts()
        fields = shown.locator("#importances tbody tr td:nth-child(1)").all_inner_texts()
        assert fields == list(search["importances"])
        assert shown.locator("#slices tbody tr").count() == sum(len(one["values"]) for one in search["slices"])
        assert shown.locator("svg[aria-label='score along lr'] circle").count() == 12
        assert shown.locator("svg[aria-label='best so far'] path").count() == 1
        heading = shown.locator("#ranking-0 th", has_text="lr")
        heading.click()
        rates = [float(v) for v in shown.locator("#ranking-0 tbody tr td:nth-child(2)").all_inner_texts()]
        assert rates == sorted(rates, reverse=True)
        missing = shown.evaluate("document.getElementById('page').innerHTML.match(/NaN|undefined|\\[object/g)")
        wide = shown.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert (errors, missing, wide) == ([], None, 0)
    assert requests == [(report / "index.html").as_uri()]


def test_what_few_stopped_and_proposed_points_cannot_say_is_said(tmp_path: Path):
    storage = Storage(str(tmp_path / "few"))
    searched_study(storage, quality, points=9, state=lambda number: "STOPPED" if number > 3 else "COMPLETE")
    few = " ".join((write_report(storage, "study", tmp_path / "a")).read_text().split())
    assert "4 points of the search finished, and a model needs 8 different ones" in few
    assert "9 points, 4 finished, 5 stopped early." in few
    assert "5 stopped points had a smaller budget" in few
    storage = Storage(str(tmp_path / "optuna"))
    searched_study(storage, quality, search=Optuna(12), asked=Random(12).ask(SPACE, []), train=300)
    proposed = " ".join((write_report(storage, "study", tmp_path / "b")).read_text().split())
    assert "optuna proposes points where earlier ones scored well" in proposed


def test_a_search_of_which_nothing_has_finished_has_a_report(tmp_path: Path):
    storage = Storage(str(tmp_path / "store"))
    searched_study(storage, quality, points=4, state=lambda number: None)
    text = write_report(storage, "study", tmp_path / "out").read_text()
    assert "0 points of the search finished" in text
    assert "none has finished" in text


def test_cells_with_other_ranges_have_parts_of_their_own(tmp_path: Path):
    storage = Storage(str(tmp_path / "store"))
    searched_study(storage, quality, points=9, cells=({}, {"loss": "focal"}), train=300)
    sweep = read_sweep(storage, "study")
    assert sweep is not None
    narrower = {**sweep.search["raw / resnet18 / focal"].space, "lr": "loguniform(1e-05,0.06)"}
    focal = replace(sweep.search["raw / resnet18 / focal"], space=narrower)
    write_sweep(storage, replace(sweep, search={**sweep.search, "raw / resnet18 / focal": focal}))
    report = write_report(storage, "study", tmp_path / "out")
    own = section(report.read_text(), "Search")
    assert "### In `raw / resnet18 / bce`" in own
    assert "### In `raw / resnet18 / focal`" in own
    assert "lr (1e-05 to 0.06, log scale)" in own
    with open_page((report.parent / "index.html").as_uri()) as (shown, errors, _):
        names = shown.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert errors == []
    assert len(names) == len(set(names))
