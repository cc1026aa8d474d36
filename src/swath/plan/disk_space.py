"""How much disk the caches still need: shards exactly, results of expensive ops estimated from a few images."""

from collections.abc import Iterable

import numpy as np

from swath.core.text import size_text
from swath.plan.cache_needs import CacheNeeds
from swath.preprocess.cache.entry import EntryPlan, missing_shards
from swath.preprocess.cache.intermediates import Step, read_results
from swath.preprocess.image_files import UnreadableImageError, read_image
from swath.store.storage import Locations, Storage

SAMPLES = 8
PNG_SHARE = 0.7
"""Size of a photograph as PNG over its size in memory: 0.5 to 0.7 for photographs, 1 for noise."""


def bytes_to_build(needs: CacheNeeds) -> int:
    """Size of the shards that are still to be built, and about that of the results of expensive ops."""
    entries = needs.entries_to_build()
    shards = sum(e.image_bytes * e.images_in(missing_shards(needs.cache, e)) for e in entries)
    return shards + steps_bytes(needs.cache, entries) + sum(f.bytes for f in needs.features_to_build())


def steps_bytes(cache: Storage, entries: Iterable[EntryPlan]) -> int:
    """About the size of the results that these entries start from and that are not there yet."""
    steps: dict[str, Step] = {}
    images: dict[str, dict[str, str]] = {}
    for entry in entries:
        for step in entry.steps():
            steps[step.key] = step
            images.setdefault(step.key, {}).update(zip(entry.digests, entry.paths, strict=True))
    total = 0.0
    for key, step in steps.items():
        cached = read_results(cache, key)
        lacking = [path for image, path in images[key].items() if image and image not in cached]
        total += len(lacking) * _image_bytes(lacking) * step.growth() * PNG_SHARE
    return round(total)


def _image_bytes(paths: list[str]) -> float:
    """Mean size in memory of some of the images."""
    sizes = []
    for position in np.unique(np.linspace(0, len(paths) - 1, SAMPLES).round().astype(int)) if paths else []:
        try:
            sizes.append(read_image(paths[position]).size)
        except UnreadableImageError:
            continue
    return float(np.mean(sizes)) if sizes else 0.0


def disk_problems(locations: Locations, needed: int) -> list[str]:
    """A sentence for each disk that cannot hold caches of `needed` bytes."""
    disks = [("--storage", locations.cache)]
    if locations.local_cache:
        disks.append(("--cache", Storage(str(locations.local_cache))))
    problems = []
    for option, disk in disks:
        free = disk.free_bytes()
        if free is not None and needed > free:
            problems.append(
                f"the caches need {size_text(needed)} in {disk.root}, where {size_text(free)} are free. "
                f"Free some, give {option} on a larger disk, or use a smaller image_size or fewer chains."
            )
    return problems
