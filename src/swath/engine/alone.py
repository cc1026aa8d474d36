"""What a process does by itself, be it this one or a child of a fork server. No Ray; torch at the first call."""

from collections.abc import Callable, Generator

from swath.engine.base import Probe
from swath.engine.gpu_memory import wait_for_memory
from swath.trial_job import Job, Report


def train_alone(job: Job, gpus: float, report: Callable[[Report], None]) -> None:
    """Run a trial in this process; see `swath.trial.run_trial`.

    Args:
        job: The trial.
        gpus: Its share of a GPU, which is waited for.
        report: Hears of each epoch.
    """
    from swath.trial import run_trial, trial_epochs

    def epochs(job: Job) -> Generator[Report]:
        wait_for_memory(gpus)
        yield from trial_epochs(job)

    run_trial(job, report, epochs)


def can_train(gpus: float) -> bool:
    """True if this process reaches the GPUs that a trial was given."""
    import torch

    return not gpus or torch.cuda.is_available()


def probe(wanted: Probe) -> str:
    """Build a backbone once; see `swath.trial.probe_backbone`."""
    from swath.trial import probe_backbone

    return probe_backbone(wanted.backbone, wanted.image_size)
