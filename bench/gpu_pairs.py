"""Epochs of swath and of the plain loop in turn, and the rows of the table that they make."""

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from gpu_study import Enough, Size, carry_out, study
from plain_loop import PlainLoop, synchronize

from swath import Recipe, augment
from swath.engine.base import Engine, Listener
from swath.engine.inline import InlineEngine
from swath.plan.progress import Progress
from swath.preprocess.cache.reader import open_entry
from swath.store.storage import Storage
from swath.training.job import Job, Report

EXACT = (augment.HorizontalFlip(), augment.VerticalFlip(), augment.Transpose())
Row = dict[str, Any]


class Pairs(InlineEngine):
    """Trains the only trial of a sweep, and after each of its epochs lets the plain loop train one; both warm up first.

    Args:
        progress: Of the sweep.
        size: How much is measured.
        device: Of the plain loop.

    Attributes:
        epochs: Of swath, one each: seconds, and the numbers of its report.
        plain: Of the plain loop: seconds of training and of validation.
        counts: Images that train, and that validate.
    """

    def __init__(self, progress: Progress, size: Size, device: torch.device) -> None:
        super().__init__()
        self._progress = progress
        self.size = size
        self.device = device
        self.epochs: list[tuple[float, dict[str, float]]] = []
        self.plain: list[tuple[float, float]] = []
        self.counts = (0, 0)

    def train(self, jobs: Sequence[Job], listener: Listener) -> None:
        (job,) = jobs
        loop, self.counts = self._loop(job)
        engine = self

        class Timed:
            def started(self, fingerprint: str) -> None:
                self.begun = time.perf_counter()

            def crashed(self, fingerprint: str, error: str) -> None:
                raise RuntimeError(error)

            def decide(self, report: Report) -> bool:
                if report.state == "FAILED":
                    raise RuntimeError(report.error)
                synchronize(engine.device)
                took, plain = time.perf_counter() - self.begun, loop.epoch()
                if report.epoch > 1:
                    engine.epochs.append((took, report.numbers))
                    engine.plain.append(plain)
                if len(engine.epochs) == engine.size.pairs:
                    raise Enough
                self.begun = time.perf_counter()
                return True

        super().train(jobs, Timed())

    def _loop(self, job: Job) -> tuple[PlainLoop, tuple[int, int]]:
        (task,) = self._progress.plan.tasks
        trains = task.folds != job.spec.fold
        entry, recipe = open_entry(Storage(job.cache), job.entries["train"], None), job.spec.recipe
        images = entry.take(entry.rows_of(task.record.rows["id"].to_numpy(str)))
        loop = PlainLoop(
            job.spec.backbone.model,
            images,
            task.record.targets,
            trains,
            batch=recipe.batch_size,
            precision=recipe.precision,
            symmetries=recipe.augment == EXACT,
            device=self.device,
        )
        return loop, (int(trains.sum()), int((~trains).sum()))


def measured(root: Path, size: Size, device: torch.device, name: str, model: str, **recipe: Any) -> Pairs:
    """Epochs of swath and of the plain loop, in turn; `few` in the recipe asks for the smaller table."""
    few = recipe.pop("few", False)
    settings = {"epochs": 2 + size.pairs, "batch_size": size.batch, "image_size": size.px, "optimizer": "adamw"}
    settings |= {"precision": size.precision, "channels_last": True, **recipe}
    sweep = study(root, size, name, Recipe(**settings), model, **({"max_train_images": size.few} if few else {}))
    engines: list[Pairs] = []

    def make(progress: Progress) -> Engine:
        engines.append(Pairs(progress, size, device))
        return engines[0]

    carry_out(root, size, sweep, make)
    return engines[0]


def row(check: str, ratios: Sequence[float], target: float | None, detail: str) -> Row:
    return {
        "check": check,
        "value": statistics.median(ratios),
        "low": min(ratios),
        "high": max(ratios),
        "target": target,
        "detail": detail,
    }


def step_row(title: str, pairs: Pairs, target: float | None) -> Row:
    """Training images a second, against the plain loop's."""
    rates = [numbers["images_per_s"] for _, numbers in pairs.epochs]
    plain = [pairs.counts[0] / train_s for train_s, _ in pairs.plain]
    detail = f"{statistics.median(rates):,.0f} of {statistics.median(plain):,.0f} images/s"
    return row(title, [a / b for a, b in zip(rates, plain, strict=True)], target, detail)


def epoch_rows(title: str, pairs: Pairs, target: float | None) -> list[Row]:
    """Whole epochs with validation, against the plain loop's; and where the time goes."""
    took = [seconds for seconds, _ in pairs.epochs]
    ratios = [sum(plain) / seconds for plain, seconds in zip(pairs.plain, took, strict=True)]
    numbers = pairs.epochs[-1][1]
    train_s = pairs.counts[0] / numbers["images_per_s"]
    val_s = numbers["ms_per_image"] * pairs.counts[1] / 1000
    steps_s = min(train_s, pairs.plain[-1][0])
    parts = {"steps": steps_s, "data and waiting": train_s - steps_s, "validation": val_s}
    parts["the rest"] = max(0.0, took[-1] - train_s - val_s)
    profile = ", ".join(f"{name} {seconds / took[-1]:.0%}" for name, seconds in parts.items())
    detail = f"{statistics.median(took):.2f} s, plain {statistics.median(map(sum, pairs.plain)):.2f} s: {profile}"
    return [row(title, ratios, target, detail)]


def prediction_row(title: str, pairs: Pairs, target: float | None) -> Row:
    ms = [numbers["ms_per_image"] for _, numbers in pairs.epochs]
    plain = [1000 * val_s / pairs.counts[1] for _, val_s in pairs.plain]
    detail = f"{statistics.median(ms):.3f} ms an image, plain {statistics.median(plain):.3f}"
    return row(title, [b / a for a, b in zip(ms, plain, strict=True)], target, detail)
