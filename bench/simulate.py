"""Do the report's intervals hold what they say? Sweeps with known effects, estimated by the report's own code.

Each setting simulates sweeps and counts in how many the 95 % interval of an effect holds its true value, and in how
many a factor that does nothing gets a verdict all the same (corrected). Then, where backbones and losses are drawn
from endless many, in how many the wider interval (`analysis/effects/random_effects.py`) holds the effect over all of
them, and how seldom the interval of the grid does. The last two lines are of the first part: `coverage MEAN LOWEST
HIGHEST` over the settings and `false_positive WORST`.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from simulated_sweeps import COMMON, FACTORS, ONE_PAIR, RARE, TWELVE, Cell, Planted, World, plant, plant_drawn
from threadpoolctl import threadpool_limits

from swath.analysis.effects.differences import PairedDifferences, contrast
from swath.analysis.effects.intervals import estimate, image_variances
from swath.analysis.effects.matching import Member, matched
from swath.analysis.effects.random_effects import over_factors
from swath.analysis.effects.significance import bonferroni
from swath.analysis.image_variance import FoldEvidence, gather
from swath.config.stopping import Asha, Rungs
from swath.core import metrics

IMAGES = 400
ALPHA = 0.05
REPLICATES = 500
_APART = 1_000_000  # first seeds of two sets of draws; none has as many sweeps
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
    narrow: int = 0
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


def drawn_settings() -> list[Setting]:
    """Sweeps whose backbones and losses are drawn, asked for what holds beyond them."""
    sizes = {(2, 2): 2, (3, 2): 2, (4, 3): 2, (4, 1): 3}
    return [
        Setting(
            f"drawn: {backbones} backbones x {losses} loss{'es' * (losses > 1)}, {seeds} seeds",
            {
                "preprocess": ("raw", "sharpen"),
                "backbone": tuple(f"b{i}" for i in range(backbones)),
                "loss": tuple(f"l{i}" for i in range(losses)),
            },
            *(seeds, COMMON),
        )
        for (backbones, losses), seeds in sizes.items()
    ]


def one_drawn_sweep(setting: Setting, seed: int) -> Tally:
    """Simulate a sweep of drawn backbones and losses; compare the wider interval with the effect over all of them."""
    rng = np.random.default_rng([seed, *setting.name.encode()])
    sweep, truths = plant_drawn(setting.grid, setting.prevalence, rng)
    truth = truths["sharpen"] - truths["raw"]
    world = World(sweep, IMAGES, rng)
    trials = _all_trials(setting, sweep)
    fold = _gathered(trials, world, _predictions(trials, world), seed)
    units = matched(_members(trials), ["preprocess"], {("sharpen",): 1.0, ("raw",): -1.0})
    assert units is not None
    values = metrics.macro(fold.labels)
    narrow = estimate(units, values, partial(image_variances, evidence=[fold]))
    found = over_factors(units, units.weights @ values, ["backbone", "loss"], narrow.image_variance)
    assert found is not None
    error = narrow.difference - truth
    return Tally(
        **{"stated": 1, "covered": int(found.low <= truth <= found.high), "width": (found.high - found.low) / 2},
        **{"narrow": int(narrow.low <= truth <= narrow.high), "error": error, "squared": error**2},
    )


def one_sweep(setting: Setting, seed: int) -> Tally:
    """Simulate a sweep, estimate every effect in it, and compare with the truth."""
    rng = np.random.default_rng([seed, *setting.name.encode()])
    sweep = plant(setting.grid, setting.prevalence, rng)
    world = World(sweep, IMAGES, rng)
    trials = list(_second_phase(setting, world)) if setting.two_phase else _all_trials(setting, sweep)
    return _compare(sweep, trials, world, _predictions(trials, world), seed)


def _predictions(trials: list[Trial], world: World) -> list[np.ndarray]:
    return [metrics.probabilities(world.scores(cell).astype(np.float16), "sigmoid") for cell, _ in trials]


def _members(trials: list[Trial]) -> list[Member]:
    """The trials as candidates for matching; a world draws each one's random numbers anew, so they are its own."""
    return [Member(dict(zip(FACTORS, cell, strict=True)), s, 0, 20, own_stream=True) for cell, s in trials]


def _gathered(trials: list[Trial], world: World, predictions: list[np.ndarray], seed: int) -> FoldEvidence:
    return gather(
        *("map", "multilabel", world.targets, np.arange(IMAGES), range(len(trials)), predictions),
        seed=seed,
        replicates=REPLICATES,
    )


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
    members = _members(trials)
    truths = np.array([sweep.truth(cell) for cell, _ in trials])
    asked: dict[str, list[PairedDifferences]] = {}
    for factor in FACTORS:
        base, *others = sweep.grid[factor]
        found = (matched(members, [factor], {(level,): 1.0, (base,): -1.0}) for level in others)
        asked[factor] = [units for units in found if units is not None]
    units = [u for some in asked.values() for u in some]
    if not units:
        return Tally()
    fold = _gathered(trials, world, predictions, seed)
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
            tally.false += bool((bonferroni([e.p for e, _ in stated]) < ALPHA).any())
    return tally


def run(setting: Setting, sweeps: int, workers: int, seed: int = 0, one: Callable = one_sweep) -> Tally:
    """Simulate many sweeps of a setting; each seed gives other sweeps."""
    seeds = range(seed * _APART, seed * _APART + sweeps * setting.times)
    if workers < 2:
        return sum((one(setting, s) for s in seeds), Tally())
    # One thread each: processes whose matrix products take all cores wait for each other.
    with ProcessPoolExecutor(workers, initializer=threadpool_limits, initargs=(1,)) as pool:
        return sum(pool.map(partial(one, setting), seeds, chunksize=25), Tally())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=500, help="sweeps of each setting")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--only", default="", help="settings whose name contains this")
    parser.add_argument("--seed", type=int, default=0, help="of all draws; another one gives independent sweeps")
    asked = parser.parse_args()
    fixed = [s for s in settings() if asked.only in s.name]
    drawn = [s for s in drawn_settings() if asked.only in s.name]
    lines = list(_fixed_grids(fixed, asked)) if fixed else []
    if drawn:
        _drawn_grids(drawn, asked)
    print("\n".join(lines))
    return 0


def _fixed_grids(chosen: Sequence[Setting], asked: argparse.Namespace) -> Iterator[str]:
    """Run settings that ask for effects in their grid, print a line for each; the two lines that sum them up."""
    print(f"{'setting':38} sweeps  stated  coverage  half-width  rms error    bias   false positives")
    coverage, false = [], []
    for setting in chosen:
        started = time.time()
        tally = run(setting, asked.sweeps, asked.workers, asked.seed)
        head = f"{setting.name:38} {asked.sweeps * setting.times:6} {tally.stated:7}"
        if not tally.stated:
            print(f"{head}  no interval stated, as it must be ({tally.silent} differences)")
            continue
        coverage.append(tally.covered / tally.stated)
        false.append(tally.false / max(tally.families, 1))
        print(
            f"{head}  {coverage[-1]:8.3f} {_errors(tally)}   {false[-1]:.3f} of {tally.families}   "
            f"{time.time() - started:.0f} s",
            flush=True,
        )
    if coverage:
        yield f"coverage {np.mean(coverage):.4f} {min(coverage):.4f} {max(coverage):.4f}"
        yield f"false_positive {max(false):.4f}"


def _drawn_grids(chosen: Sequence[Setting], asked: argparse.Namespace) -> None:
    """The same for settings that ask beyond their grid; these enter no summary."""
    print("would it hold for other backbones and losses: coverage by the wider interval, and by that of the grid")
    for setting in chosen:
        tally = run(setting, asked.sweeps, asked.workers, asked.seed, one_drawn_sweep)
        wide, narrow = tally.covered / tally.stated, tally.narrow / tally.stated
        print(
            f"{setting.name:38} {asked.sweeps:6} {tally.stated:7}  {wide:8.3f} {_errors(tally)}   grid's {narrow:.3f}",
            flush=True,
        )


def _errors(tally: Tally) -> str:
    """Mean half-width, root mean squared error and bias, in points."""
    n = tally.stated
    return f"{100 * tally.width / n:11.2f} {100 * (tally.squared / n) ** 0.5:10.2f} {100 * tally.error / n:+7.3f}"


if __name__ == "__main__":
    sys.exit(main())
