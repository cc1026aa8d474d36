"""Building what the cache lacks: kept results of expensive ops, several builders, damage, a builder that is killed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pytest

from swath.config.ops import Grayscale, Hires, Op, Resize, Sharpen, SuperRes
from swath.core.errors import StoreError
from swath.engine.cache_builder import build_entry
from swath.engine.inline import InlineEngine
from swath.models.image_models.base import Image
from swath.models.image_models.loader import MODELS
from swath.preprocess.cache import entry as caches
from swath.preprocess.cache import intermediates as steps_module
from swath.preprocess.cache.entry import EntryPlan, ShardWork
from swath.preprocess.cache.intermediates import PACK_IMAGES, PackWork, from_png, read_results, to_png
from swath.preprocess.cache.reader import open_entry
from swath.preprocess.chain_identity import Weights
from swath.preprocess.image_files import read_image
from swath.preprocess.transforms import apply
from swath.store.file_hashes import file_digest
from swath.store.storage import Storage

IMAGES = 20


@dataclass(frozen=True)
class Enlarge(Op):
    """A real model's stand-in: cubic resize times `times`, in batches."""

    name: ClassVar[str] = "enlarge"
    expensive: ClassVar[bool] = True
    times: int = 2


class Enlarger:
    """Counts what it is given."""

    seen: ClassVar[list[int]] = []

    def __init__(self, op: Enlarge) -> None:
        self._op = op
        self.notes: list[str] = []

    def __call__(self, images: Sequence[Image]) -> list[Image]:
        Enlarger.seen.append(len(images))
        self.notes = ["dark" if image.mean() < 100 else "" for image in images]
        return [enlarged(image, self._op.times) for image in images]


def enlarged(image: Image, times: int) -> Image:
    return cv2.resize(image, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)  # type: ignore[return-value]


MODELS.register("enlarge")(lambda op, file, device: Enlarger(op))


@pytest.fixture(autouse=True)
def small_pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("ray"):
        return  # Ray's workers are other processes, with pieces of the real size
    monkeypatch.setattr(caches, "SHARD_BYTES", 1)
    monkeypatch.setattr(steps_module, "PACK_IMAGES", 6)
    Enlarger.seen.clear()


@pytest.fixture
def make_plan(tmp_path: Path) -> Callable[..., EntryPlan]:
    """Images of several shapes, one of them no image; twenty unless told otherwise."""
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(2 * PACK_IMAGES):
        image = rng.integers(0, 60 if i % 4 == 0 else 256, (10 + i % 3, 9, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{i}.png"), image)
    (folder / "7.png").write_text("no image")

    def make(*chain: Op, rows: Sequence[int] = range(IMAGES), weights: tuple[Weights, ...] = ()) -> EntryPlan:
        paths = tuple(str(folder / f"{i}.png") for i in rows)
        ids = tuple(f"id{i}" for i in rows)
        return EntryPlan("train", (*chain, Resize(16)), paths, ids, tuple(map(file_digest, paths)), weights)

    return make


Planner = Callable[..., EntryPlan]


def built(cache: Storage, plan: EntryPlan, said: list[str] | None = None) -> np.ndarray:
    build_entry(cache, plan, InlineEngine(), (said if said is not None else []).append)
    return open_entry(cache, plan.key, None if cache.folder else Path(os.environ["SWATH_TEST_LOCAL"])).take(
        range(len(plan.ids))
    )


def expected(plan: EntryPlan, *before: Op, times: int = 2, after: Sequence[Op] = ()) -> np.ndarray:
    images = []
    for path in plan.paths:
        if path.endswith("/7.png"):
            images.append(np.zeros(plan.image_shape, np.uint8))
            continue
        image = apply(read_image(path), before)
        images.append(apply(enlarged(image, times), (*after, Resize(16))))
    return np.stack(images)


def test_png_is_lossless_for_colour_and_gray() -> None:
    for channels in (1, 3):
        image = np.random.default_rng(0).integers(0, 256, (13, 17, channels), dtype=np.uint8)
        np.testing.assert_array_equal(from_png(to_png(image)), image)


def test_an_expensive_chain_gives_what_its_ops_give_one_after_the_other(
    storage: Storage, make_plan: Planner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWATH_TEST_LOCAL", str(tmp_path / "local"))
    plan = make_plan(Sharpen(), Enlarge(), Grayscale(3))
    np.testing.assert_array_equal(built(storage, plan), expected(plan, Sharpen(), after=(Grayscale(3),)))
    manifest = json.loads(storage.read(f"{plan.key}/manifest.json"))
    assert list(manifest["bad"]) == ["id7"]
    dark = sum(apply(read_image(p), (Sharpen(),)).mean() < 100 for p in plan.paths if not p.endswith("/7.png"))
    assert manifest["notes"] == {"dark": dark}
    assert dark > 0
    assert "lease.json" not in storage.names(plan.key)


def test_a_shared_prefix_is_computed_once_and_only_for_new_images(tmp_path: Path, make_plan: Planner) -> None:
    cache = Storage(str(tmp_path / "cache"))
    first = make_plan(Enlarge(), rows=range(10))
    built(cache, first)
    assert sum(Enlarger.seen) == 9
    Enlarger.seen.clear()
    sharp = make_plan(Enlarge(), Sharpen())
    np.testing.assert_array_equal(built(cache, sharp), expected(sharp, after=(Sharpen(),)))
    assert sum(Enlarger.seen) == 10, "the ten images that were not there"
    Enlarger.seen.clear()
    twice = make_plan(Enlarge(), Sharpen(), Enlarge(3))
    found = built(cache, twice)
    assert sum(Enlarger.seen) == 19, "only the second model ran"
    some = [i for i in range(IMAGES) if i != 7]
    reference = [
        apply(enlarged(apply(enlarged(read_image(twice.paths[i]), 2), (Sharpen(),)), 3), (Resize(16),)) for i in some
    ]
    np.testing.assert_array_equal(found[some], np.stack(reference))
    Enlarger.seen.clear()
    built(cache, make_plan(Hires(), Enlarge(), Grayscale()))
    assert Enlarger.seen == [], "Hires says which files are read; the same content has the same result"


def test_weights_belong_to_the_key_of_a_step(make_plan: Planner) -> None:
    one, other = (make_plan(Enlarge(), weights=(Weights("/x", sha), Weights())) for sha in ("1", "2"))
    assert one.steps()[0].key != other.steps()[0].key != make_plan(Enlarge()).steps()[0].key
    assert one.key != other.key
    moved = replace(one, weights=(Weights("/y", "1"), Weights()))
    assert (moved.key, moved.steps()[0].key) == (one.key, one.steps()[0].key)


def test_a_damaged_pack_is_made_again(tmp_path: Path, make_plan: Planner) -> None:
    cache, plan = Storage(str(tmp_path / "cache")), make_plan(Enlarge())
    first = built(cache, plan)
    packs = sorted((tmp_path / "cache" / plan.steps()[0].key).glob("*.parquet"))
    assert len(packs) == 4
    data = bytearray(packs[1].read_bytes())
    data[len(data) // 2] ^= 1
    packs[1].write_bytes(bytes(data))
    packs[2].unlink()
    said: list[str] = []
    sharp = make_plan(Enlarge(), Sharpen())
    Enlarger.seen.clear()
    np.testing.assert_array_equal(built(cache, sharp, said), expected(sharp, after=(Sharpen(),)))
    assert len(said) == 2
    assert all("is not what was written" in line for line in said)
    assert len(Enlarger.seen) == 2, "the two packs, and no other"
    np.testing.assert_array_equal(first, expected(plan))


BUILDER = """
import sys, time
sys.path.insert(0, {repository!r})
from tests.engine import test_cache_builder
from tests.engine.test_cache_builder import *

test_cache_builder.caches.SHARD_BYTES = 1
steps_module.PACK_IMAGES = 1
def slow(op, file, device):
    model = Enlarger(op)
    def call(images):
        time.sleep({pause})
        print("made", len(images), flush=True)
        return model(images)
    return call
MODELS._table["enlarge"] = slow
paths = tuple(sys.argv[2:])
plan = EntryPlan("train", (Enlarge(), Resize(16)), paths, paths, tuple(map(file_digest, paths)))
build_entry(Storage(sys.argv[1]), plan, InlineEngine(), lambda line: print(line, flush=True))
print("built", plan.key, flush=True)
"""


def builder(cache: Path, plan: EntryPlan, pause: float) -> "subprocess.Popen[str]":
    script = BUILDER.format(repository=str(Path(__file__).parents[2]), pause=pause)
    command = [sys.executable, "-c", script, str(cache), *plan.paths]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_of_two_builders_one_builds_and_the_other_waits(tmp_path: Path, make_plan: Planner) -> None:
    plan = make_plan(Enlarge())
    two = [builder(tmp_path / "cache", plan, 0.2) for _ in range(2)]
    said = [process.communicate(timeout=120) for process in two]
    assert [process.returncode for process in two] == [0, 0], said
    lines = [out.splitlines() for out, _ in said]
    made = sorted(sum(line.startswith("made") for line in own) for own in lines)
    assert made == [0, 19], said
    assert any("waiting for" in line for own in lines for line in own), said
    assert all(own[-1].startswith("built") for own in lines)


def test_a_killed_builder_leaves_what_it_made_and_the_next_goes_on(tmp_path: Path, make_plan: Planner) -> None:
    cache, plan = Storage(str(tmp_path / "cache")), make_plan(Enlarge())
    process = builder(tmp_path / "cache", plan, 0.1)
    step = plan.steps()[0].key
    deadline = time.monotonic() + 60
    while len(read_results(cache, step).packs) < 5:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    there = len(read_results(cache, step).pack_of)
    assert 5 <= there < 19, "killed too late to say anything"
    (tmp_path / "cache" / step / ".pack-half.parquet.00000000.tmp").write_bytes(b"half")
    assert not caches.is_built(cache, plan.key)
    np.testing.assert_array_equal(built(cache, plan), expected(plan))
    assert sum(Enlarger.seen) == 19 - there
    assert not list((tmp_path / "cache" / step).glob(".*"))


def test_an_image_that_changed_since_planning_is_an_error(tmp_path: Path, make_plan: Planner) -> None:
    cache, plan = Storage(str(tmp_path / "cache")), make_plan(Enlarge())
    Path(plan.paths[3]).write_bytes(Path(plan.paths[4]).read_bytes())
    with pytest.raises(StoreError, match=r"3\.png has changed since"):
        built(cache, plan)
    assert not caches.is_built(cache, plan.key)


@pytest.mark.parametrize(("shards", "cpus", "at_most"), [(1, 2, 1), (118, 2, 20), (5, 64, 5), (640, 2, 52)])
def test_blocks_hold_every_shard_once_and_the_last_ones_are_small(shards: int, cpus: int, at_most: int) -> None:
    from swath.engine.ray_backend.data import _blocks

    found = _blocks(range(3, 3 + shards), cpus)
    assert [number for block in found for number in block] == list(range(3, 3 + shards))
    sizes = [len(block) for block in found]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) <= at_most
    assert (sizes[-1], max(sizes) <= 16) == (1, True)


@pytest.mark.ray
@pytest.mark.parametrize("kind", ["shards", "results of a model"])
def test_a_worker_of_ray_that_is_killed_costs_its_piece_and_the_build_goes_on(
    ray_engine: InlineEngine, make_plan: Planner, tmp_path: Path, kind: str
) -> None:
    plan = replace(make_plan(SuperRes(4, "compact"), rows=range(40)), chain=(SuperRes(4, "compact"), Resize(768)))
    readable = tuple((path, image) for path, image in zip(plan.paths, plan.digests, strict=True) if "/7." not in path)
    shards = ShardWork(replace(plan, chain=(Sharpen(), Resize(768))))
    real, pieces = (shards, 3) if kind == "shards" else (PackWork(plan.steps()[0], readable, None), 2)
    marks = tmp_path / "marks"
    marks.mkdir()

    class Slow:  # local, so that it travels by value
        key, needs_model = real.key, real.needs_model

        def build(self, cache: Storage, number: int, models: object) -> int:
            (marks / f"{number}-{os.getpid()}").touch()
            time.sleep(1)
            cubic = partial(cv2.resize, dsize=None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
            return real.build(cache, number, lambda op, file: lambda images: [cubic(image) for image in images])

    def kill_the_first() -> None:
        while not (found := sorted(marks.iterdir())):
            time.sleep(0.02)
        os.kill(int(found[0].name.partition("-")[2]), signal.SIGKILL)

    on_ray, inline, counts = Storage(str(tmp_path / "ray")), Storage(str(tmp_path / "inline")), []
    killer = threading.Thread(target=kill_the_first)
    killer.start()
    ray_engine.build(on_ray, Slow(), range(pieces), counts.append)
    killer.join()
    InlineEngine().build(inline, Slow(), range(pieces), lambda images: None)
    assert sum(counts) == (40 if kind == "shards" else 39)
    here = {mark.name for mark in marks.iterdir() if not mark.name.endswith(f"-{os.getpid()}")}
    assert len(here) > len({name.partition("-")[0] for name in here}) == pieces, "a piece was begun twice"
    assert len(on_ray.names(real.key)) == 2 * pieces
    for name in inline.names(real.key):
        assert on_ray.read(f"{real.key}/{name}") == inline.read(f"{real.key}/{name}")


@pytest.mark.ray
@pytest.mark.shared
def test_a_model_runs_on_a_pool_of_ray_actors_and_agrees_with_inline(
    ray_engine: InlineEngine, make_plan: Planner, tmp_path: Path, shared: Path
) -> None:
    file = str(shared / "weights/realesr-animevideov3-x4.pth")
    weights = (Weights(file, "compact"), Weights(), Weights())
    plan = make_plan(SuperRes(4, "compact", file), Sharpen(), rows=range(2 * PACK_IMAGES), weights=weights)
    inline, on_ray = (Storage(str(tmp_path / name)) for name in ("inline", "ray"))
    build_entry(inline, plan, InlineEngine(), lambda line: None)
    build_entry(on_ray, plan, ray_engine, lambda line: None)
    for name in [n for n in inline.names(plan.key) if n.startswith("shard")]:
        assert inline.read(f"{plan.key}/{name}") == on_ray.read(f"{plan.key}/{name}")
    found = open_entry(on_ray, plan.key, None).take([0, 1])
    assert found.std() > 1
