"""A sweep as one frozen value: `grid(...)` may stand on any field; `swath.plan.cells` expands it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from swath.config.chains import Preprocess
from swath.config.losses import BCE, Loss
from swath.config.recipe import Backbone, Recipe
from swath.config.search import Search
from swath.config.splits import Holdout, KFold, Split
from swath.config.stopping import Asha, TwoPhase
from swath.config.task import Task

DESIGNS = ("grid", "star")
SEARCH = "search"
"""Factor whose levels are the points of a search: cells at one point match, the points themselves are no choice."""
SHARED = ("split", "seeds", "streams", "stop", "max_train_images", "max_test_images", "matters")
"""Fields that decide which trials compare: a union has one value of each, and no grid stands on them."""

MATTERS = 0.005
"""The difference that matters where a study names none: half a point."""
STREAMS = ("own", "common")


def holdout(fraction: float = 0.2, seed: int = 0) -> Holdout:
    """Validate on one stratified share of the training images."""
    return Holdout(fraction, seed)


def kfold(k: int = 5, seed: int = 0) -> KFold:
    """Train every cell k times, each time validating on another stratified part of the training images."""
    return KFold(k, seed)


def asha(grace_epochs: int = 3, reduction: int = 3, exempt: str = "none") -> Asha:
    """Stop hopeless trials early; see `swath.config.stopping.Asha`."""
    return Asha(grace_epochs, reduction, cast(Any, exempt))


def two_phase(
    top: int = 6,
    seeds: tuple[int, ...] = (101, 102, 103),
    grace_epochs: int = 3,
    reduction: int = 3,
    exempt: str = "none",
) -> TwoPhase:
    """ASHA over the grid, then the best cells with fresh seeds to the end; see `swath.config.stopping.TwoPhase`."""
    return TwoPhase(grace_epochs, reduction, cast(Any, exempt), top, seeds)


@dataclass(frozen=True)
class TrialResources:
    """What one trial takes of a machine or a cluster; never part of a trial's identity, but for the threads.

    Attributes:
        cpus: CPUs of each worker, and threads of one that trains on them.
        gpus: GPUs of each worker, or a share of one; None takes a whole one where the cluster has any. A trial with a
            share waits until that share of the GPU's memory is free.
        workers: Workers that train one trial together, each on its own GPU (or CPUs). They share each batch of the
            recipe, so the result is that of one worker, up to float order and the draws of dropout.
    """

    cpus: int = 1
    gpus: float | None = None
    workers: int = 1

    @property
    def gpus_per_worker(self) -> float:
        """GPUs of each worker as a number: 0 as long as nobody knows whether the cluster has any."""
        return float(self.gpus or 0)

    def problems(self) -> list[str]:
        """Sentences about values out of range."""
        problems = []
        if not isinstance(self.cpus, int) or self.cpus < 1:
            problems.append(f"cpus={self.cpus!r}: a trial takes a whole number of CPUs, 1 or more.")
        if self.gpus is not None and not (0 <= self.gpus < 1 or (self.gpus >= 1 and float(self.gpus).is_integer())):
            problems.append(f"gpus={self.gpus!r}: give a share below 1, e.g. 0.5, or a whole number.")
        if not isinstance(self.workers, int) or self.workers < 1:
            problems.append(f"workers={self.workers!r}: a trial takes a whole number of workers, 1 or more.")
        elif self.workers > 1 and self.gpus not in (None, 0, 1):
            problems.append(
                f"workers={self.workers}, gpus={self.gpus:g}: each worker of a trial takes one whole GPU or none; give "
                "gpus=1, gpus=0 or leave it out."
            )
        return problems


@dataclass(frozen=True)
class Sweep:
    """A study: a grid over task x preprocessing x backbone x loss (and any recipe field) with replicates.

    Attributes:
        name: Letters, digits, `_`, `-` and `.`; names the reports and the list of cells in the store.
        task: Where the data come from.
        split: Which training images validate.
        preprocess: A tuple of ops, `()` is raw; or `chain(train=..., test=...)`.
        backbone: A timm name, `hf:NAME`, or a `Backbone`.
        loss: One of `swath.config.losses`.
        recipe: Training settings.
        seeds: Training seeds, each a replicate of every cell.
        streams: Where a trial's random numbers come from. `own`: from its seed and all that it is, so that trials of
            one seed err independently, and a mean over cells is as sure as its number of trials says. `common`: from
            the seed alone; cells then err together, and only more seeds help. A sweep that the store has with `common`
            goes on with it.
        stop: The stopping rule, or None to train every cell to the end.
        max_train_images: Use at most this many training images (a fixed draw); 0 uses all.
        max_test_images: Predict at most this many test images (the first ones); 0 predicts all.
        design: `grid` crosses all grids; `star` has the baseline (the first value of every grid) and one change at a
            time.
        label: What reports call its cell, where a union's cells have names of their own ("A base"); with grids the
            levels follow.
        search: How values are found where ranges (`loguniform(...)` and the like) stand; its points are tried in each
            cell of the grid.
        published: Scores on record, by cell label: one, or (public, private); shown beside the sweep's own.
        matters: The smallest difference that matters, by the task's metric, 0 to 1. The report calls choices equivalent
            whose difference is shown to be smaller, and its power and its advice speak of this difference.
        members: Sweeps whose cells these are instead; see `union`.
    """

    name: str
    task: Task
    split: Split = Holdout()
    preprocess: Preprocess = ()
    backbone: Backbone | str = "resnet50"
    loss: Loss = BCE()
    recipe: Recipe = Recipe()
    seeds: tuple[int, ...] = (0,)
    streams: Literal["own", "common"] = "own"
    stop: Asha | None = None
    max_train_images: int = 0
    max_test_images: int = 0
    design: Literal["grid", "star"] = "grid"
    label: str = ""
    search: Search | None = None
    published: Mapping[str, float | tuple[float, ...]] = field(default_factory=dict)
    matters: float = MATTERS
    members: tuple["Sweep", ...] = ()


def union(*sweeps: Sweep, name: str, published: Mapping[str, float | tuple[float, ...]] | None = None) -> Sweep:
    """The cells of several sweeps as one sweep, where no product of grids can express them.

    The first cell of the first sweep is the baseline. Factors are the settings in which the cells differ (task,
    preprocess, backbone, loss and the fields of the recipe), so cells that differ in one setting only still form
    matched pairs. A cell that several sweeps have is one cell.

    Args:
        sweeps: One or more; split, seeds, stop and the numbers of images must be the same in all.
        name: Of the new sweep.
        published: Scores on record, by cell label; () takes those of the sweeps.
    """
    kept = {label: score for sweep in sweeps for label, score in sweep.published.items()}
    shared = {f: getattr(sweeps[0], f) for f in SHARED} if sweeps else {}
    task = sweeps[0].task if sweeps else cast(Any, None)
    return Sweep(name, task, **shared, published=kept if published is None else published, members=tuple(sweeps))
