"""Training and probing in one process, this one or a child of a fork server. No Ray; torch at the first call."""

import time
from collections.abc import Callable, Generator

from swath.core.errors import SwathError
from swath.engine.base import Probe
from swath.training.job import Job, Report

ENOUGH = 0.9
"""Of a share, what must be free: CUDA contexts and the driver take some of every GPU's memory for themselves."""
POLL_S, PATIENCE_S = 5.0, 1800.0


def train_alone(job: Job, gpus: float, report: Callable[[Report], None]) -> None:
    """Run a trial in this process; see `swath.training.trial.run_trial`.

    Args:
        job: The trial.
        gpus: Its share of a GPU, which is waited for.
        report: Called with the report of each epoch.
    """
    from swath.training.trial import run_trial, trial_epochs

    def epochs(job: Job) -> Generator[Report]:
        wait_for_memory(gpus)
        yield from trial_epochs(job)

    run_trial(job, report, epochs)


def can_train(gpus: float) -> bool:
    """True if this process reaches the GPUs that a trial was given."""
    import torch

    return not gpus or torch.cuda.is_available()


def probe(request: Probe) -> str:
    """Build a backbone once; see `swath.training.trial.probe_backbone`."""
    from swath.training.trial import probe_backbone

    return probe_backbone(request.backbone, request.image_size)


def device_memory() -> tuple[int, int]:
    """Free and total bytes of the current GPU, whoever holds the rest."""
    import torch

    return torch.cuda.mem_get_info()


def wait_for_memory(
    share: float, read: Callable[[], tuple[int, int]] = device_memory, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Return once a trial's share of its GPU is free.

    Args:
        share: Above 0; a whole GPU or more is no other process's, and not waited for.
        read: Gives free and total bytes of the GPU.
        sleep: Waits for some seconds.

    Raises:
        SwathError: It was not free within half an hour. The message gives how much is.
    """
    if not 0 < share < 1:
        return
    waited_s = 0.0
    while True:
        free, total = read()
        if free >= share * ENOUGH * total:
            return
        if waited_s >= PATIENCE_S:
            raise SwathError(
                f"a trial with {share:g} of a GPU waited {PATIENCE_S / 60:.0f} minutes for {share * ENOUGH:.0%} of its "
                f"memory, and {free / 2**30:.1f} of {total / 2**30:.1f} GiB are free: another process holds the rest "
                "(nvidia-smi names it). End that process, or give the trials a smaller share with --gpus; then start "
                "again with --retry-failed."
            )
        sleep(POLL_S)
        waited_s += POLL_S
