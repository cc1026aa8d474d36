import json
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from swath.core.errors import InputError
from swath.report import dashboard
from swath.report.dashboard import Dashboard, live, serve
from swath.store.cluster_state import ClusterState, forget_state, read_state, write_state
from swath.store.layout import contact_key
from swath.store.storage import Storage
from swath.store.sweeps import ListedEntry, read_sweep, write_sweep
from tests.support.browser import open_page
from tests.support.dashboard import served
from tests.support.fake_store import FakeTask, FakeTrial, write_study, write_trial

TASK = FakeTask()


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """Two trials done, one running, one to come."""
    monkeypatch.setattr(dashboard, "FRESH_S", 0.05)
    storage = Storage(str(tmp_path))
    states = ["COMPLETE", "COMPLETE", "RUNNING", None]
    trials = [FakeTrial(seed=seed, state=state, quality=1 + seed / 4) for seed, state in enumerate(states)]
    write_study(storage, [TASK], {"scenes": trials}, rule="")
    return storage


def read(url: str, etag: str = "") -> tuple[int, dict, str]:
    request = urllib.request.Request(f"{url}/report.json", headers={"If-None-Match": etag} if etag else {})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer), answer.headers["ETag"]
    except urllib.error.HTTPError as error:
        return error.code, {}, ""


def eventually(check, seconds: float = 30):
    end = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)
    return found


def test_numbers_follow_the_store(storage: Storage):
    with served(storage) as url:
        first = eventually(lambda: (n := read(url)[1])["tasks"][0]["cells"] and n)
        assert first["counts"] == {"COMPLETE": 2, "UNFINISHED": 1, "NOT RUN": 1}
        assert first["tasks"][0]["cells"][0]["seeds"] == 2
        assert first["live"]["epochs_left"] == 2 + 4
        running = next(t for t in first["tasks"][0]["trials"] if t["state"] == "UNFINISHED")
        assert running["epochs"] == 2
        assert running["left_s"] == 20.0
        write_trial(storage, TASK, FakeTrial(seed=2, quality=1.5))
        later = eventually(lambda: (n := read(url)[1])["tasks"][0]["cells"][0]["seeds"] == 3 and n)
        assert later["counts"] == {"COMPLETE": 3, "NOT RUN": 1}


def test_pictures_are_asked_for_once_and_by_name(storage: Storage):
    sheet = cv2.imencode(".jpg", np.full((40, 80, 3), 200, np.uint8))[1].tobytes()
    storage.write(contact_key("abc"), sheet)
    sweep = read_sweep(storage, "study")
    assert sweep
    write_sweep(storage, replace(sweep, entries=(ListedEntry(key="abc", title="raw", chain="raw", part="train"),)))
    with served(storage) as url:
        found = eventually(lambda: (n := read(url)[1])["sheets"] and n)
        with urllib.request.urlopen(f"{url}/{found['sheets'][0]['picture']}") as answer:
            assert answer.headers["Content-Type"] == "image/webp"
            assert cv2.imdecode(np.frombuffer(answer.read(), np.uint8), cv2.IMREAD_COLOR).shape == (40, 80, 3)
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{url}/pictures/none")


def test_the_page_updates_without_being_loaded_again(storage: Storage):
    with (
        served(storage) as url,
        open_page(url, script="window.SWATH_EVERY_MS = 150") as (shown, errors, requests),
    ):
        shown.wait_for_selector("#ranking-0", timeout=30_000)
        shown.wait_for_function("document.querySelector('#states-summary').innerText.includes('2 complete')")
        assert "2 of 4" in shown.locator("#running").locator("xpath=following-sibling::*").nth(1).inner_text()
        shown.fill("#filter-0", "raw")
        write_trial(storage, TASK, FakeTrial(seed=2, quality=1.5))
        shown.wait_for_function(
            "document.querySelector('#states-summary').innerText.includes('3 complete')", timeout=30_000
        )
        shown.wait_for_function("document.querySelector('#ranking-0 tbody').innerText.includes('3 of 4')")
        assert shown.input_value("#filter-0") == "raw"
        assert shown.evaluate("document.activeElement.id") == "filter-0"
        assert errors == []
        assert all(request.startswith(url) for request in requests)
        assert sum(request.rstrip("/") == url for request in requests) == 1


def test_the_cluster_is_on_the_page_while_its_driver_works(storage: Storage):
    """Of this machine only at first; then what the driver says, the link to Ray's dashboard included; then silence."""
    with (
        served(storage) as url,
        open_page(url, script="window.SWATH_EVERY_MS = 150") as (shown, errors, _),
    ):
        summary = shown.locator("#running").locator("xpath=following-sibling::*").nth(0)
        assert "memory used here" in summary.inner_text()
        assert "in use" not in summary.inner_text()
        state = ClusterState({"CPU": 6.0, "GPU": 1.5}, {"CPU": 8.0, "GPU": 2.0}, 2, 1, "http://127.0.0.1:8265")
        write_state(storage, "study", state)
        shown.wait_for_selector("text=Ray's dashboard", timeout=30_000)
        said = " ".join(summary.inner_text().split())
        assert "CPUs in use 6 of 8" in said
        assert "GPUs in use 1.5 of 2" in said
        assert "nodes 2, 1 lost" in said
        assert shown.get_attribute("text=Ray's dashboard", "href") == "http://127.0.0.1:8265"
        write_state(storage, "study", replace(state, written=time.time() - 300))
        shown.wait_for_function("document.body.innerText.includes('not heard of for 5 min')", timeout=30_000)
        assert shown.locator("text=Ray's dashboard").count() == 0
        write_state(storage, "study", replace(state, dashboard="javascript:alert(1)"))
        shown.wait_for_function("document.body.innerText.includes('6 of 8')", timeout=30_000)
        assert shown.locator("text=Ray's dashboard").count() == 0
        forget_state(storage, "study")
        shown.wait_for_function("!document.body.innerText.includes('in use')", timeout=30_000)
        assert errors == []


def test_a_state_that_cannot_be_read_is_none(storage: Storage):
    for data in (b"{", b'{"cpus": 3}', b"[]", b""):
        storage.write("sweeps/study/cluster.json", data)
        assert read_state(storage, "study") is None


def test_an_unknown_sweep_is_an_error_before_anything_is_served(storage: Storage):
    with pytest.raises(InputError, match="study"):
        serve(Dashboard(storage, "studies"), "127.0.0.1", 0, print)


def test_time_left_divides_the_epochs_among_what_runs():
    def trial(state, epochs, at_work="", left=0.0):
        return {"state": state, "epochs": epochs, "epochs_planned": 10, "at_work": at_work, "left_s": left} | {
            "images_per_s": 30.0
        }

    trials = [
        trial("COMPLETE", 10),
        trial("UNFINISHED", 4, "host:1", 60.0),
        trial("UNFINISHED", 8, "host:2", 20.0),
        trial("NOT RUN", 0),
    ]
    found = live({"tasks": [{"trials": trials}]}, {})
    assert found["images_per_s"] == 60
    assert found["epochs_left"] == 6 + 2 + 10
    assert found["left_s"] == pytest.approx(18 * 10 / 2)
    assert found["left_device_s"] == pytest.approx(18 * 10)
