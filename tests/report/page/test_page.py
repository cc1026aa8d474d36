import json
from pathlib import Path

import pytest

from swath.report.page import page
from swath.report.write import write_report
from tests.support.browser import open_page
from tests.support.fake_store import Study


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


def test_names_of_elements_are_used_once(report: Path):
    with open_page((report / "index.html").as_uri()) as (shown, _, _):
        ids = shown.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
        targets = shown.evaluate("[...document.querySelectorAll('nav a')].map((e) => e.getAttribute('href').slice(1))")
    assert len(ids) == len(set(ids))
    assert set(targets) <= set(ids)


def test_interactions_have_their_intervals_and_factors_their_shares(one_task: Path):
    task = json.loads((one_task / "report.json").read_text())["tasks"][0]
    found = task["matched_trials"]["interactions"]
    with open_page((one_task / "index.html").as_uri()) as (shown, errors, _):
        assert len(column(shown, "interaction-table", 1)) == len(found) > 0
        differences = [float(t.replace("−", "-")) for t in column(shown, "interaction-table", 5)]
        assert sorted(differences) == pytest.approx(sorted(100 * i["estimate"]["difference"] for i in found), abs=0.006)
        bars = shown.locator("svg[aria-label='shares of variance'] rect").count()
        assert bars == len(task["matched_trials"]["shares"]["parts"])
        assert column(shown, "rungs", 1)
        assert errors == []


def test_the_curve_is_that_of_the_weakest_label_until_another_is_chosen(one_task: Path):
    rows = json.loads((one_task / "report.json").read_text())["tasks"][0]["per_label"]
    weakest = min(rows, key=lambda r: r["best"])["label"]
    with open_page((one_task / "index.html").as_uri()) as (shown, errors, _):
        assert shown.input_value("#curve") == weakest
        assert shown.locator(f"svg[aria-label='precision and recall of {weakest}']").count() == 1
        other = next(r["label"] for r in rows if r["label"] != weakest)
        shown.select_option("#curve", other)
        assert shown.locator(f"svg[aria-label='precision and recall of {other}']").count() == 1
        shown.evaluate("draw(numbers)")  # what a live update does
        assert shown.input_value("#curve") == other
        assert shown.locator(f"svg[aria-label='precision and recall of {other}']").count() == 1
        shown.select_option("#colour", "loss")
        assert shown.locator("#curves ~ div .legend").first.inner_text().split() == ["bce", "focal"]
        assert errors == []


@pytest.mark.parametrize("width", [1280, 718])  # a laptop, and A4 less its margins
def test_nothing_is_wider_than_the_page(report: Path, one_task: Path, width: int):
    for folder in (report, one_task):
        with open_page((folder / "index.html").as_uri()) as (shown, _, _):
            shown.set_viewport_size({"width": width, "height": 900})
            shown.emulate_media(media="screen" if width == 1280 else "print")
            assert shown.evaluate("document.documentElement.scrollWidth") == width
            drawn = "[...document.querySelectorAll('main table, main svg')]"
            wide = f"{drawn}.filter((e) => e.getBoundingClientRect().right > innerWidth)"
            assert shown.evaluate(f"{wide}.map((e) => e.id || e.ariaLabel)") == []


def test_print_is_light_whatever_the_screen(one_task: Path):
    with open_page((one_task / "index.html").as_uri(), "dark") as (shown, _, _):
        dark = shown.evaluate("getComputedStyle(document.body).color")
        shown.emulate_media(media="print", color_scheme="dark")
        assert shown.evaluate("getComputedStyle(document.body).color") == "rgb(29, 36, 48)" != dark
        assert shown.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
        assert shown.pdf(format="A4").startswith(b"%PDF")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(report: Path, scheme: str):
    """Contrast of every text colour with what is behind it, as WCAG 2 defines it: 4.5 for text."""
    with open_page((report / "index.html").as_uri(), scheme) as (shown, _, _):
        names = ("ink", "soft", "accent", "good", "bad", "warn", "ground", "panel", "mark")
        style = "getComputedStyle(document.documentElement).getPropertyValue('--%s').trim()"
        colours = {name: shown.evaluate(style % name) for name in names}
    low = {
        (text, ground): contrast(colours[text], colours[ground])
        for text, grounds in {
            "ink": ("ground", "panel", "mark"),
            "soft": ("ground", "panel"),
            "accent": ("ground", "panel"),
            "good": ("ground", "mark"),
            "bad": ("ground", "mark"),
        }.items()
        for ground in grounds
        if contrast(colours[text], colours[ground]) < 4.5
    }
    assert low == {}


def contrast(one: str, other: str) -> float:
    lights = []
    for colour in (one, other):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        lights.append(0.2126 * r + 0.7152 * g + 0.0722 * b)
    return (max(lights) + 0.05) / (min(lights) + 0.05)


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
