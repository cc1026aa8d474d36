"""Is an ensemble's reported score what it scores on new images? Simulated sweeps, each with a large fresh test set.

For each kind of ensemble: how far the reported (cross-fitted) score and the naive one (on the images that chose the
members) lie from the score on the fresh images, and in how many sweeps the reported 95 % interval holds that score.
"""

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pandas as pd
from simulated_sweeps import COMMON, FACTORS, TWELVE, World, plant

from swath import metrics
from swath.paths import Storage
from swath.predictions import TaskRecord
from swath.report.ensemble import ensembles
from swath.report.mixing import BEST, GREEDY, SINGLE, WEIGHTED, Mix
from swath.report.pool import Pool
from swath.report.results import TaskResults, TrialResult

IMAGES, FRESH, SEEDS = 300, 20_000, 2
NAMES = (SINGLE, BEST, GREEDY, WEIGHTED)


def simulated(seed: int) -> tuple[Pool, np.ndarray, np.ndarray]:
    """A sweep's candidates on its validation images; labels [FRESH, C] and logits [K, FRESH, C] of fresh images."""
    rng = np.random.default_rng([20_261_122, seed])
    sweep = plant(TWELVE, COMMON, rng)
    world = World(sweep, IMAGES + FRESH, rng)
    runs = [(cell, s) for cell in sweep.cells for s in range(SEEDS)]
    logits = np.stack([world.scores(cell) - 2.0 for cell, _ in runs]).astype(np.float16)
    rows = pd.DataFrame(
        {"id": [f"i{i}" for i in range(IMAGES)], "split": "train", "group": np.arange(IMAGES), "bad": ""}
    )
    labels = tuple(f"label {c}" for c in range(len(COMMON)))
    record = TaskRecord("simulated", "multilabel", "map", labels, rows, world.targets[:IMAGES], None)
    trials = tuple(
        TrialResult(
            **{"fingerprint": f"t{k}", "cell": " / ".join(cell), "factors": dict(zip(FACTORS, cell, strict=True))},
            **{"baseline": k == 0, "data": "simulated", "fold": 0, "seed": s, "epochs_planned": 1, "rungs": ()},
            **{"state": "COMPLETE", "outcome": None, "problem": "", "at_work": "", "spec": {"link": "sigmoid"}},
            **{"metrics": pd.DataFrame(), "storage": Storage("."), "val_logits": logits[k, :IMAGES]},
            scores={"map": score(world.targets[:IMAGES], logits[k, :IMAGES])},
        )
        for k, (cell, s) in enumerate(runs)
    )
    folds = np.zeros(IMAGES, np.int64)
    task = TaskResults("simulated", "simulated", record, folds, {}, trials, {0: np.arange(IMAGES)}, ())
    return Pool.of(task), world.targets[IMAGES:], logits[:, IMAGES:]


def score(targets: np.ndarray, logits: np.ndarray) -> float:
    return metrics.score("map", "multilabel", targets, metrics.probabilities(logits, "sigmoid"))


def one_sweep(seed: int) -> dict[str, tuple[float, float, float]]:
    """Reported minus fresh, naive minus fresh, and 1 where the interval holds the fresh score, by ensemble."""
    pool, targets, logits = simulated(seed)
    p = metrics.probabilities(logits, "sigmoid")
    found = {}
    for e in ensembles(pool):
        if e.name in NAMES:
            mix = Mix(tuple(pool.runs.index(run) for run in e.members), e.weights, e.average)
            fresh = metrics.score("map", "multilabel", targets, mix.apply(p))
            found[e.name] = (e.score - fresh, e.naive - fresh, float(e.low <= fresh <= e.high))
    return found


def swept(count: int, processes: int) -> Iterator[dict[str, tuple[float, float, float]]]:
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(one_sweep, range(count))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweeps", type=int, default=50)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    found = list(swept(options.sweeps, options.processes))
    print(f"{options.sweeps} sweeps, {IMAGES} validation images, {len(TWELVE)} factors, {SEEDS} seeds; points of mAP")
    print("ensemble   reported - fresh   naive - fresh   interval holds fresh")
    for name in NAMES:
        reported, naive, held = np.array([sweep[name] for sweep in found]).T
        error = 100 * reported.std(ddof=1) / np.sqrt(len(reported))
        print(
            f"{name:<10} {100 * reported.mean():+.2f} +- {error:.2f}      {100 * naive.mean():+.2f}           "
            f"{held.mean():.2f}"
        )


if __name__ == "__main__":
    main()
