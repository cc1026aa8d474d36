"""Do the report's intervals hold what they say? Sweeps with known effects, estimated by the report's own code.

Each setting simulates sweeps and counts in how many the 95 % interval of an effect holds its true value, and in how
many a factor that does nothing gets a verdict all the same (after Holm's correction). The last two lines are
`coverage MEAN LOWEST HIGHEST` over the settings and `false_positive WORST`.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from simulated_sweeps import COMMON, FACTORS, ONE_PAIR, RARE, TWELVE, Cell, Planted, World, plant

from swath import metrics
from swath.asha import Asha, Rungs
from swath.report.evidence import gather
from swath.report.pairs import Member, matched
from swath.report.uncertainty import Units, contrast, estimate, image_variances
from swath.report.verdicts import holm

IMAGES = 400
ALPHA = 0.05
REPLICATES = 500
Trial = tuple[Cell, int]


@dataclass(frozen=True)
class Setting:
    """What is simulated.

    Attributes:
        name: For the table.
        grid: Factor name to levels.
        seeds: Seeds of every cell; in two phases those of the second.
        prevalence: Of the labels.
        two_phase: First seeds compete under ASHA, fresh seeds of the survivors are compared.
        times: Multiple of the asked number of sweeps; one pair says less than twelve cells.
    """

    name: str
    grid: dict[str, tuple[str, ...]]
    seeds: int
    prevalence: np.ndarray
    two_phase: bool = False
    times: int = 1


@dataclass
class Tally:
    """Counts over sweeps; two of them add up."""

    stated: int = 0
    silent: int = 0
    covered: int = 0
    families: int = 0
    false: int = 0
    width: float = 0.0
    error: float = 0.0
    squared: float = 0.0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


def settings() -> list[Setting]:
    found = [
        Setting(f"{grid}, {seeds} seed{'s' * (seeds > 1)}, {labels}", levels, seeds, prevalence, times=times)
        for labels, prevalence in (("common", COMMON), ("rare", RARE))
        for grid, levels, times in (("12 cells", TWELVE, 1), ("one pair", ONE_PAIR, 4))
        for seeds in (1, 2, 3)
    ]
    found += [
        Setting(f"two-phase, 2 fresh seeds, {labels}", TWELVE, 2, prevalence, True)
        for labels, prevalence in (("common", COMMON), ("rare", RARE))
    ]
    return found


def one_sweep(setting: Setting, seed: int) -> Tally:
    """Simulate a sweep, estimate every effect in it, and compare with the truth."""
    rng = np.random.default_rng([seed, *setting.name.encode()])
    sweep = plant(setting.grid, setting.prevalence, rng)
    world = World(sweep, IMAGES, rng)
    trials = list(_second_phase(setting, world)) if setting.two_phase else _all_trials(setting, sweep)
    predictions = [metrics.probabilities(world.scores(cell).astype(np.float16), "sigmoid") for cell, _ in trials]
    return _compare(sweep, trials, world, predictions, seed)


def _all_trials(setting: Setting, sweep: Planted) -> list[Trial]:
    return [(cell, seed) for seed in range(setting.seeds) for cell in sweep.cells]


def _second_phase(setting: Setting, world: World) -> Iterator[Trial]:
    """First seeds run under ASHA, in any order; the survivors and the baseline get fresh seeds."""
    cells, rule = world.sweep.cells, Asha(grace_epochs=1, reduction=2)
    rungs = Rungs(rule)
    alive = set(cells)
    for rung, behind in ((1, -1.0), (2, -0.5)):
        for cell in world.rng.permutation(np.array(cells, object)):
            cell = tuple(cell)
            if cell not in alive:
                continue
            p = metrics.probabilities(world.scores(cell, behind).astype(np.float16), "sigmoid")
            stratum, name = ("", cell[1], 0), "/".join(cell)
            rungs.record(stratum, name, rung, metrics.score("map", "multilabel", world.targets, p))
            if not rungs.goes_on(stratum, name, rung):
                alive.discard(cell)
    for seed in range(1, setting.seeds + 1):
        for cell in cells:
            if cell in alive or cell == cells[0]:
                yield cell, seed


def _compare(sweep: Planted, trials: list[Trial], world: World, predictions: list[np.ndarray], seed: int) -> Tally:
    members = [Member(dict(zip(FACTORS, cell, strict=True)), s, 0, 20) for cell, s in trials]
    truths = np.array([sweep.truth(cell) for cell, _ in trials])
    asked: dict[str, list[Units]] = {}
    for factor in FACTORS:
        base, *others = sweep.grid[factor]
        found = (matched(members, [factor], {(level,): 1.0, (base,): -1.0}) for level in others)
        asked[factor] = [units for units in found if units is not None]
    units = [u for some in asked.values() for u in some]
    if not units:
        return Tally()
    fold = gather(
        *("map", "multilabel", world.targets, np.arange(IMAGES), range(len(trials)), predictions),
        seed=seed,
        replicates=REPLICATES,
    )
    values = metrics.macro(fold.labels)
    tally = Tally()
    for factor, some in asked.items():
        estimates = [estimate(u, values, partial(image_variances, evidence=[fold])) for u in some]
        stated = [(e, contrast(u) @ truths) for e, u in zip(estimates, some, strict=True) if e.source != "none"]
        tally.silent += len(estimates) - len(stated)
        for e, truth in stated:
            tally.stated += 1
            tally.covered += e.low <= truth <= e.high
            tally.width += (e.high - e.low) / 2
            tally.error += e.difference - truth
            tally.squared += (e.difference - truth) ** 2
        if factor in sweep.null and stated:
            tally.families += 1
            tally.false += bool((holm([e.p for e, _ in stated]) < ALPHA).any())
    return tally


def run(setting: Setting, sweeps: int, workers: int) -> Tally:
    """Simulate many sweeps of a setting."""
    seeds = range(sweeps * setting.times)
    if workers < 2:
        return sum((one_sweep(setting, s) for s in seeds), Tally())
    with ProcessPoolExecutor(workers) as pool:
        return sum(pool.map(partial(one_sweep, setting), seeds, chunksize=25), Tally())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=500, help="sweeps of each setting")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--only", default="", help="settings whose name contains this")
    asked = parser.parse_args()
    print(f"{'setting':38} sweeps  stated  coverage  half-width  rms error    bias   false positives")
    coverage, false = [], []
    for setting in settings():
        if asked.only not in setting.name:
            continue
        started = time.time()
        tally = run(setting, asked.sweeps, asked.workers)
        head = f"{setting.name:38} {asked.sweeps * setting.times:6} {tally.stated:7}"
        if not tally.stated:
            print(f"{head}  no interval stated, as it must be ({tally.silent} differences)")
            continue
        n = tally.stated
        coverage.append(tally.covered / n)
        false.append(tally.false / tally.families)
        print(
            f"{head}  {coverage[-1]:8.3f} {100 * tally.width / n:11.2f} {100 * (tally.squared / n) ** 0.5:10.2f} "
            f"{100 * tally.error / n:+7.3f}   {false[-1]:.3f} of {tally.families}   {time.time() - started:.0f} s",
            flush=True,
        )
    print(f"coverage {np.mean(coverage):.4f} {min(coverage):.4f} {max(coverage):.4f}")
    print(f"false_positive {max(false):.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
