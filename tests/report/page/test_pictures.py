import base64
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from swath.config.chains import ops_label
from swath.config.ops import Grayscale, Op, Resize
from swath.preprocess.cache import entry as caches
from swath.preprocess.cache.entry import EntryPlan
from swath.preprocess.contact_sheet import contact_sheet
from swath.report.page import pictures as page_pictures
from swath.report.page.pictures import with_pictures
from swath.report.write import write_report
from swath.store.file_hashes import file_digest
from swath.store.layout import contact_key
from swath.store.storage import Storage
from tests.support.browser import open_page
from tests.support.fake_store import FakeTask, FakeTrial, Study, write_study

SIDE = 160


@dataclass
class Pictured:
    """A study whose images are in the cache: plain colours, raw and grayscale, the second chain better."""

    study: Study
    plans: dict[str, EntryPlan]
    colours: dict[str, tuple[int, int, int]]


@pytest.fixture
def pictured(tmp_path: Path) -> Pictured:
    storage, task = Storage(str(tmp_path / "store")), FakeTask()
    rng = np.random.default_rng(0)
    ids = task.train_ids(task.record.part("train"))
    colours = {id_: tuple(rng.integers(0, 256, 3).tolist()) for id_ in ids}
    for id_, colour in colours.items():
        cv2.imwrite(str(tmp_path / f"{id_}.png"), np.full((16, 16, 3), colour[::-1], np.uint8))
    paths = tuple(str(tmp_path / f"{id_}.png") for id_ in ids)

    def built(*chain: Op) -> EntryPlan:
        plan = EntryPlan("train", (*chain, Resize(SIDE)), paths, tuple(ids), tuple(map(file_digest, paths)))
        for number in range(len(plan.shards())):
            caches.build_shard(storage.child("cache"), plan, number)
        caches.finish(storage.child("cache"), plan)
        storage.write(contact_key(plan.key), contact_sheet(storage.child("cache"), plan))
        return plan

    plans = {"raw": built(), "grayscale|sharpen": built(Grayscale())}
    trials = [
        FakeTrial(name, quality=quality, entry={"entries": [plan.key]})
        for (name, plan), quality in zip(plans.items(), (1.0, 3.0), strict=True)
    ]
    entries = [
        {"key": p.key, "title": p.describe(), "chain": ops_label(p.chain), "part": "train", "steps": []}
        for p in plans.values()
    ]
    study = write_study(storage, [task], {"scenes": trials}, rule="", extra={"entries": entries})
    return Pictured(study, plans, colours)


def embedded(report: Path) -> dict:
    """The numbers inside index.html."""
    text = (report / "index.html").read_text()
    return json.loads(text.split('id="numbers">')[1].split("</script>")[0])


def image_of(uri: str) -> np.ndarray:
    data = base64.b64decode(uri.removeprefix("data:image/webp;base64,"))
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def test_mistakes_are_shown_as_the_best_model_saw_them(pictured: Pictured, tmp_path: Path):
    report = write_report(pictured.study.storage, "study", tmp_path / "report").parent
    mistakes = embedded(report)["tasks"][0]["mistakes"]
    assert mistakes
    for mistake in mistakes:
        image = image_of(mistake["picture"])
        assert image.shape == (128, 128, 3)
        grey = np.dot(pictured.colours[mistake["id"]], [0.299, 0.587, 0.114])
        assert np.abs(image.astype(float) - grey).max() < 4
        assert mistake["chain"].startswith("grayscale")
    assert "data:image" not in (report / "report.json").read_text()


def test_another_cell_lends_its_entry(pictured: Pictured, tmp_path: Path):
    pictured.study.storage.delete(f"cache/{pictured.plans['grayscale|sharpen'].key}")
    mistakes = embedded(write_report(pictured.study.storage, "study", tmp_path / "report").parent)["tasks"][0][
        "mistakes"
    ]
    for mistake in mistakes:
        assert np.abs(image_of(mistake["picture"]).astype(float) - pictured.colours[mistake["id"]]).max() < 8


def test_pages_differ_in_nothing_else_without_a_cache(pictured: Pictured, tmp_path: Path):
    storage = pictured.study.storage
    shard = storage.file(f"cache/{pictured.plans['grayscale|sharpen'].key}/shard-00000.npy")
    shard.write_bytes(shard.read_bytes()[:200])  # damaged: the other entry serves
    write_report(storage, "study", tmp_path / "damaged")
    storage.delete("cache")
    storage.delete("contacts")
    report = write_report(storage, "study", tmp_path / "report").parent
    found = embedded(report)
    assert found["sheets"] == []
    assert not any("picture" in m for m in found["tasks"][0]["mistakes"])
    assert all("picture" in m for m in embedded(tmp_path / "damaged")["tasks"][0]["mistakes"])


def test_contact_sheets_are_on_the_page_up_to_a_bound(
    pictured: Pictured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    report = write_report(pictured.study.storage, "study", tmp_path / "report").parent
    sheets = embedded(report)["sheets"]
    assert [s["title"] for s in sheets] == [p.describe() for p in pictured.plans.values()]
    assert all(image_of(s["picture"]).shape[1] == 1180 for s in sheets)
    with open_page((report / "index.html").as_uri()) as (shown, errors, requests):
        widths = shown.evaluate("[...document.images].map((i) => i.naturalWidth)")
        assert widths == [128] * len(embedded(report)["tasks"][0]["mistakes"]) + [1180, 1180]
        assert shown.locator("#sheets").inner_text() == "Preprocessing"
        assert errors == []
        assert [r for r in requests if not r.startswith("data:")] == [(report / "index.html").as_uri()]
    first = len(base64.b64decode(sheets[0]["picture"].split(",")[1]))
    monkeypatch.setattr(page_pictures, "SHEETS_BYTES", first)
    results = pictured.study.read()
    few = with_pictures({"tasks": []}, results.storage, results.sweep)
    assert [s["title"] for s in few["sheets"]] == [sheets[0]["title"]]
    assert few["sheets_left_out"] == 1
