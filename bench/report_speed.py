"""Seconds and peak memory of a report's numbers on a large sweep: 72 trials x 13,099 images x 60 labels by default.

The trials are drawn, not trained, and handed over as the store's reader does; prints a line for each part.
"""

import argparse
import itertools
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from swath import metrics
from swath.paths import Storage
from swath.predictions import TaskRecord
from swath.report.cells import cell_results
from swath.report.ensemble import ensembles
from swath.report.pool import Pool
from swath.report.results import TaskResults, TrialResult
from swath.report.task_effects import task_effects

T = TypeVar("T")
LEVELS = {"preprocess": ("raw", "sharpen"), "backbone": tuple("abcd"), "loss": ("bce", "focal", "asl")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=13_099)
    parser.add_argument("--labels", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=3, help="of each of the 24 cells")
    parser.add_argument("--only", default="", help="effects, ranking or ensembles; empty measures all")
    asked = parser.parse_args()
    task = simulated(asked.images, asked.labels, asked.seeds)
    print(f"{len(task.trials)} trials x {asked.images:,} images x {asked.labels} labels; {peak():.2f} GB before")
    parts: dict[str, Callable[[], object]] = {
        "effects": lambda: task_effects(task),
        "ranking": lambda: cell_results(task),
        "ensembles": lambda: ensembles(Pool.of(task)),
    }
    for name, work in parts.items():
        if asked.only in name:
            started = time.perf_counter()
            work()
            print(f"{name:10} {time.perf_counter() - started:6.1f} s   peak {peak():.2f} GB", flush=True)


def peak() -> float:
    """Largest memory of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def simulated(images: int, labels: int, seeds: int) -> TaskResults:
    """A finished sweep of 24 cells; every sixtieth label is rare."""
    rng = np.random.default_rng(0)
    targets = (rng.random((images, labels)) < np.linspace(0.001, 0.5, labels)).astype(np.uint8)
    rows = pd.DataFrame({"id": np.arange(images).astype(str), "split": "train", "group": np.arange(images), "bad": ""})
    record = TaskRecord("large", "multilabel", "map", tuple(map(str, range(labels))), rows, targets, None)
    hard = rng.standard_normal((images, labels), dtype=np.float32)
    trials = tuple(
        _trial(dict(zip(LEVELS, cell, strict=True)), seed, at, record, hard)
        for at, (seed, cell) in enumerate(itertools.product(range(seeds), itertools.product(*LEVELS.values())))
    )
    base = {name: levels[0] for name, levels in LEVELS.items()}
    return TaskResults("large", "data", record, np.zeros(images, np.int64), base, trials, {0: np.arange(images)}, ())


def _trial(factors: dict[str, str], seed: int, at: int, record: TaskRecord, hard: np.ndarray) -> TrialResult:
    own = np.random.default_rng([1, at]).standard_normal(hard.shape, dtype=np.float32)
    logits = ((2.5 + 0.1 * (at % 7)) * record.targets - 2 + hard + 0.5 * own).astype(np.float16)
    score = metrics.score("map", "multilabel", record.targets, metrics.probabilities(logits, "sigmoid"))
    return TrialResult(
        **{"fingerprint": str(at), "cell": " / ".join(factors.values()), "factors": factors, "baseline": at == 0},
        **{"data": "data", "fold": 0, "seed": seed, "epochs_planned": 20, "rungs": (), "state": "COMPLETE"},
        **{"outcome": None, "problem": "", "at_work": "", "spec": {"link": "sigmoid"}, "metrics": pd.DataFrame()},
        storage=Storage(str(Path.cwd())),
        val_logits=logits,
        scores={"map": score, "macro_f1": float("nan")},
    )


if __name__ == "__main__":
    main()
