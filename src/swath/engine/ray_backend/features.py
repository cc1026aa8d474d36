"""Feature entries by Ray Data: actors that hold the model take shards of cached images."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ray.data

from swath.engine.ray_backend.data import collect, configure_ray_data, counted
from swath.preprocess.cache.features import FeatureShard, build_shard
from swath.store.storage import Storage


class _Builder:
    """An actor: loads a model with the first shard that needs it, computes and stores one shard at a time."""

    def __init__(self, root: str, local: str) -> None:
        from swath.models.feature_extractor import Extractor

        self._cache, self._local = Storage(root), Path(local) if local else None
        self._extract = Extractor()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        row = counted(lambda: sum(build_shard(self._cache, self._local, s, self._extract) for s in batch["shard"]))
        return {name: [value] for name, value in row.items()}


def build(
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
        _Builder,
        fn_constructor_args=(cache.root, str(local or "")),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=actors),
        num_cpus=resources["cpu"],
        num_gpus=resources["gpu"] or None,
    )
    collect(done.iter_rows(), built)
