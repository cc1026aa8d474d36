"""What tests have a forked process do. It imports this module, which loads neither ray nor torch."""

import os
import signal
import sys
import time
from pathlib import Path

from swath.engine.in_process import train_alone
from swath.engine.ray_backend.fork_server import Stopped, Tell
from swath.training.job import Job, Report


def surroundings() -> tuple[int, int, str, str | None, bool, list[str]]:
    here = Path.cwd()
    return (
        os.getpid(),
        os.getppid(),
        str(here),
        os.environ.get("CUDA_VISIBLE_DEVICES"),
        "torch" in sys.modules,
        sys.path,
    )


def counted(last: int, tell: Tell) -> str:
    """Tells 1, 2, ... and leaves a mark if it is stopped."""
    folder = Path(os.environ["MARKS"])
    try:
        for number in range(1, last + 1):
            tell(number)
    except Stopped:
        (folder / "stopped").touch()
        raise
    return "all"


def failing() -> None:
    raise ValueError("no such thing")


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def slept(folder: str) -> None:
    (Path(folder) / "begun").touch()
    time.sleep(60)


def sum_on_gpu(values: int) -> tuple[float, str]:
    """What the GPU makes of 0 + 1 + ... + values - 1, and its name."""
    import torch

    total = torch.arange(values, device="cuda", dtype=torch.float64).sum()
    return float(total), torch.cuda.get_device_name()


def trained(job: Job) -> tuple[list[Report], bool]:
    """The reports of a trial, and whether this process has a CUDA context afterwards."""
    import torch

    reports: list[Report] = []
    train_alone(job, reports.append)
    return reports, torch.cuda.is_initialized()
