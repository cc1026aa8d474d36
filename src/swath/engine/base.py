"""The interface of engines, which build caches and train trials. Inline and Ray give the same results."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from swath.config.recipe import Backbone
from swath.preprocess.cache.features import FeatureShard
from swath.preprocess.chain_identity import Models
from swath.store.storage import Storage
from swath.training.job import Job, Report

CRASHES_ALLOWED = 2
"""How often a trial whose process or node was lost is started again from its last epoch."""


class Listener(Protocol):
    """The driver's side of running trials; all calls come from one thread of the driver."""

    def started(self, fingerprint: str) -> None:
        """A process begins with a trial."""
        ...

    def decide(self, report: Report) -> bool:
        """A trial reports; False stops it."""
        ...

    def crashed(self, fingerprint: str, error: str) -> None:
        """A trial's process was lost for good."""
        ...


@dataclass(frozen=True)
class Probe:
    """A backbone to build once before anything is trained.

    Attributes:
        backbone: With the place of its weights.
        image_size: Side of its input in pixels.
    """

    backbone: Backbone
    image_size: int


class Work(Protocol):
    """Objects of the cache that are to be built, in numbered pieces; plain data that travels to workers."""

    @property
    def needs_model(self) -> bool:
        """True if a worker must load a model, and may use a GPU."""
        ...

    def build(self, cache: Storage, number: int, models: Models) -> int:
        """Build one piece; its number of images."""
        ...


class Engine(Protocol):
    """Builds what the cache lacks, probes weights, trains."""

    def get_ready(self, trials: int) -> None:
        """Begin, without waiting, what makes so many trials start sooner."""
        ...

    def build(self, cache: Storage, work: Work, numbers: Sequence[int], built: Callable[[int], None]) -> None:
        """Build the given pieces; `built` is called with the number of images of each.

        Raises:
            StoreError: A piece could not be built; the others are built all the same.
            DamagedError: What a piece starts from is damaged and must be built again first.
        """
        ...

    def build_features(
        self, cache: Storage, local: Path | None, shards: Sequence[FeatureShard], built: Callable[[int], None]
    ) -> None:
        """Compute shards of feature entries; `local` holds copies of image entries on each node.

        Raises:
            StoreError: A model or its images cannot be had.
            DamagedError: Images are damaged and must be built again first.
        """
        ...

    def probe(self, probes: Sequence[Probe]) -> list[str]:
        """Build each backbone once; a sentence for each that cannot be had."""
        ...

    def train(self, jobs: Sequence[Job], listener: Listener) -> None:
        """Run every job until it ends, is stopped by the listener's decision, or is reported as crashed."""
        ...
