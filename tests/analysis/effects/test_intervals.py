"""Means of paired differences against scipy and against formulas written out."""

import itertools

import numpy as np
import pytest
from scipy import stats

from swath.analysis.effects.differences import PairedDifferences, contrast
from swath.analysis.effects.intervals import estimate, image_freedom
from swath.analysis.effects.matching import Member, matched
from swath.analysis.effects.noise import Noise
from swath.analysis.image_variance import FoldEvidence

rng = np.random.default_rng(0)


def none(contrasts: np.ndarray) -> np.ndarray:
    """No image variance at all."""
    return np.zeros(len(contrasts))


def grid(cells: list[dict[str, str]], seeds: int, levels=("a", "b")) -> tuple[list[Member], PairedDifferences]:
    """Trials with random numbers of their own."""
    members = [Member({"f": f, **cell}, s, 0, 5, True) for s in range(seeds) for cell in cells for f in levels]
    units = matched(members, ["f"], {("b",): 1.0, ("a",): -1.0})
    assert units is not None
    return members, units


def test_one_cell_is_the_paired_t_test():
    members, units = grid([{}], 6)
    values = rng.normal(0.8, 0.1, len(members))
    a, b = (values[[m.factors["f"] == f for m in members]] for f in "ab")
    found = estimate(units, values, none)
    t = stats.ttest_rel(b, a)
    low, high = t.confidence_interval(0.95)
    assert found.p == pytest.approx(t.pvalue, rel=1e-6)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)
    assert (found.df, found.units, found.source) == (5, 6, "seeds")
    assert found.won == (b > a).mean()


def test_without_training_noise_it_is_the_normal_interval():
    _, units = grid([{}], 2)
    found = estimate(units, np.array([0.5, 0.6, 0.5, 0.6]), lambda contrasts: np.full(len(contrasts), 0.04**2))
    # The seeds' own image noise is counted with the seeds, so all of it is taken off here but what is left at 0.
    assert found.difference == pytest.approx(0.1)
    images_only = Noise(0.04**2, 0.0, 1, "seeds")
    assert images_only.p_value(0.1) == pytest.approx(2 * stats.norm.sf(2.5), rel=1e-6)
    assert images_only.half_width() == pytest.approx(stats.norm.ppf(0.975) * 0.04)


def test_seed_variance_is_the_mean_over_cells_over_the_number_of_pairs():
    cells = [{"g": g, "backbone": b} for g, b in itertools.product("xyz", "mn")]
    members, units = grid(cells, 3)
    values = rng.normal(0.8, 0.1, len(members))
    difference = {
        (tuple(cell.values()), s): values[members.index(Member({"f": "b", **cell}, s, 0, 5, True))]
        - values[members.index(Member({"f": "a", **cell}, s, 0, 5, True))]
        for cell in cells
        for s in range(3)
    }
    by_cell = np.array([[difference[tuple(c.values()), s] for s in range(3)] for c in cells])
    found = estimate(units, values, none)
    assert found.difference == pytest.approx(by_cell.mean())
    assert found.seed_variance == pytest.approx(by_cell.var(axis=1, ddof=1).mean() / 18)
    # Welch and Satterthwaite: cells may be unequally noisy, so their degrees of freedom do not just add up.
    of_cell = by_cell.var(axis=1, ddof=1) / 3
    assert found.df == pytest.approx(of_cell.sum() ** 2 / (of_cell**2 / 2).sum())
    assert 2 < found.df < 12
    half = stats.t.ppf(0.975, found.df) * np.sqrt(found.seed_variance)
    assert found.high - found.difference == pytest.approx(half)


def test_cells_count_alike_and_backbones_are_never_pooled():
    members, units = grid([{"backbone": "m"}, {"backbone": "n"}], 3)
    values = rng.normal(0.8, 0.1, len(members))
    # One cell of backbone n has lost two of its seeds: its variance is unknown, and that of m must not stand in.
    lost = [None if m.factors["backbone"] == "n" and m.seed > 0 else m for m in members]
    units = matched(lost, ["f"], {("b",): 1.0, ("a",): -1.0})
    assert units is not None
    found = estimate(units, values, none)
    assert (found.source, found.df) == ("none", 0)
    assert np.isnan([found.low, found.high, found.p]).all()
    d = units.weights @ values
    own = units.strata == units.strata[0]
    assert found.difference == pytest.approx((d[own].mean() + d[~own].mean()) / 2)
    assert contrast(units) @ values == pytest.approx(found.difference)


def test_one_seed_takes_the_residual_of_main_effects():
    cells = [{"g": g, "h": h} for g, h in itertools.product("xyz", "uvw")]
    members, units = grid(cells, 1)
    values = rng.normal(0.8, 0.1, len(members))
    d = (units.weights @ values).reshape(3, 3)
    residual = d - d.mean(axis=0) - d.mean(axis=1, keepdims=True) + d.mean()
    found = estimate(units, values, none)
    assert (found.source, found.df) == ("residual", 4)
    assert found.seed_variance == pytest.approx((residual**2).sum() / 4 / 9)


@pytest.mark.parametrize("cells", [[{}], [{"g": "x"}, {"g": "y"}], [{"g": g, "h": "u"} for g in "xyz"]])
def test_one_seed_and_fewer_than_two_other_factors_state_no_interval(cells):
    members, units = grid(cells, 1)
    found = estimate(units, rng.normal(size=len(members)), none)
    assert found.source == "none"
    assert np.isnan(found.low)
    assert np.isfinite(found.difference)


def test_noise_that_seeds_have_on_these_images_counts_once():
    """Trials whose scores are means over images: image variances can be written down."""
    images, seeds = 500, 4
    members, units = grid([{}], seeds)
    level = np.array([m.factors["f"] == "b" for m in members])
    hard = rng.normal(size=(2, images))  # what a level finds hard, with every seed
    own = rng.normal(size=(len(members), images))
    marks = hard[level.astype(int)] + own
    moved = (marks - marks.mean(axis=1, keepdims=True)) / images

    def variances(contrasts: np.ndarray) -> np.ndarray:
        return ((contrasts @ moved) ** 2).sum(axis=1)

    found = estimate(units, marks.mean(axis=1), variances)
    assert found.image_variance == pytest.approx(2 / images, rel=0.25)  # of the two levels, not of their seeds
    assert variances(contrast(units)[None])[0] == pytest.approx((2 + 2 / seeds) / images, rel=0.25)


@pytest.mark.parametrize("source", ["seeds", "folds"])
@pytest.mark.parametrize("df", [1, 2, 30])
def test_the_p_value_inverts_the_interval(df, source):
    noise = Noise(0.01**2, 0.012**2, df, source)
    for difference in (0.001, 0.01, 0.05):
        p = noise.p_value(difference)
        assert noise.half_width(level=1 - p) == pytest.approx(difference, rel=1e-6)
        assert noise.p_value(-difference) == pytest.approx(p)
    assert noise.p_value(0.0) == 1
    assert Noise(1e-12, 0.0, df, source).p_value(1e6) == 0


def test_images_and_folds_are_not_added_up():
    """Folds have images of their own: the wider of the two intervals, each with its own quantile, holds."""
    images, seeds = 0.01, 0.004
    added = Noise(images**2, seeds**2, 2, "seeds")
    z, t = stats.norm.ppf(0.975) * images, stats.t.ppf(0.975, 2) * seeds
    assert added.half_width() == pytest.approx(np.hypot(z, t))
    assert added.variance == pytest.approx(images**2 + seeds**2)
    for fold_sd in (0.004, 0.04):
        folds = Noise(images**2, fold_sd**2, 2, "folds")
        assert folds.half_width() == pytest.approx(max(z, stats.t.ppf(0.975, 2) * fold_sd))
        assert folds.variance == pytest.approx(max(images, fold_sd) ** 2)


@pytest.mark.parametrize("unknown", [Noise(0.01, np.nan, 0, "none"), Noise(np.nan, 0.01, 3, "seeds")])
def test_of_unknown_noise_nothing_is_said(unknown):
    assert not unknown.is_known
    assert np.isnan([unknown.half_width(), unknown.p_value(0.1)]).all()


def fold(trials: list[int], moves: np.ndarray) -> FoldEvidence:
    """Two trials whose difference moves so with each group of images [G], as scores without rare labels have it."""
    none_of = np.empty((0, 1))
    derivative = np.stack([0.3 * moves, 1.3 * moves]).astype(np.float32)
    return FoldEvidence(
        trials=np.array(trials),
        labels=np.full((2, 1), 0.5),
        derivative=derivative,
        plain=derivative,
        drawn=None,
        drawn_rare=None,
        rare=np.empty(0, np.int64),
        dropped=np.empty(0),
        label_variance=none_of,
    )


def test_few_images_that_make_most_of_the_variance_leave_few_degrees_of_freedom():
    # V = 2 * 100 + 98 = 298 and the fourth powers' sum is 2 * 10^4 + 98; 2 V^2 / (20098 - V^2 / 100) = 9.2456.
    two_large = np.array([10.0, -10.0] + [1.0, -1.0] * 49)
    assert image_freedom(np.array([-1.0, 1.0]), [fold([0, 1], two_large)]) == pytest.approx(9.2456, rel=1e-4)
    # Of two folds the groups count together: V = 596, 40196 and 200 groups give twice as many.
    both = [fold([0, 1], two_large), fold([2, 3], two_large)]
    assert image_freedom(np.array([-1.0, 1.0, -1.0, 1.0]), both) == pytest.approx(2 * 9.2456, rel=1e-4)
    # A fold that the contrast does not weigh tells nothing: V = 298 again, with 200 groups.
    unweighed = 2 * 298**2 / (20098 - 298**2 / 200)
    assert image_freedom(np.array([-1.0, 1.0, 0.0, 0.0]), both) == pytest.approx(unweighed, rel=1e-4)


def test_degrees_of_freedom_of_drawn_moves_follow_their_kurtosis():
    # A sum of n squares of kurtosis k has variance n (k - 1) sigma^4, so 2 n / (k - 1) degrees: n for the normal
    # distribution (k = 3), 0.4 n for Laplace's (k = 6).
    n = 20_000
    generator = np.random.default_rng(3)
    asked = np.array([-1.0, 1.0])
    normal = image_freedom(asked, [fold([0, 1], generator.normal(size=n))])
    assert normal == pytest.approx(n, rel=0.05)
    assert image_freedom(asked, [fold([0, 1], generator.laplace(size=n))]) == pytest.approx(0.4 * n, rel=0.1)


@pytest.mark.parametrize("folds", [1, 3])
def test_degrees_of_freedom_are_fewer_than_the_groups_by_one_a_fold(folds: int):
    equal = np.array([0.01, -0.01] * 6)  # known without error, did groups not vary
    evidence = [fold([2 * k, 2 * k + 1], equal) for k in range(folds)]
    assert image_freedom(np.array([-1.0, 1.0] * folds) / folds, evidence) == folds * 11
    single = [fold([2 * k, 2 * k + 1], equal[:1]) for k in range(folds)]
    assert image_freedom(np.array([-1.0, 1.0] * folds), single) == 1  # never below
