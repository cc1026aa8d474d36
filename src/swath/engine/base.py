"""What an engine does for the driver. The inline and the Ray engine give the same results."""

from collections.abc import Callable, Sequence
from typing import Protocol

from swath.paths import Storage
from swath.preprocess.cache import EntryPlan
from swath.recipe import Backbone
from swath.trial_job import Job, Report

Decide = Callable[[Report], bool]
"""Called for every report, in one thread of the driver; False stops the trial."""


class Engine(Protocol):
    """Builds cache entries, probes weights, trains."""

    def build(self, cache: Storage, entry: EntryPlan, shards: Sequence[int], built: Callable[[int], None]) -> None:
        """Build the given shards of an entry; `built` hears the number of images of each."""
        ...

    def probe(self, backbones: Sequence[Backbone]) -> list[str]:
        """Build each backbone once; a sentence for each that cannot be had."""
        ...

    def train(self, jobs: Sequence[Job], decide: Decide, crashed: Callable[[str, str], None]) -> None:
        """Run every job until it ends, is stopped by `decide`, or `crashed(fingerprint, error)` was called for it."""
        ...
