"""Power against simulated sweeps: what is said to be shown four times in five is."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from swath.analysis.effects.intervals import Estimate
from swath.analysis.effects.noise import Noise, Source
from swath.analysis.effects.power import chance, power

DRAWS = 100_000


def an_estimate(difference=0.01, image=0.002, seed=0.003, df=6.0, units=9, source: Source = "seeds") -> Estimate:
    noise = Noise(image**2, seed**2, df, source)
    low, high = difference - noise.half_width(), difference + noise.half_width()
    p = noise.p_value(difference)
    return Estimate(difference, units, 0.5, image**2, seed**2, df, source, low, high, p)


def shown(noise: Noise, difference: float, family: int, known: float) -> float:
    """Share of repeated sweeps whose verdict shows a true difference, by drawing all that is random.

    The true variance is drawn from what `known` degrees of freedom leave open, then what the sweep estimates of it,
    then the difference that it finds; Bonferroni's correction asks every p of a family for .05 / family.
    """
    rng = np.random.default_rng(0)
    true = noise.seed_variance * known / rng.chisquare(known, DRAWS)
    told = true * rng.chisquare(noise.df, DRAWS) / noise.df
    tail = 1 - 0.05 / family / 2
    of_images = stats.norm.ppf(tail) ** 2 * noise.image_variance
    of_seeds = stats.t.ppf(tail, noise.df) ** 2 * told
    folds = noise.source == "folds"
    spread = np.maximum(noise.image_variance, true) if folds else noise.image_variance + true
    half = np.sqrt(np.maximum(of_images, of_seeds) if folds else of_images + of_seeds)
    return float((np.abs(difference + np.sqrt(spread) * rng.normal(size=DRAWS)) > half).mean())


@pytest.mark.parametrize("source", ["seeds", "folds"])
@pytest.mark.parametrize("family", [1, 9])
@pytest.mark.parametrize("df", [2, 12])
def test_the_smallest_difference_is_shown_four_times_in_five(df: int, family: int, source: Source):
    one = an_estimate(image=0.002, seed=0.003, df=df, source=source)
    found = power(one, blocks=3, images=400, given=0.005, family=family)
    assert found is not None
    assert shown(one.noise, found.smallest, family, df) == pytest.approx(0.8, abs=0.03)
    assert shown(one.noise, 0.5 * found.smallest, family, df) < 0.6


@pytest.mark.parametrize("df", [2, 12])
def test_the_p_value_of_the_verdict_is_what_power_is_about(df: int):
    """With the interval's own inversion in place of its quantiles, on a few draws."""
    one = an_estimate(df=df)
    found = power(one, blocks=3, images=400, given=0.005, family=9)
    assert found is not None
    rng = np.random.default_rng(1)
    true = one.seed_variance * df / rng.chisquare(df, 1000)
    told = true * rng.chisquare(df, 1000) / df
    differences = found.smallest + rng.normal(size=1000) * np.sqrt(one.image_variance + true)
    p = [Noise(one.image_variance, v, df, "seeds").p_value(d) for v, d in zip(told, differences, strict=True)]
    assert (9 * np.array(p) < 0.05).mean() == pytest.approx(0.8, abs=0.04)


def test_seeds_help_only_above_the_floor_of_the_images():
    few = an_estimate(image=0.0005, seed=0.004, df=12, units=18)
    found = power(few, blocks=6, images=400, given=0.005)
    assert found is not None
    assert found.floor == pytest.approx(2.8016 * 0.0005, rel=1e-3)
    assert found.images is None
    assert found.seeds is not None
    # With so many seeds of each of 6 cells it is enough, with one less it is not.
    for seeds, enough in ((found.seeds, True), (found.seeds - 1, False)):
        planned = Noise(0.0005**2, 0.004**2 * 3 / seeds, 6.0 * (seeds - 1), "seeds")
        assert (shown(planned, 0.005, 1, 12) >= (0.79 if enough else 0.81)) == enough
    noisy = power(an_estimate(image=0.004), blocks=3, images=400, given=0.005)
    assert noisy is not None
    assert noisy.seeds is None
    assert noisy.images == pytest.approx(400 * (2.8016 * 0.004 / 0.005) ** 2, abs=1)
    assert power(replace(few, source="none", seed_variance=np.nan, df=0), 6, 400, 0.005) is None


def test_a_larger_family_needs_more_seeds_and_finds_less():
    one = an_estimate(image=0.0005, seed=0.004, df=12, units=18)
    alone, of_nine = (power(one, 6, 400, 0.005, family) for family in (1, 9))
    assert alone is not None
    assert of_nine is not None
    assert of_nine.smallest > 1.1 * alone.smallest
    assert of_nine.floor == pytest.approx((0.8416 + stats.norm.isf(0.025 / 9)) * 0.0005, rel=1e-3)
    assert alone.seeds is not None
    assert of_nine.seeds is not None
    assert of_nine.seeds > alone.seeds


def test_further_seeds_are_another_look_and_are_planned_at_its_price():
    one = an_estimate(image=0.0005, seed=0.004, df=12, units=18)
    now, next_look, dearer = power(one, 6, 400, 0.005), power(one, 6, 400, 0.005, 1, 6), power(one, 6, 400, 0.005, 6)
    assert now is not None
    assert next_look is not None
    assert dearer is not None
    assert next_look.smallest == now.smallest  # this report's verdict pays nothing yet
    assert (next_look.seeds, next_look.floor) == (dearer.seeds, dearer.floor)
    assert next_look.seeds is not None
    assert now.seeds is not None
    assert next_look.seeds > now.seeds


def test_images_known_from_few_groups_raise_the_floor():
    few = replace(an_estimate(image=0.004), image_df=7.0)
    found = power(few, blocks=3, images=400, given=0.005)
    assert found is not None
    assert found.floor == pytest.approx((stats.norm.ppf(0.8) + stats.t.ppf(0.975, 7)) * 0.004)


def test_hardly_known_noise_can_show_nothing():
    one = an_estimate(seed=0.2, df=1)
    found = power(one, blocks=3, images=400, given=0.005, family=9)
    assert found is not None
    assert found.smallest == np.inf
    assert chance(one.noise, 1.0, 0.025 / 9, 1) < 0.8


def test_seeds_and_images_are_no_advice_where_folds_are_compared():
    found = power(an_estimate(source="folds", df=4), blocks=5, images=400, given=0.005)
    assert found is not None
    assert np.isnan(found.floor)
    assert (found.seeds, found.images) == (None, None)
