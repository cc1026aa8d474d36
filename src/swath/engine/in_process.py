"""Training and probing in one process, this one or a child of a fork server. No Ray; torch at the first call."""

import contextlib
import logging
import os
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from swath.core.errors import SwathError
from swath.core.process import hide_gpus
from swath.engine.base import Probe
from swath.store.paths import tool_folder
from swath.training.job import Job, Report

POLL_S, PATIENCE_S = 5.0, 1800.0


def train_alone(job: Job, report: Callable[[Report], None]) -> None:
    """Run a trial in this process once its share of a GPU is free; see `swath.training.trial.run_trial`.

    Args:
        job: The trial.
        report: Called with the report of each epoch.

    Raises:
        DeviceLostError: The GPU broke this process, which can train nothing any more.
    """
    from swath.training.trial import run_trial, trial_epochs

    hide_gpus(job.gpus)
    with contextlib.ExitStack() as until_memory_is_back:

        def epochs(job: Job) -> Generator[Report]:
            if job.gpus is not None and 0 < job.gpus < 1:
                peers = Peers(device_uuid())
                wait_for_memory(job.gpus, device_memory, peers.any)
                until_memory_is_back.enter_context(peers.joined())
            yield from trial_epochs(job)

        run_trial(job, report, epochs)


def can_train(gpus: float) -> bool:
    """True if this process reaches the GPUs that a trial was given."""
    from swath.models.device import can_compute

    return not gpus or can_compute()


def probe(request: Probe) -> str:
    """Build a backbone once; see `swath.training.trial.probe_backbone`."""
    from swath.training.trial import probe_backbone

    return probe_backbone(request.backbone, request.image_size)


def device_memory() -> tuple[int, int]:
    """Free and total bytes of the current GPU, whoever holds the rest."""
    import torch

    return torch.cuda.mem_get_info()


def device_uuid() -> str:
    """What tells the current GPU apart from every other, whatever number it has in this process."""
    import torch

    return str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid)


class Peers:
    """The trials on this machine that have a share of one GPU: each locks a file while it trains, and so do killed ones
    no longer.

    Args:
        device: `device_uuid()`.
        folder: Where the files are; None is a folder of this machine and user.
    """

    def __init__(self, device: str, folder: Path | None = None) -> None:
        self._folder = (folder or tool_folder("gpus")) / device
        self._folder.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def joined(self) -> Iterator[None]:
        """Be one of them within the block."""
        file = self._folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}.lock"
        try:
            with FileLock(file):
                yield
        finally:
            file.unlink(missing_ok=True)

    def any(self) -> bool:
        """True if there is one."""
        return any(map(_is_locked, self._folder.glob("*.lock")))


def _is_locked(file: Path) -> bool:
    try:
        with FileLock(file, timeout=0):
            file.unlink(missing_ok=True)  # its process was killed
    except Timeout:
        return True
    return False


def wait_for_memory(
    share: float,
    read: Callable[[], tuple[int, int]],
    peers: Callable[[], bool],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return once a trial's share of its GPU is free; while peers train there, however long they take.

    Args:
        share: Above 0 and below 1.
        read: Gives free and total bytes of the GPU.
        peers: True while other trials of this machine train on it.
        sleep: Waits for some seconds.

    Raises:
        SwathError: It was not free half an hour after the last peer had ended. The message gives how much is.
    """
    from swath.models.device import USABLE

    waited_s, began = 0.0, True
    while True:
        free, total = read()
        if free >= share * USABLE * total:
            return
        if began:
            logging.getLogger(__name__).warning(
                "a trial waits for %s of its GPU's memory: %.1f GiB are free", f"{share * USABLE:.0%}", free / 2**30
            )
            began = False
        if peers():
            waited_s = 0.0
        if waited_s >= PATIENCE_S:
            raise SwathError(
                f"a trial with {share:g} of a GPU waited {PATIENCE_S / 60:.0f} minutes for {share * USABLE:.0%} of its "
                f"memory, and {free / 2**30:.1f} of {total / 2**30:.1f} GiB are free: another process holds the rest "
                "(nvidia-smi names it). End that process, or give the trials a smaller share with --gpus; then start "
                "again with --retry-failed."
            )
        sleep(POLL_S)
        waited_s += POLL_S
