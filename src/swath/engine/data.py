"""Cache entries built by Ray Data: one shard per row of its input, written by the worker that built it."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import ray.data

from swath.errors import StoreError, SwathError
from swath.paths import Storage
from swath.preprocess.cache import EntryPlan, build_shard


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
    rows = ray.data.from_items([{"shard": number} for number in shards], override_num_blocks=len(shards))
    problems = []
    for row in rows.map(build_one).iter_rows():
        if row["problem"]:
            problems.append(str(row["problem"]))
        else:
            built(int(row["images"]))
    if problems:
        raise StoreError(problems[0])
