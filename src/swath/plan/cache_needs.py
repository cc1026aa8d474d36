"""What trials need of the preprocessing cache, and what of it is there."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from swath.plan.plan import Plan
from swath.plan.trials import PlannedTrial
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
        built: Keys of the finished entries of all trials of the plan.
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


def cache_needs(plan: Plan, trials: Sequence[PlannedTrial]) -> CacheNeeds:
    """What some of a plan's trials need; asks the cache once for each entry of the plan, many at a time."""
    cache = plan.locations.cache
    keys = [e.key for e in (*plan.entries(), *plan.features())]
    with ThreadPoolExecutor(16) as pool:
        are_built = list(pool.map(lambda key: is_built(cache, key), keys))
    built = frozenset(key for key, done in zip(keys, are_built, strict=True) if done)
    entries = {
        entry.key: entry
        for t in trials
        for part, entry in t.entries.items()
        if not t.features or t.features[part].key not in built
    }
    features = {f.key: f for t in trials for f in t.features.values()}
    return CacheNeeds(cache, tuple(entries.values()), tuple(features.values()), built)
