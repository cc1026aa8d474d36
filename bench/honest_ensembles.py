"""Is an ensemble's reported score what it scores on new images? Simulated sweeps, each with a large fresh test set.

For each kind of ensemble: how far the reported (cross-fitted) score and the naive one (on the images that chose the
members) lie from the score of the chosen members on the fresh images, in how many sweeps the reported 95 % interval
holds that score, and the same for the gain over the single best run. Ends with a line for each kind of ensemble.
"""

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
import pandas as pd
from simulated_sweeps import COMMON, FACTORS, RARE, TWELVE, World, plant
from threadpoolctl import threadpool_limits

from swath.analysis.ensembles.cross_fit import ensembles
from swath.analysis.ensembles.pool import Pool
from swath.analysis.ensembles.rules import BEST, GREEDY, RANKS, SINGLE, WEIGHTED, EnsembleWeights
from swath.analysis.results import TaskResults, TrialResult
from swath.core import metrics
from swath.store.storage import Storage
from swath.store.tasks import TaskRecord

IMAGES, FRESH, SEEDS = 300, 20_000, 2
NAMES = (SINGLE, BEST, GREEDY, WEIGHTED, RANKS)


def simulated(seed: int, prevalence: np.ndarray, shift: float) -> tuple[Pool, np.ndarray, np.ndarray]:
    """A sweep's candidates on its validation images; labels [FRESH, C] and logits [K, FRESH, C] of fresh images."""
    rng = np.random.default_rng([20_261_122, seed])
    sweep = plant(TWELVE, prevalence, rng)
    world = World(sweep, IMAGES + FRESH, rng)
    runs = [(cell, s) for cell in sweep.cells for s in range(SEEDS)]
    logits = np.stack([world.scores(cell) - 2.0 for cell, _ in runs])
    logits[1::2] += shift
    logits = logits.astype(np.float16)
    rows = pd.DataFrame(
        {"id": [f"i{i}" for i in range(IMAGES)], "split": "train", "group": np.arange(IMAGES), "bad": ""}
    )
    labels = tuple(f"label {c}" for c in range(len(prevalence)))
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


def one_sweep(rare: bool, shift: float, seed: int) -> dict[str, list[float]]:
    """By ensemble the reported, naive and fresh score, its gain, and 1 where an interval holds what is fresh."""
    pool, targets, logits = simulated(seed, RARE if rare else COMMON, shift)
    p = metrics.probabilities(logits, "sigmoid")
    found, fresh = {}, {}
    for e in ensembles(pool):
        if e.name in NAMES:
            mix = EnsembleWeights(tuple(pool.runs.index(run) for run in e.members), e.weights, e.average)
            new = fresh[e.name] = metrics.score("map", "multilabel", targets, mix.apply(p))
            gain, low, high = e.gain
            found[e.name] = [
                *(e.score, e.naive, new, float(e.low <= new <= e.high)),
                *(gain, new - fresh[SINGLE], float(low <= new - fresh[SINGLE] <= high)),
            ]
    return found


def swept(rare: bool, shift: float, seeds: range, processes: int) -> Iterator[dict[str, list[float]]]:
    # One thread each: several processes whose matrix products take all cores wait for each other most of the time.
    with ProcessPoolExecutor(processes, initializer=threadpool_limits, initargs=(1,)) as pool:
        yield from pool.map(partial(one_sweep, rare, shift), seeds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the first sweep; others give other sweeps")
    parser.add_argument("--rare", action="store_true", help="a third of the labels with 1 to 4 percent positives")
    parser.add_argument("--shift", type=float, default=0.0, help="of every second run's logits, as by another loss")
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    print(f"{asked.sweeps} sweeps, {IMAGES} validation and {FRESH:,} fresh images, {SEEDS} seeds; points of mAP")
    print(f"{'ensemble':10} fresh   reported - fresh   naive - fresh     gain: reported - fresh   interval holds gain")
    seeds = range(asked.seed, asked.seed + asked.sweeps)
    found = list(swept(asked.rare, asked.shift, seeds, asked.processes))
    lines = []
    for name in NAMES:
        reported, naive, fresh, held, gain, fresh_gain, gain_held = np.array([sweep[name] for sweep in found]).T
        honest, flattering = _bias(reported - fresh), _bias(naive - fresh)
        print(
            f"{name:10} {100 * fresh.mean():5.2f}   {honest:16}   {flattering:15}   {_bias(gain - fresh_gain):22}   "
            f"{int(gain_held.sum())} of {len(held)}"
        )
        lines.append(f"{name:10} bias {honest}, naive {flattering}, covered {int(held.sum())} of {len(held)}")
    print("\n".join(lines))


def _bias(differences: np.ndarray) -> str:
    """Mean in points, and its standard error."""
    error = differences.std(ddof=1) / len(differences) ** 0.5 if len(differences) > 1 else float("nan")
    return f"{100 * differences.mean():+.2f} +- {100 * error:.2f}"


if __name__ == "__main__":
    main()
