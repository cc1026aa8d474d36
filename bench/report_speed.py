"""Seconds and peak memory of a whole report on a large sweep: 72 trials x 13,099 images x 60 labels by default.

The trials are drawn, not trained, and written into a store as trials are; then `write_report` reads and reports them.
Prints a line for each stage with its wall and CPU seconds (threads and all), then the total and the target.
"""

import argparse
import itertools
import resource
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from swath import losses, ops
from swath.analysis import analyse as analysis
from swath.config import chains
from swath.config.recipe import Backbone, Recipe
from swath.config.splits import Holdout
from swath.config.trial_spec import TrialSpec
from swath.report import write
from swath.store import sweeps as sweeps_
from swath.store import tasks as tasks_
from swath.store.states import State
from swath.store.storage import Storage
from swath.store.sweeps import ListedTask, ListedTrial, SweepRecord
from swath.store.tasks import TaskRecord
from swath.store.trials import Outcome, Trial

TARGET_S, TARGET_GB = 60, 2
SWEEP, DATA, SPLIT, EPOCHS = "large", "data-large", Holdout(0.5), 20
CHAINS = {"raw": (), "sharpen": (ops.Sharpen(),)}
LOSSES = {"bce": losses.BCE(), "focal": losses.Focal(), "asl": losses.Asymmetric()}
LEVELS = {"preprocess": tuple(CHAINS), "backbone": tuple("abcd"), "loss": tuple(LOSSES)}
STAGES = {
    "reading": [(write, "read_results")],
    "effects": [(analysis, "evidence"), (analysis, "from_evidence")],
    "ranking": [(analysis, "cell_results")],
    "ensembles": [(analysis, "ensembles"), (analysis, "diversity")],
    "thresholds": [(analysis, "thresholds"), (analysis, "calibration")],
    "pictures": [(write, "_write_pictures")],
    "page": [(write, "numbers"), (write, "page"), (write, "leaderboard"), (write, "trial_table")],
}
"""The functions of each stage, where the report calls them; what is left is `other`."""


@dataclass
class Clock:
    """Seconds of a stage, by the wall and of this process's threads."""

    wall_s: float = 0.0
    cpu_s: float = 0.0

    @contextmanager
    def running(self):
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall_s += time.perf_counter() - wall
        self.cpu_s += time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=13_099)
    parser.add_argument("--labels", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=3, help="of each of the 24 cells")
    parser.add_argument("--store", type=Path, help="keep the drawn sweep here, or use the one that is here already")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = asked.store or Path(folder) / "store"
        if not root.exists():  # in a process of its own, so that its memory is not counted
            writer = get_context("spawn").Process(
                target=write_sweep, args=(root, asked.images, asked.labels, asked.seeds)
            )
            writer.start()
            writer.join()
        print(f"{24 * asked.seeds} trials x {asked.images:,} images x {asked.labels} labels; {peak():.2f} GB before")
        clocks, total = {name: timed(stage) for name, stage in STAGES.items()}, Clock()
        with total.running():
            write.write_report(Storage(str(root)), SWEEP, Path(folder) / "report")
    rest = Clock(*(sum(getattr(c, n) for c in clocks.values()) for n in ("wall_s", "cpu_s")))
    clocks["other"] = Clock(total.wall_s - rest.wall_s, total.cpu_s - rest.cpu_s)
    for name, clock in [*clocks.items(), ("total", total)]:
        print(f"{name:10} {clock.wall_s:6.1f} s   cpu {clock.cpu_s:6.1f} s")
    verdict = "met" if total.wall_s <= TARGET_S and peak() <= TARGET_GB else "missed"
    print(f"peak       {peak():6.2f} GB")
    print(f"target     {TARGET_S:6.1f} s and {TARGET_GB} GB on 2 cores: {verdict}")


def timed(stage: list[tuple[Any, str]]) -> Clock:
    """Count the seconds of some functions, from now on, on one clock."""
    clock = Clock()

    def counted(work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **named: Any) -> Any:
            with clock.running():
                return work(*args, **named)

        return run

    for module, name in stage:
        setattr(module, name, counted(getattr(module, name)))
    return clock


def peak() -> float:
    """Largest memory of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def write_sweep(root: Path, images: int, labels: int, seeds: int) -> None:
    """A finished sweep of 24 cells in a new store; the first of 60 labels has 13 positives in 13,099 images."""
    rng = np.random.default_rng(0)
    targets = (rng.random((images, labels)) < np.linspace(0.001, 0.5, labels)).astype(np.uint8)
    rows = pd.DataFrame(
        {"id": [f"i{i:06d}" for i in range(images)], "split": "train", "group": np.arange(images), "bad": ""}
    )
    record = TaskRecord(SWEEP, "multilabel", "map", tuple(f"label {c}" for c in range(labels)), rows, targets, None)
    storage = Storage(str(root))
    tasks_.write_task(storage, DATA, record)
    tasks_.write_folds(storage, DATA, SPLIT.canonical(), np.zeros(images, np.int64))
    hard = rng.standard_normal((images, labels), dtype=np.float32)
    listed = [
        _write_trial(storage, dict(zip(LEVELS, cell, strict=True)), seed, at, record, hard)
        for at, (seed, cell) in enumerate(itertools.product(range(seeds), itertools.product(*LEVELS.values())))
    ]
    sweep = SweepRecord(
        name=SWEEP,
        tasks=(ListedTask(data=DATA, label=SWEEP, labels=record.labels, metric="map"),),
        split=SPLIT.canonical(),
        rule="",
        seeds=tuple(range(seeds)),
        notes=(),
        trials=tuple(listed),
    )
    sweeps_.write_sweep(storage, sweep)


def _write_trial(
    storage: Storage, factors: dict[str, str], seed: int, at: int, record: TaskRecord, hard: np.ndarray
) -> ListedTrial:
    """What a finished trial leaves in the store; its entry in the sweep."""
    own = np.random.default_rng([1, at]).standard_normal(hard.shape, dtype=np.float32)
    logits = ((2.5 + 0.1 * (at % 7)) * record.targets - 2 + hard + 0.5 * own).astype(np.float16)
    spec = TrialSpec(
        **{"task": SWEEP, "kind": "multilabel", "metric": "map", "data": DATA, "split": SPLIT, "fold": 0},
        **{"preprocess": chains.finished(CHAINS[factors["preprocess"]], 64), "loss": LOSSES[factors["loss"]]},
        **{"backbone": Backbone(factors["backbone"]), "weights": factors["backbone"], "threads": 1, "seed": seed},
        recipe=Recipe(epochs=EPOCHS, image_size=64),
    )
    trial = Trial(storage, spec.fingerprint)
    trial.begin(spec)
    trial.write_metrics(pd.DataFrame([{"epoch": e, "score": e / 40, "seconds": 9.0} for e in range(1, EPOCHS + 1)]))
    trial.write_logits(f"val/{EPOCHS}", record.rows["id"].to_numpy(str), logits)
    trial.finish(Outcome(State.COMPLETE, epochs=EPOCHS, score=0.5, device_s=9.0 * EPOCHS, device="cpu"))
    return ListedTrial(
        fingerprint=spec.fingerprint,
        cell=" / ".join(factors.values()),
        factors=factors,
        baseline=at == 0,
        data=DATA,
        fold=0,
        seed=seed,
        epochs=EPOCHS,
        rungs=(),
    )


if __name__ == "__main__":
    main()
