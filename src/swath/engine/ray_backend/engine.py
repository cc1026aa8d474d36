"""A Ray cluster to work on: the one named by RAY_ADDRESS, or one started for this sweep and ended with it."""

import contextlib
import itertools
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from swath.config.sweep import TrialResources
from swath.core.errors import InputError
from swath.engine import in_process as alone
from swath.engine.base import Listener, Probe, Work
from swath.engine.ray_backend.trackers import NOBODY, Tracking
from swath.preprocess.cache.features import FeatureShard
from swath.store.storage import Storage
from swath.training.job import Job

if TYPE_CHECKING:  # Ray is imported when the engine is entered
    from ray.actor import ActorHandle

# Read by Ray when it is imported or started. Tune's own loggers and output are not used; trials
# keep the working directory, on which relative PYTHONPATH entries depend; Ctrl-C ends the sweep, not just Tune.
SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}


class RayEngine:
    """The engine on Ray; a context manager that connects on entry and leaves what it did not start alone.

    Args:
        resources: Of one trial.
        tracking: Experiment trackers that get the trials as well; none by default.
    """

    def __init__(self, resources: TrialResources, tracking: Tracking = NOBODY) -> None:
        self._resources = resources
        self._tracking = tracking
        self.dashboard = ""
        """URL of Ray's own dashboard; "" for none, and for a cluster that was connected to before."""

    def __enter__(self) -> "RayEngine":
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        import ray
        import ray.tune  # a third of a second, which trials would wait for once there is a connection

        from swath.engine.ray_backend import warm_processes as warm

        self._ours = not ray.is_initialized()
        if self._ours:
            address = os.environ.get("RAY_ADDRESS") or "local"
            # A dashboard belongs to a cluster; one that lives as long as a sweep only costs start-up time.
            dashboard = False if address == "local" else None
            context = ray.init(address, include_dashboard=dashboard, logging_level=logging.ERROR, log_to_driver=False)
            self.dashboard = _url(context.dashboard_url or "")
        nodes = {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}
        self._resolved, self._trials_at_once = self.fit(list(nodes.values()))
        self._key = warm.code_key(ray.get_runtime_context().get_runtime_env_string())
        per_worker = self._per_worker(self._resolved.gpus_per_worker)
        self._room = {name: _room(resources, per_worker) for name, resources in nodes.items()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ours:
            import ray

            ray.shutdown()

    def fit(self, nodes: Sequence[Mapping[str, float]]) -> tuple[TrialResources, int]:
        """What a trial takes of a cluster: a whole GPU for each worker where there are any and the user named none.

        Args:
            nodes: `CPU` and `GPU` of each node.

        Returns:
            The resources, with the GPUs as a number; how many trials of several workers there is room for at a time, or
            0 for trials of one worker, which Tune counts itself: it sees a trial's own process only.

        Raises:
            InputError: No node, or not enough of them, has room for a worker.
        """
        asked = self._resources
        gpus = asked.gpus if asked.gpus is not None else float(any(n.get("GPU", 0) >= 1 for n in nodes))
        room = sum(_room(node, self._per_worker(gpus)) for node in nodes)
        if room < asked.workers:
            sizes = "; ".join(f"{n.get('CPU', 0):g} CPUs and {n.get('GPU', 0):g} GPUs" for n in nodes)
            if asked.workers == 1:
                raise InputError(
                    f"a trial asks for {asked.cpus} CPUs and {gpus:g} GPUs, and no node has as many: there are "
                    f"{sizes}. Lower --cpus or --gpus, or use larger nodes."
                )
            raise InputError(
                f"a trial asks for {asked.workers} workers with {asked.cpus} CPUs and {gpus:g} GPUs each, and there is "
                f"room for {room}: there are {sizes}. Lower --workers, --cpus or --gpus, or use more nodes."
            )
        at_once = room // asked.workers if asked.workers > 1 else 0
        return replace(asked, gpus=float(gpus)), at_once

    @property
    def per_trial(self) -> dict[str, float]:
        """`cpu` and `gpu` of one trial on this cluster."""
        return {"cpu": float(self._resolved.cpus), "gpu": self._resolved.gpus_per_worker}

    def build(self, cache: Storage, work: Work, numbers: Sequence[int], built: Callable[[int], None]) -> None:
        from swath.engine.ray_backend import data

        data.build(cache, work, numbers, built, self.per_trial["gpu"])

    def build_features(
        self, cache: Storage, local: Path | None, shards: Sequence[FeatureShard], built: Callable[[int], None]
    ) -> None:
        from swath.engine.ray_backend import data

        data.build_features(cache, local, shards, built, self.per_trial)

    def _per_worker(self, gpus: float) -> dict[str, float]:
        return {"CPU": self._resources.cpus, "GPU": gpus}

    def get_ready(self, trials: int) -> None:
        if self._resolved.workers == 1:  # several have processes of Ray Train
            self._hosts(trials)

    def _hosts(self, trials: int) -> "list[ActorHandle]":
        """Actors that start processes quickly, on as many nodes as these trials will take; where there can be any."""
        from swath.engine.ray_backend import warm_processes as warm

        hosts = []
        for node, room in self._room.items() if warm.AVAILABLE else ():
            if room and trials > 0:
                hosts.append(warm.host_on(node, self._key))
                trials -= room
        return hosts

    def probe(self, probes: Sequence[Probe]) -> list[str]:
        import ray
        from ray.exceptions import RayError

        hosts = self._hosts(len(probes))
        if hosts:
            asked = zip(itertools.cycle(hosts), probes, strict=False)
            with contextlib.suppress(RayError):  # a lost process or host: whatever it was, tasks find out
                return [p for p in ray.get([host.call.remote(alone.probe, p) for host, p in asked]) if p]
        task = ray.remote(num_cpus=1, max_retries=1)(alone.probe)
        return [p for p in ray.get([task.remote(p) for p in probes]) if p]

    def train(self, jobs: Sequence[Job], listener: Listener) -> None:
        from swath.engine.ray_backend import tune

        tune.train(
            [replace(job, gpus=self._resolved.gpus_per_worker) for job in jobs],
            listener,
            resources=self._resolved,
            trials_at_once=self._trials_at_once,
            tracking=self._tracking,
            key=self._key,
        )


def _room(node: Mapping[str, float], per_worker: Mapping[str, float]) -> int:
    """How many workers a node has room for."""
    return int(min(node.get(name, 0) / count for name, count in per_worker.items() if count))


def _url(address: str) -> str:
    """`http://HOST:PORT` of `HOST:PORT`, which is all that Ray says; as it is where it says more."""
    return address if not address or "://" in address else f"http://{address}"
