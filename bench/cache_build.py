"""Building a cache entry: Ray Data against a hand-written process pool that does the same work, in one run.

    make bench        # or: python bench/cache_build.py --images 20000

Both read 256x256 JPEGs, check that they are the planned ones, decode and sharpen them and write the same shards with
the same checksums. Start-up is left out on both sides: each first builds an entry of a few images. Rounds alternate,
and ratios are taken within a round, since other programs may come and go. Prints images/s and CPU time of both, their
ratios, and the memory of Ray Data's driver and workers over time.
"""

import argparse
import functools
import multiprocessing
import os
import pickle
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from processes import Processes, thirds

from swath import ops
from swath.config import chains
from swath.config.sweep import TrialResources
from swath.engine.ray_backend.engine import RayEngine
from swath.preprocess.cache import entry as caches
from swath.preprocess.cache.entry import EntryPlan, ShardWork
from swath.store.file_hashes import file_digest
from swath.store.storage import Storage
from swath.tasks.synthetic.scenes import draw_scene


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
    """What one would write by hand: a process pool over the shards. The plan travels in a file, once a process."""
    file = Path(cache.root).with_name(f"{plan.key}.pickle")
    file.write_bytes(pickle.dumps((cache, plan)))
    pool.map(build_numbered, [(str(file), i) for i in range(len(plan.shards()))], chunksize=1)


def build_numbered(wanted: tuple[str, int]) -> int:
    cache, plan = planned(wanted[0])
    return caches.build_shard(cache, plan, wanted[1])


@functools.cache
def planned(file: str) -> tuple[Storage, EntryPlan]:
    return pickle.loads(Path(file).read_bytes())


def by_ray(cache: Storage, plan: EntryPlan, engine: RayEngine) -> None:
    """What a sweep does."""
    engine.build(cache, ShardWork(plan, None), caches.missing_shards(cache, plan), lambda images: None)


def seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3, help="alternating rounds; medians are compared")
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="swath-bench-"))
    try:
        paths = write_images(root / "images", options.images)
        workers = os.cpu_count() or 1
        with multiprocessing.get_context("spawn").Pool(workers) as pool, RayEngine(TrialResources()) as engine:
            cache = Storage(str(root / "cache"))
            digests = [file_digest(path) for path in paths]
            by_pool(cache, entry(paths[:1000], digests[:1000], "warm-pool"), pool)
            by_ray(cache, entry(paths[:1000], digests[:1000], "warm-ray"), engine)
            ours = {process.pid for process in multiprocessing.active_children()}
            pool_use, ray_use = Processes(lambda pid: pid in ours), Processes(lambda pid: pid not in ours)
            rates: dict[str, list[float]] = {"pool": [], "ray": []}
            for turn in range(options.rounds):
                for name, use, build in (
                    ("pool", pool_use, lambda c, e: by_pool(c, e, pool)),
                    ("ray", ray_use, lambda c, e: by_ray(c, e, engine)),
                ):
                    plan = entry(paths, digests, f"{name}{turn}-")
                    with use:
                        rates[name].append(options.images / seconds(lambda b=build, p=plan: b(cache, p)))
                    cache.delete(plan.key)
        print(f"{options.images:,} images 256x256, sharpened, on {workers} CPUs, medians of {options.rounds} rounds")
        for title, name, use in (("process pool", "pool", pool_use), ("Ray Data", "ray", ray_use)):
            each = 1000 * use.cpu_s / options.rounds / options.images
            print(
                f"{title:<12}  {np.median(rates[name]):8,.0f} images/s  {[round(r) for r in rates[name]]}  "
                f"{each:.2f} ms of CPU time an image"
            )
        ratios = np.divide(rates["ray"], rates["pool"])
        print(f"ratio Ray Data / process pool  {np.median(ratios):.3f}  {[round(float(r), 3) for r in ratios]}")
        print(f"CPU time Ray Data / process pool  {ray_use.cpu_s / pool_use.cpu_s:.3f}")
        print(f"memory of the driver   {thirds(ray_use.driver_bytes)}")
        print(f"memory of Ray's other processes  {thirds(ray_use.workers_bytes)}")
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
