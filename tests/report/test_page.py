import json
from pathlib import Path

import pytest
from browser import open_page
from fake_store import Study

from swath.report.page import page
from swath.report.write import write_report


@pytest.fixture(scope="module")
def report(two_tasks: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a sweep on two tasks."""
    return write_report(two_tasks.storage, "study", tmp_path_factory.mktemp("page")).parent


@pytest.fixture(scope="module")
def one_task(scenes: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(scenes.storage, "study", tmp_path_factory.mktemp("page1")).parent


def column(page, table: str, number: int) -> list[str]:
    return page.locator(f"#{table} tbody tr td:nth-child({number})").all_inner_texts()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_opens_from_disk_without_errors_or_requests(report: Path, scheme: str):
    with open_page((report / "index.html").as_uri(), scheme) as (shown, errors, requests):
        titles = shown.locator("h2").all_inner_texts()
        ground = shown.evaluate("getComputedStyle(document.body).backgroundColor")
        missing = shown.evaluate("document.getElementById('page').innerHTML.match(/NaN|undefined|\\[object/g)")
    assert errors == []
    assert requests == [(report / "index.html").as_uri()]
    assert {"Ranking: scenes", "Ranking: birds", "Ensembles: birds", "Labels: birds", "How to reproduce"} <= set(titles)
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    assert missing is None


def test_a_click_on_a_heading_sorts_and_a_second_one_turns_the_order(one_task: Path):
    cells = json.loads((one_task / "report.json").read_text())["tasks"][0]["cells"]
    scores = [f"{c['score']:.4f}" for c in cells]
    with open_page((one_task / "index.html").as_uri()) as (shown, errors, _):
        assert column(shown, "ranking-0", 5) == scores
        heading = shown.locator("#ranking-0 th", has_text="macro mAP")
        heading.click()
        assert column(shown, "ranking-0", 5) == sorted(scores, reverse=True)
        heading.click()
        assert column(shown, "ranking-0", 5) == sorted(scores)
        assert heading.get_attribute("aria-sort") == "ascending"
        backbone = shown.locator("#ranking-0 th", has_text="backbone")
        backbone.focus()
        shown.keyboard.press("Enter")
        assert column(shown, "ranking-0", 3) == sorted(c["factors"]["backbone"] for c in cells)
        assert errors == []


def test_cells_are_shown_by_other_metrics(one_task: Path):
    cells = json.loads((one_task / "report.json").read_text())["tasks"][0]["cells"]
    with open_page((one_task / "index.html").as_uri()) as (shown, errors, _):
        heads = shown.locator("#others-0 th").all_inner_texts()
        for name, title in (("pr_auc", "PR-AUC"), ("micro_f1", "micro F1"), ("bce", "BCE")):
            assert column(shown, "others-0", heads.index(title) + 1) == [f"{c['scores'][name]:.4f}" for c in cells]
        assert errors == []


def test_cells_are_filtered_by_text_and_by_level(one_task: Path):
    cells = json.loads((one_task / "report.json").read_text())["tasks"][0]["cells"]
    with open_page((one_task / "index.html").as_uri()) as (shown, errors, _):
        shown.fill("#filter-0", "VIT")
        assert column(shown, "ranking-0", 3) == ["vit"] * sum("vit" in c["cell"] for c in cells)
        shown.select_option("select[aria-label=preprocess]", "raw")
        wanted = [c for c in cells if c["factors"]["backbone"] == "vit" and c["factors"]["preprocess"] == "raw"]
        assert len(column(shown, "ranking-0", 2)) == len(wanted) > 0
        shown.fill("#filter-0", "no such cell")
        assert column(shown, "ranking-0", 2) == []
        assert shown.locator("#shown-0").inner_text().startswith(f"0 of {len(cells)}")
        assert errors == []


def test_every_trial_and_ensemble_is_on_the_page(one_task: Path):
    task = json.loads((one_task / "report.json").read_text())["tasks"][0]
    with open_page((one_task / "index.html").as_uri()) as (shown, _, _):
        assert column(shown, "ensembles", 1) == [e["name"] for e in task["ensembles"]]
        states = column(shown, "states", 4)
    others = [t["state"].lower() for t in task["trials"] if t["state"] not in ("COMPLETE", "UNFINISHED")]
    assert sorted(states) == sorted(others)


def test_text_of_a_sweep_is_never_taken_for_markup(one_task: Path, tmp_path: Path):
    numbers = json.loads((one_task / "report.json").read_text())
    evil = "</script><img src=x onerror=\"document.title='taken'\">"
    numbers["sweep"] = evil
    numbers["tasks"][0]["cells"][0]["factors"]["backbone"] = evil
    numbers["tasks"][0]["headline"] = [evil]
    path = tmp_path / "index.html"
    path.write_text(page(numbers))
    with open_page(path.as_uri()) as (shown, errors, requests):
        shown.wait_for_timeout(100)
        assert shown.locator("h1").inner_text() == evil
        assert column(shown, "ranking-0", 3)[0] == evil
        assert shown.title() == f"{evil} - swath"
        assert errors == []
        assert requests == [path.as_uri()]
