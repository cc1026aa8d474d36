"""The sections of `gpu.py`: each gives rows of the table. swath's side is whole trials on its inline engine."""

import contextlib
import multiprocessing
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np
import torch
from gpu_pairs import EXACT, Row, epoch_rows, measured, prediction_row, row, step_row
from gpu_study import Builder, Size, carry_out, study, write_images
from spandrel.architectures.ESRGAN import ESRGAN

from swath import Recipe, augment, ops, tasks
from swath.engine.in_process import train_alone
from swath.training.job import Job, Report

HEAVY = (augment.RandomResizedCrop(), augment.ColorJitter(p=1.0), augment.RandAugment())


def large_steps(root: Path, size: Size, device: torch.device) -> list[Row]:
    pairs = measured(root, size, device, "large", size.large)
    return [
        step_row(f"step, {size.large}, {size.batch} images", pairs, 0.95),
        *epoch_rows(f"epoch, {size.large}, no augmentation", pairs, None),
        prediction_row(f"prediction, {size.large}", pairs, 0.90),
    ]


def small_steps(root: Path, size: Size, device: torch.device) -> list[Row]:
    batch = size.batch // 4
    pairs = measured(root, size, device, "small", size.small, batch_size=batch)
    return [step_row(f"step, {size.small}, {batch} images", pairs, 0.85)]


def exact_epochs(root: Path, size: Size, device: torch.device) -> list[Row]:
    pairs = measured(root, size, device, "exact", size.large, augment=EXACT)
    return epoch_rows(f"epoch, {size.large}, flips and transposition", pairs, 0.90)


def heavy_epochs(root: Path, size: Size, device: torch.device) -> list[Row]:
    """Against the plain loop without augmentation. On few images first: one thread would need a minute an epoch."""
    title, target = f"epoch, {size.large}, crops, jitter, RandAugment", 0.85
    pairs = measured(root, size, device, "heavy", size.large, augment=HEAVY, few=True)
    if min(numbers["images_per_s"] for _, numbers in pairs.epochs) > 1000:
        pairs = measured(root, size, device, "heavier", size.large, augment=HEAVY)
    return epoch_rows(title, pairs, target)


class Utilisation:
    """Samples the share of time in which the GPU computes, as its driver reports it, while the block runs."""

    def __enter__(self) -> "Utilisation":
        self.samples: list[float] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        with contextlib.suppress(Exception):  # without a driver, or its library, there are no samples
            import pynvml

            pynvml.nvmlInit()
            gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
            while not self._ended.wait(0.05):
                self.samples.append(pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100)

    @property
    def busy(self) -> float | None:
        """Mean from the first moment of work to the last; None where there was none."""
        at = np.flatnonzero(self.samples)
        return float(np.mean(self.samples[at[0] : at[-1] + 1])) if len(at) else None


def super_resolution(root: Path, size: Size, device: torch.device) -> list[Row]:
    """x4plus with drawn weights over a table of images, through the cache's own way."""
    torch.manual_seed(0)
    weights = root / "x4plus.pth"
    blocks = 23 if device.type == "cuda" else 1
    torch.save(ESRGAN(num_blocks=blocks, scale=4).state_dict(), weights)
    data = write_images(root / "upscaled", size.upscaled, size.upscaled_px, size.upscaled)
    sweep = study(
        root,
        size,
        "upscaled",
        Recipe(epochs=1, image_size=size.px),
        size.small,
        task=tasks.Csv(str(data)),
        preprocess=(ops.SuperRes(weights=str(weights)),),
    )
    started = time.perf_counter()
    with Utilisation() as utilisation:
        carry_out(root, size, sweep, lambda progress: Builder())
    took = time.perf_counter() - started
    detail = f"{size.upscaled / took:.1f} images of {size.upscaled_px} px a second, planning and loading included"
    found = {"value": utilisation.busy, "target": 0.80, "detail": detail}
    return [{"check": "super-resolution x4plus keeps the GPU busy", **found}]


def halves(root: Path, size: Size, device: torch.device) -> list[Row]:
    """Two trials of a small network at once, half a GPU each, against the same one after the other with all of it."""
    px = max(32, size.px // 4)
    recipe = Recipe(
        epochs=size.epochs,
        batch_size=size.batch // 4,
        image_size=px,
        optimizer="adamw",
        precision=size.precision,  # type: ignore[arg-type]
        channels_last=True,
    )
    seeds = tuple(range(2 + 4 * size.pairs))
    sweep = study(root, size, "halves", recipe, size.small, seeds=seeds, max_train_images=size.few)
    builder = Builder()
    carry_out(root, size, sweep, lambda progress: builder)
    jobs = iter(builder.jobs)
    whole, half = (1.0, 0.5) if device.type == "cuda" else (0.0, 0.0)
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as first, context.Pool(1) as second:
        pools = (first, second)

        def at_once(share: float) -> float:
            started = time.perf_counter()
            for waiting in [pool.apply_async(train, (next(jobs), share)) for pool in pools]:
                waiting.get()
            return time.perf_counter() - started

        def in_turn(share: float) -> float:
            started = time.perf_counter()
            for pool in pools:
                pool.apply(train, (next(jobs), share))
            return time.perf_counter() - started

        at_once(half)  # imports, contexts
        times = [(in_turn(whole), at_once(half)) for _ in range(size.pairs)]
    turn_s, together_s = (statistics.median(some) for some in zip(*times, strict=True))
    detail = f"{turn_s:.1f} s in turn, {together_s:.1f} s at once"
    title = f"two halves against one whole, {size.small}, {px} px"
    return [row(title, [a / b for a, b in times], 1.2, detail)]


def train(job: Job, share: float) -> None:
    """One trial in this process."""
    reports: list[Report] = []
    train_alone(replace(job, gpus=share), reports.append)
    if reports[-1].state != "COMPLETE":
        raise RuntimeError(f"{reports[-1].state}: {reports[-1].error}")


SECTIONS: dict[str, Callable[[Path, Size, torch.device], list[Row]]] = {
    "large steps": large_steps,
    "small steps": small_steps,
    "exact augmentation": exact_epochs,
    "heavy augmentation": heavy_epochs,
    "super-resolution": super_resolution,
    "halves": halves,
}
"""Name to what measures it."""
