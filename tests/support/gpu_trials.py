"""Whole trials on a GPU and on the CPU of the same machine, and what their trainers saw."""

import contextlib
import gc
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from swath import Recipe, Sweep, augment, mix
from swath.engine.base import Engine, Listener
from swath.engine.driver import run
from swath.engine.inline import InlineEngine
from swath.plan.progress import Progress
from swath.store.storage import Locations
from swath.store.trials import Outcome, Trial
from swath.training import trial as trials
from swath.training.job import Job, Report
from swath.training.trainer import Trainer
from tests.support.planned import planned_sweep

EVERYTHING = Recipe(
    epochs=3,
    batch_size=8,
    accumulation=2,
    optimizer="adamw",
    lr=3e-3,
    image_size=32,
    precision="bf16",
    channels_last=True,
    ema_decay=0.9,
    clip_norm=1.0,
    augment=(augment.RandAugment(),),
    mix=(mix.CutMix(p=0.5),),
    tta="d4",
)
"""Every feature of training that a GPU computes in its own way, on images of 32 pixels."""


class Recorded(Trainer):
    """Keeps copies on the CPU: the gradient of the first step, and what was predicted last."""

    made: "list[Recorded]"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.gradient: Tensor | None = None
        self.predicted: Tensor | None = None
        self.optimizer.register_step_pre_hook(self._keep_gradient)
        self.made.append(self)

    def _keep_gradient(self, *unused: Any) -> None:
        if self.gradient is None:
            gradients = [p.grad for p in self.net.parameters() if p.grad is not None]
            self.gradient = torch.cat([g.detach().double().cpu().flatten() for g in gradients])

    def predict(self, *arguments: Any, **options: Any) -> Tensor:
        self.predicted = super().predict(*arguments, **options)
        return self.predicted


@contextlib.contextmanager
def hidden_gpus() -> Iterator[None]:
    """What asks for a GPU inside finds none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        patch.setattr(torch.cuda, "device_count", lambda: 0)
        yield


@contextlib.contextmanager
def card_of(size: float) -> Iterator[None]:
    """Nothing allocates more than so many bytes of the GPU in this process, whatever it thinks it may."""
    gc.collect()
    torch.cuda.empty_cache()
    limit = torch.cuda.set_per_process_memory_fraction
    limit(size / torch.cuda.get_device_properties(0).total_memory)
    try:
        with pytest.MonkeyPatch.context() as patch:
            for place in (torch.cuda, torch.cuda.memory):
                patch.setattr(place, "set_per_process_memory_fraction", lambda *unused, **options: None)
            yield
    finally:
        limit(1.0)


def carry_out(sweep: Sweep, store: Path, engine: Engine | None = None) -> Progress:
    progress = planned_sweep(sweep, Locations.of(str(store)))
    run(progress, engine or InlineEngine(), lambda line: None)
    progress.refresh()
    return progress


def recorded(sweep: Sweep, store: Path) -> tuple[Trial, Recorded]:
    """The only trial of a sweep, and its trainer."""
    Recorded.made = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trials, "Trainer", Recorded)
        handle, outcome = only(carry_out(sweep, store))
    assert outcome.state == "COMPLETE", reason(outcome)
    (trainer,) = Recorded.made
    return handle, trainer


def only(progress: Progress) -> tuple[Trial, Outcome]:
    (planned,) = progress.plan.trials
    return progress.plan.handle(planned), progress.outcomes[planned.spec.fingerprint]


def reason(outcome: Outcome) -> str:
    """The line of a failed trial's error that names it, which is short enough for a table."""
    lines = (outcome.error or "").splitlines()
    return next((line for line in reversed(lines) if re.match(r"[\w.]*(Error|Exception)\b", line)), "no error is kept")


def jobs_of(sweep: Sweep, store: Path) -> list[Job]:
    """The jobs of a sweep, whose caches are built, and none of which was started."""
    engine = _Collector()
    with contextlib.suppress(_Collected):
        carry_out(sweep, store, engine)
    return engine.jobs


class _Collected(BaseException):
    pass


class _Collector(InlineEngine):
    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[Job] = []

    def train(self, jobs: Sequence[Job], listener: Listener) -> None:
        self.jobs = list(jobs)
        raise _Collected


class Watched(InlineEngine):
    """Calls a function before each trial and after the last one."""

    def __init__(self, look: Callable[[], None]) -> None:
        super().__init__()
        self._look = look

    def train(self, jobs: Sequence[Job], listener: Listener) -> None:
        for job in jobs:
            self._look()
            super().train([job], listener)
        self._look()


class Killed(BaseException):
    """Stands for the end of a process."""


class KilledAfter(InlineEngine):
    """Ends like a killed process after an epoch."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch = epoch

    def train(self, jobs: Sequence[Job], listener: Listener) -> None:
        def decide(report: Report) -> bool:
            if report.epoch == self.epoch:
                raise Killed
            return inner(report)

        inner = listener.decide
        listener.decide = decide  # type: ignore[method-assign]
        super().train(jobs, listener)
