"""The cache built by Ray Data: a row of its input is a shard or a pack, written by the worker that builds it."""

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import ray.data

from swath.core.errors import DamagedError, StoreError, SwathError
from swath.core.process import hide_gpus
from swath.engine.base import Work
from swath.models.image_models.loader import LoadedModels
from swath.preprocess.cache.features import FeatureShard, build_shard
from swath.store.storage import Storage

MOST_IN_BLOCK = 16
"""Shards in one block at most: some seconds of work. A block is a task, and between two tasks a CPU is idle."""


def configure_ray_data() -> None:
    """Settings of Ray Data for work of one operator, whose results are counts, and whose progress swath shows itself.

    Ray Data reserves part of the resources for each operator; with one there is none to reserve for, and on two CPUs
    it left the second idle for a second at the start and each for 0.2 s after every task (measured with 2.60).
    """
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.op_resource_reservation_enabled = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)


def build(cache: Storage, work: Work, numbers: Sequence[int], built: Callable[[int], None], gpus: float) -> None:
    """Build pieces on the whole cluster; only counts come back to the driver.

    Shards are tasks, one for each CPU. Work that needs a model runs on a pool of actors that load it once: one for each
    GPU where there are any, else one for each CPU.

    Args:
        cache: Where entries are built.
        work: What is built.
        numbers: Which pieces.
        built: Called with the number of images of each.
        gpus: Of a trial; where it has none, models keep to CPUs too.

    Raises:
        StoreError: A piece could not be built; the other pieces are built all the same.
    """
    configure_ray_data()
    rows = [{"number": number} for number in numbers]
    resources = ray.cluster_resources()
    if work.needs_model:
        cards = int(resources.get("GPU", 0)) if gpus else 0
        workers = max(1, min(cards or int(resources.get("CPU", 1)), len(rows)))
        results = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            cast(Any, _CacheBuilder),
            fn_constructor_args=(cache.root, work, min(cards, 1)),
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=1,
            num_gpus=min(cards, 1),
        )
    else:
        root = cache.root

        def build_one(row: dict[str, Any]) -> dict[str, Any]:
            return _build(Storage(root), work, row["number"], None)

        blocks = [pa.table({"number": block}) for block in _blocks(numbers, int(resources.get("CPU", 1)))]
        results = ray.data.from_arrow(blocks).map(build_one)
    collect(results.iter_rows(), built)


def _blocks(numbers: Sequence[int], cpus: int) -> list[Sequence[int]]:
    """Large blocks first, for few tasks; then ever smaller ones, so that all CPUs end at about the same time."""
    blocks, start = [], 0
    while start < len(numbers):
        size = min(MOST_IN_BLOCK, max(1, (len(numbers) - start) // (2 * max(1, cpus))))
        blocks.append(numbers[start : start + size])
        start += size
    return blocks


class _CacheBuilder:
    """An actor that keeps its model from piece to piece."""

    def __init__(self, root: str, work: Work, gpus: float) -> None:
        hide_gpus(gpus)
        self._cache = Storage(root)
        self._work = work
        self._models = LoadedModels(gpus)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return _build(self._cache, self._work, row["number"], self._models)


def _build(cache: Storage, work: Work, number: int, models: LoadedModels | None) -> dict[str, Any]:
    return counted(lambda: work.build(cache, int(number), models or LoadedModels(gpus=0)))


def counted(build: Callable[[], int]) -> dict[str, Any]:
    """A row for `collect`: how many images, or the problem, which raised would reach the driver in three wrappers."""
    try:
        return {"images": build(), "problem": "", "damaged": False}
    except SwathError as error:
        return {"images": 0, "problem": str(error), "damaged": isinstance(error, DamagedError)}


def collect(results: Iterable[dict[str, Any]], built: Callable[[int], None]) -> None:
    """Count the images of results, and raise the gravest of their problems once all have come.

    Args:
        results: Rows that `counted` made.
        built: Called with the number of images of each.

    Raises:
        StoreError: Something could not be built.
        DamagedError: Nothing else was the matter than that something it starts from is damaged.
    """
    problems: list[StoreError] = []
    for row in results:
        if row["problem"]:
            problems.append((DamagedError if row["damaged"] else StoreError)(str(row["problem"])))
        else:
            built(int(row["images"]))
    if problems:
        raise next((p for p in problems if not isinstance(p, DamagedError)), problems[0])


class _FeatureBuilder:
    """An actor: loads a model with the first shard that needs it, computes and stores one shard at a time."""

    def __init__(self, root: str, local: str, gpus: float) -> None:
        from swath.models.feature_extractor import Extractor

        hide_gpus(gpus)
        self._cache, self._local = Storage(root), Path(local) if local else None
        self._extract = Extractor(gpus)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        row = counted(lambda: sum(build_shard(self._cache, self._local, s, self._extract) for s in batch["shard"]))
        return {name: [value] for name, value in row.items()}


def build_features(
    cache: Storage,
    local: Path | None,
    shards: Sequence[FeatureShard],
    built: Callable[[int], None],
    resources: dict[str, float],
) -> None:
    """Compute shards on as many actors as trials would fit, each with a trial's resources.

    Raises:
        StoreError: A model or its images cannot be had.
        DamagedError: Images are not what was built, and must be built again first.
    """
    configure_ray_data()
    total = ray.cluster_resources()
    fits = [total.get(name.upper(), 0) // amount for name, amount in resources.items() if amount]
    actors = int(max(1, min([*fits, len(shards)])))
    rows = ray.data.from_items([{"shard": shard} for shard in shards], override_num_blocks=len(shards))
    done = rows.map_batches(
        _FeatureBuilder,
        fn_constructor_args=(cache.root, str(local or ""), resources["gpu"]),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=actors),
        num_cpus=resources["cpu"],
        num_gpus=resources["gpu"] or None,
    )
    collect(done.iter_rows(), built)
