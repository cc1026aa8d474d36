import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from swath.analysis.effects import significance as verdicts
from swath.analysis.effects.intervals import Estimate, half_width, p_value


def an_estimate(difference=0.01, image=0.002, seed=0.003, df=6, units=9) -> Estimate:
    half = half_width(image**2, seed**2, df)
    p = p_value(difference, image**2, seed**2, df)
    return Estimate(difference, units, 0.5, image**2, seed**2, df, "seeds", difference - half, difference + half, p)


def closed_testing(p: list[float]) -> list[float]:
    """Adjusted p-values of closed testing with Bonferroni tests, from the definition: Holm's are the same."""
    sets = [s for k in range(1, len(p) + 1) for s in itertools.combinations(range(len(p)), k)]
    return [max(min(1, len(s) * min(p[i] for i in s)) for s in sets if i in s) for i in range(len(p))]


def test_holm_is_closed_testing():
    rng = np.random.default_rng(0)
    for _ in range(30):
        p = list(rng.random(rng.integers(1, 6)) ** 3)
        assert verdicts.holm(p) == pytest.approx(closed_testing(p))


def test_comparisons_without_p_are_no_members_of_the_family():
    p = [0.03, float("nan"), 0.01]
    assert verdicts.holm(p) == pytest.approx([0.03, np.nan, 0.02], nan_ok=True)
    assert verdicts.benjamini_hochberg(p) == pytest.approx([0.03, np.nan, 0.02], nan_ok=True)
    assert np.isnan(verdicts.holm([float("nan")])).all()
    assert np.isnan(verdicts.benjamini_hochberg([float("nan")])).all()


def test_benjamini_hochberg_by_its_definition():
    p = np.random.default_rng(1).random(12) ** 2
    order = np.argsort(p)
    expected = [min(p[order[j]] * 12 / (j + 1) for j in range(k, 12)) for k in range(12)]
    assert verdicts.benjamini_hochberg(p)[order] == pytest.approx(expected)


def test_words_follow_the_numbers():
    found = an_estimate(-0.001, 0.001, 0.001)
    assert verdicts.verdict(found, 0.4) == "not shown"
    low, high = 100 * found.low, 100 * found.high
    assert verdicts.wording("not shown", found) == f"no difference shown ({low:+.1f} to {high:+.1f} points)"
    better = an_estimate(0.02)
    assert verdicts.verdict(better, 0.01) == "better"
    assert verdicts.wording("better", better).startswith("better (+")
    assert verdicts.verdict(an_estimate(-0.02), 0.01) == "worse"
    # An interval without zero whose p does not survive the correction is no verdict.
    assert verdicts.wording("not shown", better).startswith("no difference shown after correction (+")
    assert verdicts.verdict(replace(found, source="none"), float("nan")) == "no interval"
    assert verdicts.verdict(None, float("nan")) == "refused"


def test_power_is_what_simulation_finds():
    """A true difference as large as `smallest` is shown in about 80 % of repetitions."""
    image, seed, df = 0.002, 0.003, 12
    found = verdicts.power(an_estimate(image=image, seed=seed, df=df), blocks=6, images=400)
    assert found is not None
    rng = np.random.default_rng(0)
    differences = found.smallest + rng.normal(0, np.hypot(image, seed), 4000)
    spread = seed * np.sqrt(rng.chisquare(df, 4000) / df)
    half = np.sqrt((stats.norm.ppf(0.975) * image) ** 2 + (stats.t.ppf(0.975, df) * spread) ** 2)
    assert (differences > half).mean() == pytest.approx(0.8, abs=0.03)


def test_seeds_help_only_above_the_floor_of_the_images():
    few = an_estimate(image=0.0005, seed=0.004, df=6, units=18)
    found = verdicts.power(few, blocks=6, images=400)
    assert found is not None
    assert found.floor == pytest.approx(2.8016 * 0.0005, rel=1e-3)
    assert found.images is None
    assert found.seeds is not None
    # With so many seeds it is enough, with one less it is not.
    for seeds, enough in ((found.seeds, True), (found.seeds - 1, False)):
        variance = 0.004**2 * 3 / seeds
        shown = half_width(0.0005**2, variance, 6 * (seeds - 1)) + 0.8416 * np.sqrt(0.0005**2 + variance)
        assert bool(shown <= 0.005) == enough
    noisy = verdicts.power(an_estimate(image=0.004), blocks=6, images=400)
    assert noisy is not None
    assert noisy.seeds is None
    assert noisy.images == pytest.approx(400 * (2.8016 * 0.004 / 0.005) ** 2, abs=1)
    assert verdicts.power(replace(few, source="none"), blocks=6, images=400) is None
