import io
import json
import os
import re
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from swath.config.ops import Grayscale, Op, Resize, Sharpen
from swath.core.errors import DamagedError, StoreError
from swath.preprocess.cache import entry as cache_module
from swath.preprocess.cache.entry import EntryPlan, bad_images, build_shard, finish, is_built, missing_shards
from swath.preprocess.cache.reader import open_entry
from swath.preprocess.image_files import read_image
from swath.preprocess.transforms import apply
from swath.store.file_hashes import file_digest
from swath.store.storage import Storage

IMAGES = 50  # four shards: shards of 16, the least, and a short one
Planner = Callable[..., EntryPlan]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "SHARD_BYTES", 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifty small images of many shapes."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for i in range(IMAGES):
        cv2.imwrite(str(folder / f"{i}.png"), rng.integers(0, 256, (10 + i % 7, 9 + i % 5, 3), dtype=np.uint8))
    return folder


def digest_now(path: str) -> str:
    """What planning enters for a file: its content hash, "" where it cannot be read."""
    return file_digest(path) if Path(path).is_file() else ""


@pytest.fixture
def make_plan(folder: Path) -> Planner:
    def make(*chain: Op, size: int = 12) -> EntryPlan:
        ids = tuple(f"id{i}" for i in range(IMAGES))
        paths = tuple(str(folder / f"{i}.png") for i in range(IMAGES))
        return EntryPlan("train", (*chain, Resize(size)), paths, ids, tuple(map(digest_now, paths)))

    return make


def build(cache: Storage, plan: EntryPlan) -> dict[str, str]:
    """All missing shards, last first, then the manifest."""
    for number in reversed(missing_shards(cache, plan)):
        build_shard(cache, plan, number)
    return finish(cache, plan)


@pytest.mark.parametrize("chain", [(), (Grayscale(), Sharpen()), (Grayscale(3),)])
def test_an_entry_holds_what_applying_the_chain_gives(
    storage: Storage, make_plan: Planner, chain: tuple[Op, ...], tmp_path: Path
) -> None:
    plan = make_plan(*chain)
    assert len(plan.shards()) == 4
    assert build(storage, plan) == {}
    images = open_entry(storage, plan.key, None if storage.folder else tmp_path / "local")
    expected = np.stack([apply(read_image(path), plan.chain) for path in plan.paths])
    assert len(images) == IMAGES
    assert expected.shape == (IMAGES, *plan.image_shape)
    np.testing.assert_array_equal(images.take(range(IMAGES)), expected)


def test_images_are_taken_in_any_order_across_shards(tmp_path: Path, make_plan: Planner) -> None:
    cache, plan = Storage(str(tmp_path)), make_plan()
    build(cache, plan)
    images = open_entry(cache, plan.key, None)
    whole = images.take(range(IMAGES))
    rows = np.array([49, 0, 16, 15, 48, 31, 32, 0, 49, 7])  # the ends of shards, and rows twice
    np.testing.assert_array_equal(images.take(rows), whole[rows])
    np.testing.assert_array_equal(images.take([33]), whole[33:34])
    assert images.take([]).shape == (0, 12, 12, 3)
    taken = images.take(rows)
    taken[:] = 0  # a copy: training may change it, the cache may not
    np.testing.assert_array_equal(images.take(rows), whole[rows])


def test_shards_cover_every_row_once(make_plan: Planner, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan()
    assert [list(r) for r in plan.shards()] == [list(range(i, min(i + 16, 50))) for i in (0, 16, 32, 48)]
    assert plan.bytes == 50 * 12 * 12 * 3
    monkeypatch.setattr(cache_module, "SHARD_BYTES", 20 * 12 * 12 * 3)
    assert [len(r) for r in plan.shards()] == [20, 20, 10]
    monkeypatch.setattr(cache_module, "SHARD_BYTES", 10**12)
    assert plan.shard_rows == 1024
    assert [len(r) for r in plan.shards()] == [50]


def test_the_key_follows_from_what_decides_the_bytes(make_plan: Planner, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan(Sharpen())
    keys = {
        plan.key,
        make_plan().key,
        make_plan(Grayscale(), Sharpen()).key,
        make_plan(Sharpen(), Grayscale()).key,
        make_plan(Grayscale(3), Sharpen()).key,
        make_plan(Sharpen(), size=13).key,
        replace(plan, chain=(Sharpen(), Resize(12, "area"))).key,
        replace(plan, chain=(Sharpen(), Resize(12, aspect="pad"))).key,
        replace(plan, ids=("other", *plan.ids[1:])).key,
        replace(plan, digests=("other", *plan.digests[1:])).key,
        replace(plan, ids=plan.ids[:-1], digests=plan.digests[:-1], paths=plan.paths[:-1]).key,
        replace(plan, ids=plan.ids[::-1], digests=plan.digests[::-1], paths=plan.paths[::-1]).key,
    }
    for target, name in ((Sharpen, "version"), (Resize, "version"), (cache_module, "SCHEMA")):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, 99)
            keys.add(make_plan(Sharpen()).key)
    assert len(keys) == 15
    assert make_plan(Sharpen()).key == plan.key


def test_the_key_does_not_depend_on_where_the_images_lie_or_what_the_part_is_called(make_plan: Planner) -> None:
    plan = make_plan()
    assert replace(plan, part="test", paths=tuple(f"/elsewhere/{i}" for i in range(IMAGES))).key == plan.key


def test_a_chain_must_end_in_a_resize_of_known_size(make_plan: Planner) -> None:
    for chain in ((Sharpen(),), (Resize(0),)):
        with pytest.raises(ValueError, match="does not end in a resize of known size"):
            _ = replace(make_plan(), chain=chain).image_shape
    assert make_plan(Grayscale()).image_shape == (12, 12, 1)
    assert make_plan(Sharpen()).describe() == "sharpen, train, 50 images at 12 px"
    other = replace(make_plan(), chain=(Resize(12, "lanczos", "pad"),))
    assert other.describe() == "raw, train, 50 images at 12 px (lanczos, pad)"


def test_bad_images_are_zero_and_named_and_the_others_are_there(
    storage: Storage, make_plan: Planner, tmp_path: Path
) -> None:
    good = make_plan()
    empty, cut, text = tmp_path / "empty.png", tmp_path / "cut.jpg", tmp_path / "text.png"
    empty.touch()
    cut.write_bytes(cv2.imencode(".jpg", np.zeros((50, 50, 3), np.uint8))[1].tobytes()[:-30])
    text.write_text("no image")
    paths = list(good.paths)
    paths[3], paths[17], paths[18], paths[49] = str(empty), str(cut), str(text), str(tmp_path / "missing.png")
    plan = replace(good, paths=tuple(paths), digests=tuple(map(digest_now, paths)))
    bad = build(storage, plan)
    assert {k: v.partition(":")[0] for k, v in bad.items()} == {
        "id3": "is empty (zero bytes)",
        "id17": "cannot be decoded",
        "id18": "cannot be decoded",
        "id49": "could not be read",
    }
    assert bad_images(storage, plan.key) == bad
    images = open_entry(storage, plan.key, None if storage.folder else tmp_path / "local").take(range(IMAGES))
    assert [i for i in range(IMAGES) if not images[i].any()] == [3, 17, 18, 49]
    rest = [i for i in range(IMAGES) if i not in (3, 17, 18, 49)]
    np.testing.assert_array_equal(images[rest], np.stack([apply(read_image(good.paths[i]), good.chain) for i in rest]))


@pytest.mark.parametrize("change", ["gone", "changed"])
def test_what_changes_after_planning_is_an_error_and_never_kept(
    make_plan: Planner, folder: Path, tmp_path: Path, change: str
) -> None:
    plan, cache = make_plan(), Storage(str(tmp_path))
    image = folder / "5.png"
    before = image.read_bytes()
    try:
        image.unlink() if change == "gone" else image.write_bytes(before + b"x")
        with pytest.raises(StoreError, match=r"5\.png (was there when|has changed since).*[Ss]tart"):
            build_shard(cache, plan, 0)
    finally:
        image.write_bytes(before)
    assert missing_shards(cache, plan) == [0, 1, 2, 3]
    assert build(cache, plan) == {}


def test_a_killed_build_goes_on_with_the_missing_shards(storage: Storage, make_plan: Planner) -> None:
    plan = make_plan()
    assert missing_shards(storage, plan) == [0, 1, 2, 3]
    assert build_shard(storage, plan, 3) == 2
    assert build_shard(storage, plan, 1) == 16
    storage.write(f"{plan.key}/shard-00002.npy", b"written, but killed before its receipt")
    assert missing_shards(storage, plan) == [0, 2]
    assert not is_built(storage, plan.key)
    with pytest.raises(StoreError, match=rf"cache entry {plan.key} lacks 2 shards; start the sweep again"):
        finish(storage, plan)
    assert not is_built(storage, plan.key)
    with pytest.raises(StoreError, match=rf"cache entry {plan.key} is not finished in .*; start the sweep again"):
        open_entry(storage, plan.key, None)
    assert build(storage, plan) == {}
    assert is_built(storage, plan.key)
    assert missing_shards(storage, plan) == []


def test_building_a_shard_twice_gives_the_same_bytes(tmp_path: Path, make_plan: Planner) -> None:
    plan, one, other = make_plan(Sharpen()), Storage(str(tmp_path / "1")), Storage(str(tmp_path / "2"))
    for cache in (one, one, other):
        build_shard(cache, plan, 0)
    for name in one.names(plan.key):
        assert one.read(f"{plan.key}/{name}") == other.read(f"{plan.key}/{name}")


def test_a_shard_is_what_numpy_saves(tmp_path: Path, make_plan: Planner) -> None:
    plan, cache = make_plan(Sharpen()), Storage(str(tmp_path))
    build(cache, plan)
    saved = io.BytesIO()
    np.save(saved, np.stack([apply(read_image(path), plan.chain) for path in plan.paths[16:32]]))
    assert cache.read(f"{plan.key}/shard-00001.npy") == saved.getvalue()


def test_the_receipt_tells_what_was_written(tmp_path: Path, make_plan: Planner) -> None:
    plan, cache = make_plan(), Storage(str(tmp_path))
    build(cache, plan)
    data = cache.read(f"{plan.key}/shard-00003.npy")
    rows = [zlib.crc32(apply(read_image(path), plan.chain).tobytes()) for path in plan.paths[-2:]]
    manifest = json.loads(cache.read(f"{plan.key}/manifest.json"))
    assert manifest["shards"][3] == {"name": "shard-00003", "rows": 2, "crc32": rows, "bytes": len(data)}
    assert (manifest["image_shape"], manifest["dtype"]) == ([12, 12, 3], "uint8")
    assert (manifest["bad"], manifest["notes"]) == ({}, {})
    assert manifest["ids"] == list(plan.ids)


def test_a_local_copy_is_fetched_once_and_serves_without_the_source(
    storage: Storage, make_plan: Planner, tmp_path: Path
) -> None:
    plan, local = make_plan(), tmp_path / "local"
    build(storage, plan)
    first = open_entry(storage, plan.key, local).take(range(IMAGES))
    for number in range(4):
        storage.delete(f"{plan.key}/shard-{number:05d}.npy")
    np.testing.assert_array_equal(open_entry(storage, plan.key, local).take(range(IMAGES)), first)
    np.testing.assert_array_equal(first[0], apply(read_image(plan.paths[0]), plan.chain))


def test_a_damaged_shard_is_refused_and_leaves_no_finished_copy(
    storage: Storage, make_plan: Planner, tmp_path: Path
) -> None:
    plan, local = make_plan(), tmp_path / "local"
    build(storage, plan)
    key = f"{plan.key}/shard-00002.npy"
    good = storage.read(key)
    storage.write(key, good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(DamagedError, match=rf"shard-00002.npy of cache entry {plan.key} in .* is not what was built"):
        open_entry(storage, plan.key, local)
    assert not is_built(Storage(str(local)), plan.key)
    assert not is_built(storage, plan.key)
    assert missing_shards(storage, plan) == [2]
    assert build(storage, plan) == {}
    assert storage.read(key) == good
    assert len(open_entry(storage, plan.key, local)) == IMAGES


def test_a_damaged_local_copy_is_fetched_again(storage: Storage, make_plan: Planner, tmp_path: Path) -> None:
    plan, local = make_plan(), tmp_path / "local"
    build(storage, plan)
    first = open_entry(storage, plan.key, local).take(range(IMAGES))
    flip(local / plan.key / "shard-00001.npy")
    (local / plan.key / "shard-00003.npy").write_bytes(b"")
    with pytest.raises(DamagedError, match=r"shard-00001\.npy"):
        open_entry(storage, plan.key, local).take(range(IMAGES))
    np.testing.assert_array_equal(open_entry(storage, plan.key, local).take(range(IMAGES)), first)


def flip(path: Path, byte: int | None = None) -> None:
    """One bit of a file, in the middle of it; its size and time of change stay as they were."""
    times = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if byte is None else byte] ^= 4
    path.write_bytes(bytes(data))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("harm", ["flipped", "header flipped", "cut short", "gone"])
def test_a_shard_that_is_mapped_in_place_is_checked_and_built_again(
    tmp_path: Path, make_plan: Planner, harm: str
) -> None:
    plan, cache = make_plan(Sharpen()), Storage(str(tmp_path))
    build(cache, plan)
    shard = tmp_path / plan.key / "shard-00001.npy"
    first, good = open_entry(cache, plan.key, None).take(range(IMAGES)), shard.read_bytes()
    if harm == "flipped":
        flip(shard)
    elif harm == "header flipped":
        flip(shard, good.index(b"|u1"))
    elif harm == "gone":
        shard.unlink()
    else:
        shard.write_bytes(good[:-1])
    with pytest.raises(DamagedError, match=r"shard-00001\.npy"):
        open_entry(cache, plan.key, None).take(range(IMAGES))
    assert missing_shards(cache, plan) == [1]
    build(cache, plan)
    assert shard.read_bytes() == good
    np.testing.assert_array_equal(open_entry(cache, plan.key, None).take(range(IMAGES)), first)


def test_damage_is_found_where_it_is_read_and_then_everywhere(tmp_path: Path, make_plan: Planner) -> None:
    plan, cache = make_plan(), Storage(str(tmp_path))
    build(cache, plan)
    sound = open_entry(cache, plan.key, None).take(range(IMAGES))
    for number in (1, 3):
        flip(tmp_path / plan.key / f"shard-{number:05d}.npy", -1)  # the last row of the shard
    images = open_entry(cache, plan.key, None)
    np.testing.assert_array_equal(images.take([30, 0]), sound[[30, 0]])  # its neighbour is sound
    with pytest.raises(DamagedError, match=r"shard-00001\.npy"):
        images.take([0, 31])
    assert missing_shards(cache, plan) == [1, 3], "all of the damage is made good at once"


def test_a_full_disk_is_said_and_leaves_nothing_that_counts(folder: Path, make_plan: Planner, tmp_path: Path) -> None:
    """A real file system of 64 kB: the first shards fit, the others do not."""
    script = """
import json, sys
from pathlib import Path
from swath.store.file_hashes import file_digest
from swath.core.errors import DamagedError, StoreError
from swath.config.ops import Resize
from swath.store.storage import Storage
from swath.preprocess.cache import entry as caches

caches.SHARD_BYTES = 1
paths = tuple(sys.argv[2:])
plan = caches.EntryPlan("train", (Resize(24),), paths, paths, tuple(map(file_digest, paths)))
cache = Storage(sys.argv[1])
try:
    for number in caches.missing_shards(cache, plan):
        caches.build_shard(cache, plan, number)
except StoreError as error:
    print(error)
here = Path(sys.argv[1], plan.key)
print(json.dumps([caches.missing_shards(cache, plan), sorted(p.name for p in here.iterdir())]))
"""
    place = tmp_path / "small"
    place.mkdir()
    # As root of a user namespace of its own a process may mount; there is no other way to a full disk in a test.
    inside = f'mount -t tmpfs -o size=64k tmpfs {place} && exec {sys.executable} -c "$0" {place} "$@"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", inside, script, *make_plan().paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip(f"this machine lets nobody mount a file system: {done.stderr.strip()}")
    message, state = done.stdout.splitlines()
    assert re.search(r"the disk of .*small is full: .*shard-0000\d.npy \([\d,]+ bytes\) was not written", message)
    assert "swath cache rm" in message
    missing, there = json.loads(state)
    assert 0 < len(missing) < 4
    assert missing == list(range(4 - len(missing), 4))
    assert there == [f"shard-{i:05d}.{end}" for i in range(4 - len(missing)) for end in ("json", "npy")]


def test_sixteen_bit_and_turned_images_reach_the_cache_as_read(tmp_path: Path) -> None:
    deep = np.random.default_rng(1).integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    turned = Image.new("RGB", (30, 20), (200, 0, 0))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    paths = (str(tmp_path / "deep.png"), str(tmp_path / "turned.png"))
    digests = tuple(map(file_digest, paths))
    plan, cache = EntryPlan("train", (Resize(16, aspect="pad"),), paths, ("a", "b"), digests), Storage(str(tmp_path))
    assert build(cache, plan) == {}
    images = open_entry(cache, plan.key, None).take([0, 1])
    eight = (deep[:, :, ::-1] >> 8).astype(np.uint8)
    np.testing.assert_array_equal(images[0, 2:13], cv2.resize(eight, (16, 11), interpolation=cv2.INTER_AREA))
    assert (images[1, :, 2:13] == (200, 0, 0)).all()  # upright: taller than wide
    assert not images[1, :, :2].any()
