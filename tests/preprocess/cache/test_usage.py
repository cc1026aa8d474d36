"""`swath cache ls` and `rm`, contact sheets, and what a disk must hold."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from swath import Sweep, grid, ops
from swath.cli.main import command
from swath.core.errors import InputError
from swath.engine.driver import run
from swath.engine.inline import InlineEngine
from swath.plan.disk_space import PNG_SHARE, bytes_to_build, steps_bytes
from swath.plan.progress import Progress
from swath.preprocess.cache.entry import is_built
from swath.preprocess.cache.usage import chosen, list_cached, remove
from swath.preprocess.contact_sheet import CELL_PX, IMAGES
from swath.preprocess.image_files import read_image
from swath.report.write import write_report
from swath.store.layout import contact_key
from swath.store.lease import Lease
from swath.store.storage import Locations, Storage
from tests.support.planned import planned_sweep


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, layout: Path) -> Progress:
    """A finished sweep of two chains."""
    from swath import Backbone, Recipe, holdout, tasks

    sweep = Sweep(
        name="study",
        task=tasks.DaconSatellite(str(layout)),
        split=holdout(0.25),
        preprocess=grid((), (ops.Grayscale(3),)),
        backbone=Backbone("test_resnet", pretrained=False),
        recipe=Recipe(epochs=1, batch_size=8, image_size=32),
    )
    progress = planned_sweep(sweep, Locations.of(str(tmp_path_factory.mktemp("store"))))
    run(progress, InlineEngine(), lambda line: None)
    return progress


def test_ls_tells_what_there_is_and_who_uses_it(ran: Progress, capsys: pytest.CaptureFixture[str]) -> None:
    storage = ran.plan.locations.storage
    storage.write("cache/0123abcd/shard-00000.npy", b"x" * 1000)
    found = {c.key: c for c in list_cached(storage)}
    assert set(found) == {e.key for e in ran.plan.entries()} | {"0123abcd"}
    for entry in ran.plan.entries():
        own = found[entry.key]
        assert (own.state, own.images, own.part) == ("ready", len(entry.ids), entry.part)
        assert own.size_bytes >= entry.bytes
        assert (own.sweeps, own.trials, own.open_trials) == (("study",), 1, 0)
    assert (found["0123abcd"].state, found["0123abcd"].sweeps) == ("unfinished", ())
    command(["cache", "ls", "--storage", storage.root])
    out = capsys.readouterr().out
    assert "grayscale(channels=3)" in out
    assert "used by study (1 trials, 0 to run)" in out
    assert "used by no sweep" in out
    storage.delete("cache/0123abcd")


def test_rm_frees_what_was_asked_for_and_nothing_that_is_being_built(
    ran: Progress, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    shutil.copytree(ran.plan.locations.storage.root, tmp_path / "store")
    storage, local = Storage(str(tmp_path / "store")), tmp_path / "local"
    raw, gray = ran.plan.trials[0].entries["train"].key, ran.plan.trials[1].entries["train"].key
    shutil.copytree(tmp_path / "store/cache" / gray, local / gray)
    storage.write("cache/0123abcd/shard-00000.npy", b"x" * 1000)
    here = ["--storage", storage.root, "--cache", str(local)]
    command(["cache", "rm", "--unused", "--dry-run", *here])
    assert "1.0 kB would be freed" in capsys.readouterr().out
    assert storage.exists("cache/0123abcd/shard-00000.npy")
    command(["cache", "rm", "--unused", *here])
    assert "0123abcd" not in storage.names("cache")
    assert {raw, gray} <= set(storage.names("cache"))
    command(["cache", "rm", gray[:8], *here])
    assert gray not in storage.names("cache")
    assert not (local / gray).exists()
    assert is_built(storage.child("cache"), raw)
    lease = Lease(storage, f"cache/{raw}/lease.json")
    lease.heartbeat()
    other = storage.read(f"cache/{raw}/lease.json").replace(b'"host": "', b'"host": "other-')
    storage.write(f"cache/{raw}/lease.json", other)
    with pytest.raises(InputError, match="is being built"):
        chosen(list_cached(storage), [raw], "", unused=False)
    for keys, chain in (((), ""), (("ffff",), ""), ((), "sharpn")):
        with pytest.raises(InputError, match=r"say what to remove|no entry 'ffff'|no chain 'sharpn'. It has: "):
            chosen(list_cached(storage), keys, chain, unused=False)
    remove(storage, [c for c in list_cached(storage) if c.key == raw], None)
    assert raw not in storage.names("cache")


def test_a_contact_sheet_shows_images_before_and_after(ran: Progress, tmp_path: Path) -> None:
    entry = ran.plan.trials[1].entries["train"]
    data = ran.plan.locations.storage.read(contact_key(entry.key))
    sheet = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert sheet is not None
    assert sheet.shape[1] == IMAGES * (CELL_PX + 6) + 6
    first = cv2.resize(read_image(entry.paths[0]), (CELL_PX, CELL_PX), interpolation=cv2.INTER_NEAREST)
    assert np.abs(sheet[6 : 6 + CELL_PX, 6 : 6 + CELL_PX].astype(int) - first).mean() < 12  # JPEG
    below = sheet[12 + CELL_PX : 12 + 2 * CELL_PX, 6 : 6 + CELL_PX].astype(int)
    assert np.ptp(below, axis=2).mean() < 4, "gray"
    board = write_report(ran.plan.locations.storage, "study", tmp_path).read_text()
    assert "## Preprocessing" in board
    assert f"contact-{entry.key[:12]}.jpg" in board
    assert (tmp_path / f"contact-{entry.key[:12]}.jpg").read_bytes() == data


def test_disk_needs_count_the_results_of_models(make_sweep: Callable[..., Sweep], tmp_path: Path, layout: Path) -> None:
    weights = tmp_path / "model.pth"
    weights.write_bytes(b"some")
    sweep = make_sweep(preprocess=(ops.SuperRes(4, "compact", str(weights)),))
    progress = planned_sweep(sweep, Locations.of(str(tmp_path / "store")))
    assert steps_bytes(progress.plan.locations.cache, progress.plan.entries()) == round(
        60 * 40 * 40 * 3 * 16 * PNG_SHARE
    )
    assert (
        bytes_to_build(progress.cache_needs())
        == steps_bytes(progress.plan.locations.cache, progress.plan.entries()) + 60 * 32 * 32 * 3
    )


def test_a_damaged_manifest_is_listed_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    storage = Storage(str(tmp_path))
    storage.write("cache/0123abcd/manifest.json", b'{"chain": "raw"')
    command(["cache", "ls", "--storage", storage.root])
    assert capsys.readouterr().out.splitlines()[0].split()[:2] == ["0123abcd", "damaged"]
