from pathlib import Path

import cv2
import numpy as np
import pytest

from swath.config.ops import Grayscale, Op, Resize
from swath.core.errors import DamagedError, StoreError
from swath.preprocess.cache import entry as caches
from swath.preprocess.cache.entry import EntryPlan
from swath.preprocess.cache.manifest import is_built
from swath.preprocess.cache.reader import drop_damaged, entry_images, open_entry
from swath.preprocess.image_files import read_image
from swath.preprocess.transforms import apply
from swath.store.file_hashes import file_digest
from swath.store.storage import Storage


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for i in range(40):
        cv2.imwrite(str(tmp_path / f"{i}.png"), rng.integers(0, 256, (20, 24, 3), dtype=np.uint8))
    (tmp_path / "7.png").write_bytes(b"no picture")
    return tmp_path


def built(cache: Storage, folder: Path, *chain: Op) -> EntryPlan:
    paths = tuple(str(folder / f"{i}.png") for i in range(40))
    ids = tuple(f"id{i}" for i in range(40))
    plan = EntryPlan("train", (*chain, Resize(12)), paths, ids, tuple(map(file_digest, paths)))
    for number in range(len(plan.shards())):
        caches.build_shard(cache, plan, number)
    caches.finish(cache, plan)
    return plan


@pytest.mark.parametrize("chain", [(), (Grayscale(),)])
def test_single_images_are_those_of_the_entry(
    storage: Storage, folder: Path, chain: tuple[Op, ...], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(caches, "SHARD_BYTES", 1)  # three shards
    plan = built(storage, folder, *chain)
    found = entry_images(storage, plan.key, ["id39", "id0", "id15", "id16", "id7", "elsewhere"])
    assert set(found) == {"id39", "id0", "id15", "id16"}
    for id_, image in found.items():
        np.testing.assert_array_equal(image, apply(read_image(str(folder / f"{id_[2:]}.png")), plan.chain))


def test_what_is_not_there_has_no_images(tmp_path: Path, folder: Path):
    cache = Storage(str(tmp_path / "cache"))
    assert entry_images(cache, "nothing", ["id0"]) == {}
    plan = built(cache, folder)
    cache.delete(f"{plan.key}/manifest.json")
    assert entry_images(cache, plan.key, ["id0"]) == {}


@pytest.mark.parametrize("content", [b'{"chain": "raw"', b'{"chain": 3}', b""])
def test_a_damaged_manifest_is_written_again_from_the_receipts(tmp_path: Path, folder: Path, content: bytes):
    cache = Storage(str(tmp_path / "cache"))
    plan = built(cache, folder)
    written = cache.read(f"{plan.key}/manifest.json")
    cache.write(f"{plan.key}/manifest.json", content)
    assert drop_damaged(cache, plan.key) == ["manifest.json"]
    assert not is_built(cache, plan.key)
    assert caches.missing_shards(cache, plan) == []
    caches.finish(cache, plan)
    assert cache.read(f"{plan.key}/manifest.json") == written
    cache.write(f"{plan.key}/manifest.json", content)
    with pytest.raises(DamagedError, match=r"manifest.json of cache entry .* is not what was built"):
        open_entry(cache, plan.key, None)
    assert not is_built(cache, plan.key)


def test_a_manifest_of_a_newer_swath_is_left_alone(tmp_path: Path, folder: Path):
    cache = Storage(str(tmp_path / "cache"))
    plan = built(cache, folder)
    newer = cache.read(f"{plan.key}/manifest.json").replace(b'"schema": 1', b'"schema": 99')
    cache.write(f"{plan.key}/manifest.json", newer)
    for read in (lambda: drop_damaged(cache, plan.key), lambda: open_entry(cache, plan.key, None)):
        with pytest.raises(StoreError, match="written by a newer swath"):
            read()
    assert cache.read(f"{plan.key}/manifest.json") == newer
