"""Cache entries built by Ray Data: a row of its input is a shard, written by the worker that builds it."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import ray.data

from swath.errors import StoreError, SwathError
from swath.paths import Storage
from swath.preprocess.cache import EntryPlan, build_shard

BLOCKS_PER_CPU = 8
"""Shards are handed out in about so many blocks for each CPU. A block is a task, and the driver's work for a task is
worth dozens of images: on two cores one shard a block built 0.64 of this rate (bench/cache_build.py)."""


def build(cache: Storage, entry: EntryPlan, shards: Sequence[int], built: Callable[[int], None]) -> None:
    """Build shards on all CPUs of the cluster; only counts come back to the driver.

    Raises:
        StoreError: An image changed or went away; the other shards are built all the same.
    """
    root = cache.root

    def build_one(row: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"images": build_shard(Storage(root), entry, int(row["shard"])), "problem": ""}
        except SwathError as error:  # as a value: raised, it would reach the driver inside three wrappers
            return {"images": 0, "problem": str(error)}

    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    blocks = min(len(shards), BLOCKS_PER_CPU * int(ray.cluster_resources().get("CPU", 1)))
    rows = ray.data.from_items([{"shard": number} for number in shards], override_num_blocks=blocks)
    problems = []
    for row in rows.map(build_one).iter_rows():
        if row["problem"]:
            problems.append(str(row["problem"]))
        else:
            built(int(row["images"]))
    if problems:
        raise StoreError(problems[0])
