"""Detectors fitted to each fold, as Ray tasks."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from swath.core.errors import SwathError
from swath.core.process import hide_gpus
from swath.models.detection.finetune import FoldJob, FoldResult, fit_fold


def fit_on_ray(jobs: Sequence[FoldJob], resources: dict[str, float], fitted: Callable[[FoldResult], None]) -> None:
    """Fit on the cluster that this process is connected to; the weights come back to the driver.

    Args:
        jobs: One for each fold. Every node must see the images, and the weights to start from, under the same paths.
        resources: `cpu` and `gpu` of one task.
        fitted: Called with each result as it comes.

    Raises:
        SwathError: A task could not be carried out; the message gives the reason.
    """
    import ray

    # max_calls: the process ends with its task, and gives back the GPU's memory.
    task: Any = ray.remote(num_cpus=resources["cpu"], num_gpus=resources["gpu"], max_calls=1, max_retries=1)(_fit)
    waiting = [task.remote(replace(job, gpus=resources["gpu"])) for job in jobs]
    while waiting:
        ready, waiting = ray.wait(waiting)
        result = ray.get(ready[0])
        if isinstance(result, SwathError):  # as a value: raised, it would reach the driver inside Ray's own wrapper
            for reference in waiting:
                ray.cancel(reference, force=True)
            raise result
        fitted(result)


def _fit(job: FoldJob) -> FoldResult | SwathError:
    hide_gpus(job.gpus)
    try:
        return fit_fold(job)
    except SwathError as error:
        return error
