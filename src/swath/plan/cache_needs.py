"""What trials need of the preprocessing cache, and what of it is there."""

import itertools
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from swath.plan.trials import PlannedTrial
from swath.preprocess.cache.checksums import READERS
from swath.preprocess.cache.entry import EntryPlan
from swath.preprocess.cache.features import FeaturePlan
from swath.preprocess.cache.manifest import is_built
from swath.store.storage import Storage


@dataclass(frozen=True)
class CacheNeeds:
    """Cache entries that some trials need, with what was there when it was asked.

    Attributes:
        cache: The cache.
        entries: Entries of images; trials on features that are there need none.
        features: Entries of features.
        built: Keys of those that are finished.
    """

    cache: Storage
    entries: tuple[EntryPlan, ...]
    features: tuple[FeaturePlan, ...]
    built: frozenset[str]

    def entries_to_build(self) -> list[EntryPlan]:
        """The entries of images that are not finished."""
        return [e for e in self.entries if e.key not in self.built]

    def features_to_build(self) -> list[FeaturePlan]:
        """The entries of features that are not finished."""
        return [f for f in self.features if f.key not in self.built]


def built_keys(cache: Storage, keys: Iterable[str]) -> frozenset[str]:
    """Which of some entries are finished; asks for each once, many at a time, for object stores are slow to answer."""
    asked = list(dict.fromkeys(keys))
    with ThreadPoolExecutor(READERS) as pool:
        return frozenset(itertools.compress(asked, pool.map(lambda key: is_built(cache, key), asked)))


def cache_needs(cache: Storage, trials: Sequence[PlannedTrial]) -> CacheNeeds:
    """What some trials need of the cache, as it is now."""
    built = built_keys(cache, (e.key for t in trials for e in (*t.entries.values(), *t.features.values())))
    entries = {
        entry.key: entry
        for t in trials
        for part, entry in t.entries.items()
        if not t.features or t.features[part].key not in built
    }
    features = {f.key: f for t in trials for f in t.features.values()}
    return CacheNeeds(cache, tuple(entries.values()), tuple(features.values()), built)
