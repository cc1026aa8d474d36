"""Chance in training, told from seeds and folds, against formulas written out and against simulated truth."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy import stats

from swath.analysis.effects.differences import PairedDifferences, contrast
from swath.analysis.effects.matching import Member, matched
from swath.analysis.effects.training_noise import noise_of

Kept = Callable[[dict[str, str], int, int], bool]


def no_images(contrasts: np.ndarray) -> np.ndarray:
    return np.zeros(len(contrasts))


def differences(
    cells: Sequence[dict[str, str]], seeds: int, own: bool, folds: int = 1, kept: Kept = lambda *_: True
) -> tuple[PairedDifferences, list[tuple[int, int, int]]]:
    """Level b less level a; and number of the cell, fold and seed of each difference."""
    at = [
        (c, k, s)
        for s, k, c in itertools.product(range(seeds), range(folds), range(len(cells)))
        if kept(cells[c], k, s)
    ]
    members = [Member({"f": f, **cells[c]}, s, k, 5, own) for c, k, s in at for f in "ab"]
    units = matched(members, ["f"], {("b",): 1.0, ("a",): -1.0})
    assert units is not None
    return units, at


def scores(observed: Sequence[float]) -> np.ndarray:
    """Scores of the trials that have these differences."""
    return np.stack([np.zeros(len(observed)), observed], axis=1).ravel()


SIX = [{"backbone": b, "g": g} for b, g in itertools.product("mn", "xyz")]


def test_shared_random_numbers_balanced_is_the_variance_of_the_seeds_means():
    d = np.random.default_rng(0).normal(size=(6, 4))
    units, at = differences(SIX, 4, own=False)
    found = noise_of(units, scores([d[c, s] for c, _, s in at]), no_images)
    assert found.seed_variance == pytest.approx(d.mean(axis=0).var(ddof=1) / 4)
    assert found.df == pytest.approx(3)
    assert found.source == "seeds"
    # What a seed does to all cells alike is part of it, where cells taken as independent would hide it.
    together = d + 10 * np.arange(4)
    found = noise_of(units, scores([together[c, s] for c, _, s in at]), no_images)
    assert found.seed_variance == pytest.approx(together.mean(axis=0).var(ddof=1) / 4)
    units, at = differences(SIX, 4, own=True)
    own = noise_of(units, scores([d[c, s] for c, _, s in at]), no_images)
    assert own.seed_variance == pytest.approx(d.var(axis=1, ddof=1).sum() / 4 / 36)


def test_one_pair_with_shared_random_numbers_in_two_of_its_trials_is_shared():
    """A difference has its own random numbers only if both of its trials have."""
    members = [Member({"f": f, "g": g}, s, 0, 5, f == "b") for s in range(3) for g in "xy" for f in "ab"]
    units = matched(members, ["f"], {("b",): 1.0, ("a",): -1.0})
    assert units is not None
    assert not units.independent
    assert units.streams.tolist() == [0, 0, 1, 1, 2, 2]


def test_shared_random_numbers_with_lost_seeds_is_without_bias():
    """Of 4 cells with 6 seeds a third is lost at random: the mean estimate is the true variance, and intervals hold."""
    rng = np.random.default_rng(1)
    cells = [{"g": g} for g in "uvxy"]
    seed_sd, own_sd = 0.7, 1.0
    ratios, covered = [], 0
    for _ in range(60):
        lost = rng.random((4, 6)) < 1 / 3
        for row in lost:
            row[rng.permutation(6)[:2]] = False  # two of each cell are left
        units, at = differences(
            cells, 6, own=False, kept=lambda cell, _, s, lost=lost: not lost["uvxy".index(cell["g"]), s]
        )
        n = (~lost).sum(axis=1)
        of_seed = (~lost / n[:, None] / 4).sum(axis=0)
        truth = seed_sd**2 * (of_seed**2).sum() + own_sd**2 * (1 / n).sum() / 16
        for _ in range(40):
            d = rng.normal(0, seed_sd, 6) + rng.normal(0, own_sd, (4, 6))
            observed = np.array([d[c, s] for c, _, s in at])
            found = noise_of(units, scores(observed), no_images)
            assert found.df <= 5
            ratios.append(found.seed_variance / truth)
            covered += abs(units.shares @ observed) <= found.half_width()
    # 2400 draws of an estimate with a relative standard deviation of about .8: the mean is known to within .016.
    assert np.mean(ratios) == pytest.approx(1, abs=0.05)
    assert covered / len(ratios) >= 0.93


def test_own_random_numbers_are_welch_t():
    """Two cells of unequal size and noise: the mean of two means is half their sum, to which Welch's test applies."""
    rng = np.random.default_rng(2)
    x, y = rng.normal(0.3, 1, 7), rng.normal(0.1, 3, 4)
    units, at = differences([{"g": "x"}, {"g": "y"}], 7, own=True, kept=lambda cell, _, s: cell["g"] == "x" or s < 4)
    found = noise_of(units, scores([(x, y)[c][s] for c, _, s in at]), no_images)
    welch = stats.ttest_ind(x, -y, equal_var=False)
    assert found.seed_variance == pytest.approx((x.var(ddof=1) / 7 + y.var(ddof=1) / 4) / 4)
    assert found.df == pytest.approx(welch.df)
    assert found.p_value((x.mean() + y.mean()) / 2) == pytest.approx(welch.pvalue, rel=1e-6)


def lost_to_one(cell: dict[str, str], _: int, seed: int) -> bool:
    """Cell z has lost all seeds but one."""
    return cell["g"] != "z" or seed == 0


def test_a_cell_of_one_seed_borrows_the_largest_variance_of_its_backbone():
    cells = [{"backbone": "m", "g": g} for g in "xyz"] + [{"backbone": "n", "g": "x"}]
    rng = np.random.default_rng(3)
    d = rng.normal(size=(4, 5)) * np.array([1, 3, 1, 20])[:, None]
    units, at = differences(cells, 5, own=True, kept=lost_to_one)
    found = noise_of(units, scores([d[c, s] for c, _, s in at]), no_images)
    x, y, n = (d[c].var(ddof=1) for c in (0, 1, 3))
    parts = np.array([x / 5, y / 5 + y, n / 5])  # what y lent is as uncertain as y itself
    assert found.seed_variance == pytest.approx(parts.sum() / 16)
    assert found.df == pytest.approx(parts.sum() ** 2 / (parts**2 / 4).sum())


def test_with_shared_random_numbers_what_is_borrowed_adds_up_as_standard_deviations():
    cells = [{"backbone": "m", "g": g} for g in "xyz"]
    d = np.random.default_rng(4).normal(size=(3, 5)) * np.array([1, 3, 1])[:, None]
    units, at = differences(cells, 5, own=False, kept=lost_to_one)
    found = noise_of(units, scores([d[c, s] for c, _, s in at]), no_images)
    rest = ((d[0] + d[1]) / 3).var(ddof=1) / 5
    assert found.seed_variance == pytest.approx((rest**0.5 + d[1].std(ddof=1) / 3) ** 2)
    assert found.df == pytest.approx(4)


@pytest.mark.parametrize("own", [True, False])
def test_no_other_backbone_lends(own: bool):
    cells = [{"backbone": "m", "g": "x"}, {"backbone": "n", "g": "x"}]
    units, at = differences(cells, 5, own, kept=lambda cell, _, s: cell["backbone"] == "m" or s == 0)
    found = noise_of(units, np.random.default_rng(5).normal(size=2 * len(at)), no_images)
    assert (found.source, found.df, found.is_known) == ("none", 0, False)


def test_one_seed_with_shared_random_numbers_says_nothing():
    """Main effects' residual misses what the seed does to all cells alike."""
    cells = [{"g": g, "h": h} for g, h in itertools.product("xyz", "uvw")]
    values = np.random.default_rng(6).normal(size=18)
    for own, source in ((True, "residual"), (False, "none")):
        units, _ = differences(cells, 1, own)
        assert noise_of(units, values, no_images).source == source


def test_shared_folds_are_nadeau_and_bengio():
    """s^2 (1 / K + n_test / n_train), and n_test / n_train is 1 / (K - 1)."""
    cells = [{"g": "x"}, {"g": "y"}]
    d = np.random.default_rng(7).normal(size=(2, 5, 3)) + np.array([0, 9, -7, 3, 4])[:, None]
    units, at = differences(cells, 3, own=False, folds=5)
    found = noise_of(units, scores([d[u] for u in at]), no_images)
    assert found.source == "folds"
    assert found.df == 4
    assert found.seed_variance == pytest.approx(d.mean(axis=(0, 2)).var(ddof=1) * (1 / 5 + 1 / 4))
    # Where seeds differ more, with what they do to every fold alike, theirs is the wider interval.
    d = d + 100 * np.arange(3)
    found = noise_of(units, scores([d[u] for u in at]), no_images)
    assert found.source == "seeds"
    assert found.df == pytest.approx(2)
    assert found.seed_variance == pytest.approx(d.mean(axis=(0, 1)).var(ddof=1) / 3)


@pytest.mark.parametrize("apart", [5.0, 0.1])
def test_own_folds_leave_images_out_of_the_overlap(apart: float):
    """Folds share neither: their part of s^2 is not correlated, so only what is left of it gets the second term."""
    cells = [{"g": "x"}, {"g": "y"}]
    of_trial = 0.25  # image variance of each trial's score, independent of the others'
    rng = np.random.default_rng(8)
    d = rng.normal(size=(2, 5, 3))
    d += (apart - 1) * d.mean(axis=(0, 2))[:, None]  # by how much folds are further apart than seeds make them
    units, at = differences(cells, 3, own=True, folds=5)

    def variances(contrasts: np.ndarray) -> np.ndarray:
        return of_trial * (contrasts**2).sum(axis=1)

    found = noise_of(units, scores([d[u] for u in at]), variances)
    assert variances(contrast(units)[None]) == pytest.approx(2 * of_trial / 30)
    between = d.mean(axis=(0, 2)).var(ddof=1)
    images_of_fold = 2 * of_trial / 6
    left = max(0.0, between - images_of_fold)
    assert (left > 0) == (apart > 1)
    assert found.source == "folds"
    assert found.df == 4
    assert found.seed_variance == pytest.approx(between / 5 + left / 4)
    assert found.image_variance == pytest.approx(2 * of_trial / 30)
