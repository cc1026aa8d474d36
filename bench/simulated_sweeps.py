"""Sweeps whose true effects are known: scores of images are drawn from a model, the truth is integrated from it.

The model of a score (a logit): positives lie `mu` above negatives; the rest is noise that trials share as real trials
do. Most of it belongs to the image (every trial finds it hard), some to backbone, preprocessing, loss or cell, and
what is left to the trial. A fifth of the images is much harder than the others. `mu` depends on label and cell (main
effects, interactions, effects of their own on single labels) and on the training seed, more so for one backbone.

Average precision of such scores on infinitely many images is an integral over the threshold, and its mean over
seeds an integral over `mu`: neither uses anything of the estimator that is tested.
"""

import itertools
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

Floats = NDArray[np.float64]
EASY, HARD, HARD_SHARE = 0.8, 1.6, 0.2
"""Noise of most images and of the hard ones, as a multiple."""
SHARED = {"image": 0.60, "backbone": 0.10, "preprocess": 0.06, "loss": 0.02, "cell": 0.04, "trial": 0.18}
"""Share of each kind of noise in a score's variance: trials of one cell correlate at .82, of one backbone at .70."""
SEED_COMMON, SEED_LABEL = 0.05, 0.15
"""Standard deviation of `mu` between seeds, common to the labels and of each label's own."""
_COMMON, _OWN = 0.12, 0.15
_SHIFT = float(np.hypot(_COMMON, _OWN))
"""Standard deviation of a planted effect on `mu`: its part common to the labels, each label's own, and together."""
NOISE_OF_BACKBONE = (0.8, 1.6)
"""Seed noise of the first and of the further backbones, as a multiple."""

COMMON = np.linspace(0.07, 0.6, 17)
RARE = np.concatenate([np.linspace(0.012, 0.04, 6), np.linspace(0.07, 0.6, 11)])
Cell = tuple[str, str, str]
FACTORS = ("preprocess", "backbone", "loss")
TWELVE: dict[str, tuple[str, ...]] = {
    "preprocess": ("raw", "grayscale", "sharpen"),
    "backbone": ("small", "large"),
    "loss": ("bce", "focal"),
}
ONE_PAIR: dict[str, tuple[str, ...]] = {"preprocess": ("raw", "sharpen"), "backbone": ("small",), "loss": ("bce",)}


@dataclass
class Planted:
    """What is true of one simulated sweep.

    Attributes:
        grid: Factor name to levels.
        prevalence: [C] share of positives of each label.
        mu: Cell to [C]: how far positives lie above negatives.
        null: Factors whose levels are all equal.
        noise: Multiple of the seed noise by backbone; those not named go by `NOISE_OF_BACKBONE`.
    """

    grid: dict[str, tuple[str, ...]]
    prevalence: Floats
    mu: dict[Cell, Floats] = field(default_factory=dict)
    null: frozenset[str] = frozenset()
    noise: dict[str, float] = field(default_factory=dict)

    @property
    def cells(self) -> list[Cell]:
        """All combinations of levels."""
        return list(itertools.product(*(self.grid[f] for f in FACTORS)))  # type: ignore[arg-type]

    def noise_of(self, cell: Cell) -> float:
        """Multiple of the seed noise."""
        return self.noise.get(cell[1], NOISE_OF_BACKBONE[min(self.grid["backbone"].index(cell[1]), 1)])

    def truth(self, cell: Cell) -> float:
        """Expected macro mAP on the population, over seeds."""
        sd = self.noise_of(cell) * np.hypot(SEED_COMMON, SEED_LABEL)
        return float(np.mean([expected_ap(p, m, sd) for p, m in zip(self.prevalence, self.mu[cell], strict=True)]))


def plant(grid: dict[str, tuple[str, ...]], prevalence: Floats, rng: np.random.Generator) -> Planted:
    """Draw true effects: half of all factors do nothing at all, the others have main effects and interactions."""
    labels = len(prevalence)
    null = frozenset(f for f in FACTORS if rng.random() < 0.5)
    base = rng.uniform(2.2, 3.6, labels)
    main = {(f, lev): _shift(rng, labels) * (f not in null) * (i > 0) for f in FACTORS for i, lev in enumerate(grid[f])}
    sweep = Planted(grid, prevalence, null=null)
    both = {
        (f, a, g, b): 0.5 * _shift(rng, labels) * (f not in null and g not in null)
        for f, g in itertools.combinations(FACTORS, 2)
        for a in grid[f][1:]
        for b in grid[g][1:]
    }
    for cell in sweep.cells:
        levels = list(zip(FACTORS, cell, strict=True))
        mu = base + sum(main[level] for level in levels)
        mu = mu + sum(both.get((*one, *other), 0.0) for one, other in itertools.combinations(levels, 2))
        sweep.mu[cell] = mu
    return sweep


def plant_drawn(
    grid: dict[str, tuple[str, ...]], prevalence: Floats, rng: np.random.Generator
) -> tuple[Planted, dict[str, float]]:
    """A sweep whose backbones and losses are drawn from endless many.

    Every backbone and loss has effects of its own, on the quality and on what a preprocessing does to it. All of them
    are normal, so the mean score of a preprocessing over endless many is that over a wider normal `mu`.

    Returns:
        The sweep, and the mean score of each preprocessing over all backbones and losses there are.
    """
    labels = len(prevalence)
    base, drawn = rng.uniform(2.2, 3.6, labels), (*FACTORS[1:],)
    own = {level: _shift(rng, labels) * (i > 0) for i, level in enumerate(grid["preprocess"])}
    main = {(f, level): _shift(rng, labels) for f in drawn for level in grid[f]}
    pairs = {(a, f, b): 0.5 * _shift(rng, labels) for a in grid["preprocess"][1:] for f in drawn for b in grid[f]}
    both = {cell: 0.5 * _shift(rng, labels) for cell in itertools.product(grid["backbone"], grid["loss"])}
    sweep = Planted(grid, prevalence, noise={b: float(rng.choice(NOISE_OF_BACKBONE)) for b in grid["backbone"]})
    for cell in sweep.cells:
        levels = list(zip(drawn, cell[1:], strict=True))
        met = sum(pairs.get((cell[0], *level), 0.0) for level in levels)
        sweep.mu[cell] = base + own[cell[0]] + sum(main[level] for level in levels) + both[cell[1:]] + met

    def mean_score(level: str) -> float:
        # Variances: two main effects, their interaction of half the size, and as many interactions with the level.
        shifts = 2 + 0.25 + 0.5 * (level != grid["preprocess"][0])
        spread = [np.hypot(k * np.hypot(SEED_COMMON, SEED_LABEL), _SHIFT * shifts**0.5) for k in NOISE_OF_BACKBONE]
        at = zip(prevalence, base + own[level], strict=True)
        return float(np.mean([[expected_ap(p, m, float(sd)) for sd in spread] for p, m in at]))

    return sweep, {level: mean_score(level) for level in grid["preprocess"]}


def _shift(rng: np.random.Generator, labels: int) -> Floats:
    """An effect on `mu`, part common to the labels, part of each its own; around one point of mAP."""
    return rng.normal(0, _COMMON) + rng.normal(0, _OWN, labels)


@dataclass
class World:
    """The validation images of one sweep: their labels, and the noise that trials share.

    Args:
        sweep: What is planted.
        images: Number of images.
        rng: Source of chance.
    """

    sweep: Planted
    images: int
    rng: np.random.Generator

    def __post_init__(self) -> None:
        labels = len(self.sweep.prevalence)
        # A scene lies behind the labels of an image, as in real label sets.
        loadings = self._normal((3, labels))
        scene = self._normal((self.images, 3)) @ (loadings / np.linalg.norm(loadings, axis=0))
        latent = np.sqrt(0.3) * scene + np.sqrt(0.7) * self._normal((self.images, labels))
        self.targets = (latent > norm.ppf(1 - self.sweep.prevalence)).astype(np.uint8)
        hard = self.rng.random((self.images, 1)) < HARD_SHARE
        self.spread = np.where(hard, HARD, EASY).astype(np.float32)
        self.shared: dict[tuple[str, ...], NDArray[np.float32]] = {}

    def _normal(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        return self.rng.standard_normal(shape, dtype=np.float32)

    def _noise(self, *key: str) -> NDArray[np.float32]:
        """[N, C], the same whenever it is asked; a fifth of its variance is common to an image's labels."""
        if key not in self.shared:
            self.shared[key] = self._fresh()
        return self.shared[key]

    def _fresh(self) -> NDArray[np.float32]:
        own = self._normal((self.images, len(self.sweep.prevalence)))
        return np.float32(np.sqrt(0.8)) * own + np.float32(np.sqrt(0.2)) * self._normal((self.images, 1))

    def scores(self, cell: Cell, shift: float = 0.0) -> Floats:
        """[N, C] logits of a new trial of the cell; `shift` is added to how far positives lie above negatives."""
        noise = np.float32(np.sqrt(SHARED["image"])) * self._noise("image")
        for name, level in zip(FACTORS, cell, strict=True):
            noise = noise + np.float32(np.sqrt(SHARED[name])) * self._noise(name, level)
        noise += np.float32(np.sqrt(SHARED["cell"])) * self._noise("cell", *cell)
        noise += np.float32(np.sqrt(SHARED["trial"])) * self._fresh()
        k = self.sweep.noise_of(cell)
        mu = self.sweep.mu[cell] + shift + self.rng.normal(0, k * SEED_COMMON)
        mu = mu + self.rng.normal(0, k * SEED_LABEL, len(mu))
        return (self.targets * mu.astype(np.float32) + self.spread * noise).astype(np.float64)


_GRID = np.linspace(-9, 13, 4401)
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_MU = np.linspace(-0.5, 6.5, 141)
_TABLES: dict[float, Floats] = {}


def population_ap(prevalence: float, mu: Floats) -> Floats:
    """Average precision on infinitely many images: the integral of precision over recall, for each `mu`."""

    def above(threshold: Floats) -> Floats:
        """Share of negatives above a threshold."""
        return (1 - HARD_SHARE) * norm.sf(threshold / EASY) + HARD_SHARE * norm.sf(threshold / HARD)

    false_rate = (1 - prevalence) * above(_GRID)
    found = []
    for m in np.atleast_1d(mu):
        recall = above(_GRID - m)
        precision = prevalence * recall / (prevalence * recall + false_rate)
        found.append(-np.trapezoid(precision, recall))
    return np.array(found)


def expected_ap(prevalence: float, mu: float, sd: float) -> float:
    """Mean of `population_ap` over seeds, `mu` being normal with this standard deviation between them."""
    if prevalence not in _TABLES:
        _TABLES[prevalence] = population_ap(prevalence, _MU)
    values = np.interp(mu + sd * _NODES, _MU, _TABLES[prevalence])
    return float(values @ _WEIGHTS / _WEIGHTS.sum())
