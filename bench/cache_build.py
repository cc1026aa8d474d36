"""Building a cache entry: Ray Data against a hand-written process pool that does the same work, in one run.

    make bench        # or: python bench/cache_build.py --images 20000

Both decode 256x256 JPEGs, sharpen them and write the same shards. Start-up is left out on both sides: each first builds
an entry of a few images. Prints images/s of both, their ratio, and the driver's memory at the start and at its highest.
"""

import argparse
import multiprocessing
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import psutil

from swath import chains, ops
from swath.contents import file_digest
from swath.engine.cluster import RayEngine
from swath.paths import Storage
from swath.preprocess import cache as caches
from swath.preprocess.cache import EntryPlan, ShardWork
from swath.sweep import Resources
from swath.tasks.scenes import draw_scene


def write_images(folder: Path, count: int) -> list[str]:
    """`count` different JPEG files: 64 drawn scenes, shifted."""
    folder.mkdir(parents=True)
    scenes = [draw_scene(np.random.default_rng([0, i]), 256)[0][:, :, ::-1] for i in range(64)]
    paths = []
    for i in range(count):
        shifted = np.roll(scenes[i % len(scenes)], i // len(scenes), axis=(0, 1))
        paths.append(str(folder / f"{i:06d}.jpg"))
        cv2.imwrite(paths[-1], shifted, [cv2.IMWRITE_JPEG_QUALITY, 95])
    return paths


def entry(paths: list[str], digests: list[str], tag: str) -> EntryPlan:
    """An entry over these files; the tag keeps the two contenders' keys apart."""
    ids = tuple(f"{tag}{i}" for i in range(len(paths)))
    return EntryPlan("train", chains.finished((ops.Sharpen(),), 256), tuple(paths), ids, tuple(digests))


def by_pool(cache: Storage, plan: EntryPlan, pool: "multiprocessing.pool.Pool") -> None:
    """What one would write by hand: a process pool over the shards."""
    pool.starmap(caches.build_shard, [(cache, plan, i) for i in range(len(plan.shards()))], chunksize=1)


def by_ray(cache: Storage, plan: EntryPlan, engine: RayEngine) -> None:
    """What a sweep does."""
    engine.build(cache, ShardWork(plan, None), caches.missing_shards(cache, plan), lambda images: None)


def seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


class PeakMemory:
    """Highest resident memory of this process and all it started, sampled while the block runs."""

    def __enter__(self) -> "PeakMemory":
        self.first = self.peak = self._now()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _now(self) -> int:
        return psutil.Process().memory_info().rss

    def _sample(self) -> None:
        while not self._ended.wait(0.2):
            self.peak = max(self.peak, self._now())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3, help="alternating rounds; medians are compared")
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="swath-bench-"))
    try:
        paths = write_images(root / "images", options.images)
        workers = os.cpu_count() or 1
        with multiprocessing.get_context("spawn").Pool(workers) as pool, RayEngine(Resources()) as engine:
            cache = Storage(str(root / "cache"))
            digests = [file_digest(path) for path in paths]
            by_pool(cache, entry(paths[:1000], digests[:1000], "warm-pool"), pool)
            by_ray(cache, entry(paths[:1000], digests[:1000], "warm-ray"), engine)
            rates: dict[str, list[float]] = {"pool": [], "ray": []}
            with PeakMemory() as memory:
                for turn in range(options.rounds):
                    for name, build in (
                        ("pool", lambda c, e: by_pool(c, e, pool)),
                        ("ray", lambda c, e: by_ray(c, e, engine)),
                    ):
                        plan = entry(paths, digests, f"{name}{turn}-")
                        rates[name].append(options.images / seconds(lambda b=build, p=plan: b(cache, p)))
                        cache.delete(plan.key)
        pool_rate, ray_rate = (float(np.median(rates[name])) for name in ("pool", "ray"))
        print(f"{options.images:,} images 256x256, sharpened, on {workers} CPUs, medians of {options.rounds} rounds")
        print(f"process pool  {pool_rate:8,.0f} images/s  {[round(r) for r in rates['pool']]}")
        print(f"Ray Data      {ray_rate:8,.0f} images/s  {[round(r) for r in rates['ray']]}")
        print(f"ratio Ray Data / process pool  {ray_rate / pool_rate:.3f}")
        print(f"driver memory {memory.first / 1e6:,.0f} MB at the start, {memory.peak / 1e6:,.0f} MB at its highest")
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
