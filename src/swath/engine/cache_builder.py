"""What the cache lacks, built once: one driver builds an entry, others wait for it; what is damaged is built again."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from swath.core.errors import DamagedError
from swath.engine.base import Engine
from swath.engine.progress import BuildProgress
from swath.preprocess.cache import entry as caches
from swath.preprocess.cache import features
from swath.preprocess.cache.entry import EntryPlan, ShardWork
from swath.preprocess.cache.features import FeaturePlan
from swath.preprocess.cache.intermediates import PackWork, Step, StepResults, read_results
from swath.preprocess.cache.manifest import is_built
from swath.store.lease import Lease
from swath.store.storage import Locations, Storage

TRIES_ALLOWED = 3
"""How often an entry is begun while what it starts from turns out damaged."""
_WAIT_S = 1.0

Say = Callable[[str], None]


def build_entry(cache: Storage, entry: EntryPlan, engine: Engine, say: Say) -> None:
    """Build an entry and the results it starts from; does nothing when it is finished by then.

    Raises:
        StoreError: An image changed or went away, the disk is full, or something is damaged again and again.
    """
    with _held(cache, entry.key, entry.describe(), say):
        for left in reversed(range(TRIES_ALLOWED)):
            try:
                if not is_built(cache, entry.key):
                    _build(cache, entry, engine, say)
                return
            except DamagedError as error:
                if not left:
                    raise
                say(f"{error}; it is built again")


def _build(cache: Storage, entry: EntryPlan, engine: Engine, say: Say) -> None:
    shards = caches.missing_shards(cache, entry)
    if shards:
        results = _results(cache, entry, shards, engine, say)
        engine.build(
            cache, ShardWork(entry, results), shards, BuildProgress(entry.describe(), entry.images_in(shards)).built
        )
    caches.finish(cache, entry)


def _results(cache: Storage, entry: EntryPlan, shards: list[int], engine: Engine, say: Say) -> StepResults | None:
    """Results of the chain's last expensive op for the rows of these shards; those that lack are made."""
    paths = caches.images_of(entry, shards)
    lacking: list[tuple[Step, dict[str, str]]] = []
    steps = entry.steps()
    for step in reversed(steps):  # from the longest prefix back to one that is there
        cached = read_results(cache, step.key)
        needed = {image: path for image, path in paths.items() if image not in cached}
        lacking.append((step, needed))
        if not step.finds:  # what is cut by known objects is still cut from images
            paths = needed
    before, objects = None, None
    for step, images in reversed(lacking):
        work = PackWork(step, tuple((path, image) for image, path in images.items()), before, objects)
        results = _step_results(cache, work, engine, say)
        before, objects = (before, results) if step.finds else (results, None)
    return before


def _step_results(cache: Storage, work: PackWork, engine: Engine, say: Say) -> StepResults:
    """All results of a step, those that the work asks for among them."""
    key = work.key
    cached = read_results(cache, key)
    if all(image in cached for _, image in work.images):
        return cached
    with _held(cache, key, work.describe(), say):
        cached = read_results(cache, key)
        lacking = replace(work, images=tuple((path, image) for path, image in work.images if image not in cached))
        pieces = range(len(lacking.pieces()))
        if pieces:
            engine.build(cache, lacking, pieces, BuildProgress(lacking.describe(), len(lacking.images)).built)
    return read_results(cache, key)


def build_features(locations: Locations, entries: Sequence[FeaturePlan], engine: Engine, say: Say) -> None:
    """Compute the features that are missing, all entries of a model together: it is loaded once.

    Raises:
        StoreError: A model or its images cannot be had.
    """
    cache, local = locations.cache, locations.local_cache
    with ExitStack() as held:
        for entry in sorted(entries, key=lambda e: e.key):  # in one order, so that no two wait for each other
            held.enter_context(_held(cache, entry.key, entry.describe(), say))
        lacking = [e for e in entries if not is_built(cache, e.key)]
        shards = [s for e in lacking for s in features.missing_shards(cache, e)]
        shards.sort(key=lambda s: (s.model, s.key, s.number))
        if shards:
            title = f"features by {', '.join(dict.fromkeys(s.backbone.canonical() for s in shards))}"
            progress = BuildProgress(title, sum(s.count for s in shards))
            engine.build_features(cache, local, shards, progress.built)
        for entry in lacking:
            features.finish(cache, entry)


@contextmanager
def _held(cache: Storage, key: str, title: str, say: Say) -> Iterator[None]:
    """Be the only builder of a key; waits while another process is."""
    lease = Lease(cache, f"{key}/lease.json")
    waited = False
    while not lease.take():
        if not waited:
            say(f"waiting for {lease.elsewhere() or 'another process'}, which builds {title}")
            waited = True
        time.sleep(_WAIT_S)
    with lease.kept():
        caches.sweep_temporary(cache, key)
        yield
