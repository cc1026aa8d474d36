"""Everything in this process, one thing after the other. No Ray."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from swath.engine import in_process as alone
from swath.engine.base import Listener, Probe, Work
from swath.models.image_models.loader import LoadedModels
from swath.preprocess.cache import features
from swath.preprocess.cache.features import FeatureShard
from swath.store.storage import Storage
from swath.training.job import Job, Report


class _Stopped(BaseException):
    """Ends a trial from its report, as SystemExit does under Tune."""


@dataclass
class InlineEngine:
    """The engine without a cluster.

    Attributes:
        gpus: GPUs of this process, or a share of one; 0 keeps to the CPU, None takes a GPU where there is one.
    """

    gpus: float | None = None

    def get_ready(self, trials: int) -> None:
        """Nothing: the first trial imports what all need."""

    def build(self, cache: Storage, work: Work, numbers: Sequence[int], built: Callable[[int], None]) -> None:
        models = LoadedModels(self.gpus)
        for number in numbers:
            built(work.build(cache, number, models))

    def build_features(
        self, cache: Storage, local: Path | None, shards: Sequence[FeatureShard], built: Callable[[int], None]
    ) -> None:
        from swath.models.feature_extractor import Extractor

        extract = Extractor(self.gpus)
        for shard in shards:
            built(features.build_shard(cache, local, shard, extract))

    def probe(self, probes: Sequence[Probe]) -> list[str]:
        return [problem for p in probes if (problem := alone.probe(p))]

    def train(self, jobs: Sequence[Job], listener: Listener) -> None:
        from swath.training.trial import run_trial

        def report(received: Report) -> None:
            if not listener.decide(received):
                raise _Stopped

        for job in jobs:
            listener.started(job.spec.fingerprint)
            try:
                run_trial(replace(job, gpus=self.gpus), report)
            except _Stopped:
                continue
