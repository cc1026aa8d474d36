"""The sweeps of `gpu.py`, full size and for a rehearsal, and what carries them out."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from swath import Backbone, Recipe, Sweep, holdout, tasks
from swath.engine.base import Engine, Listener
from swath.engine.driver import run
from swath.engine.inline import InlineEngine
from swath.plan.make import make_plan
from swath.plan.progress import Progress, read_progress
from swath.store.storage import Locations
from swath.training.job import Job

LABELS = [f"label{i}" for i in range(8)]


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        images: Of the table; one in six validates.
        few: Of the smaller table of what may be slow.
        files: Different images among them.
        px: Side of the images.
        batch: Images of a step.
        large: The network to be fed.
        small: A small one.
        precision: Of training.
        pairs: Epochs of swath and of the plain loop, in turn.
        threads: CPU threads of a trial.
        upscaled: Images of `upscaled_px` that super-resolution gets.
        epochs: Of a trial that has half of the GPU.
    """

    images: int = 10_240
    few: int = 2_560
    files: int = 256
    px: int = 224
    batch: int = 256
    large: str = "resnet50"
    small: str = "resnet18"
    precision: str = "bf16"
    pairs: int = 3
    threads: int = 8
    upscaled: int = 100
    upscaled_px: int = 256
    epochs: int = 6


QUICK = Size(96, 48, 48, 32, 16, "test_resnet", "test_resnet", "fp32", 1, 1, 2, 16, 1)
"""A rehearsal without a GPU: its numbers mean nothing."""


class Enough(BaseException):
    """Ends a sweep of which everything has been measured."""


def write_images(folder: Path, count: int, px: int, rows: int) -> Path:
    """A table of so many rows and images, as JPEG."""
    if not (folder / "train.csv").is_file():
        rng = np.random.default_rng(px)
        folder.mkdir(parents=True)
        for number in range(count):
            coarse = rng.integers(0, 256, (px // 8, px // 8, 3), dtype=np.uint8)
            image = cv2.resize(coarse, (px, px), interpolation=cv2.INTER_CUBIC).astype(np.int16)
            pixels = (image + rng.integers(-9, 10, image.shape)).clip(0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / f"{number}.jpg"), pixels)
        table = pd.DataFrame({"id": range(rows), "path": [f"{row % count}.jpg" for row in range(rows)]})
        table = table.join(pd.DataFrame(rng.random((rows, len(LABELS))) < 0.4, columns=LABELS).astype(int))
        table.to_csv(folder / "train.csv", index=False)
    return folder


def study(root: Path, size: Size, name: str, recipe: Recipe, model: str, **more: Any) -> Sweep:
    data = write_images(root / "images", size.files, size.px, size.images)
    backbone = Backbone(model, pretrained=False)
    task = more.pop("task", tasks.Csv(str(data)))
    return Sweep(name=name, task=task, split=holdout(1 / 6), backbone=backbone, recipe=recipe, **more)


def carry_out(root: Path, size: Size, sweep: Sweep, make: Callable[[Progress], Engine]) -> None:
    progress = read_progress(make_plan(sweep, Locations.of(str(root / "store")), size.threads))
    with contextlib.suppress(Enough):
        run(progress, make(progress), lambda line: None)


class Builder(InlineEngine):
    """Builds the caches of a sweep, keeps its jobs, and runs none."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[Job] = []

    def train(self, jobs: Sequence[Job], listener: Listener) -> None:
        self.jobs = list(jobs)
        raise Enough
