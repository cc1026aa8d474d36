from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from swath.analysis.effects import significance as verdicts
from swath.analysis.effects.intervals import Estimate
from swath.analysis.effects.noise import Noise


def an_estimate(difference=0.01, image=0.002, seed=0.003, df=6, units=9) -> Estimate:
    noise = Noise(image**2, seed**2, df, "seeds")
    half, p = noise.half_width(), noise.p_value(difference)
    return Estimate(difference, units, 0.5, image**2, seed**2, df, "seeds", difference - half, difference + half, p)


def test_verdicts_of_difference_and_equivalence_together_keep_the_level():
    # Five comparisons differ by exactly what matters, so "equivalent" is false of them; five by nothing, so "different"
    # is. The p-value of a true hypothesis is uniform, that of a false one as small as can be.
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(4000):
        u = rng.random(10)
        different, equivalent = np.where(np.arange(10) < 5, 0.0, u), np.where(np.arange(10) < 5, u, 0.0)
        p, q = verdicts.bonferroni(list(different)), verdicts.bonferroni(list(equivalent))
        wrong += bool((p[5:] < 0.05).any() or (q[:5] < 0.05).any())
    # 1 - (1 - .05 / 10)^10 = .0489
    assert wrong / 4000 == pytest.approx(0.0489, abs=3 * (0.0489 * 0.9511 / 4000) ** 0.5)


def test_comparisons_without_p_are_no_members_of_the_family():
    p = [0.03, float("nan"), 0.01, 0.4]
    assert verdicts.bonferroni(p) == pytest.approx([0.09, np.nan, 0.03, 1.0], nan_ok=True)
    assert verdicts.benjamini_hochberg(p) == pytest.approx([0.045, np.nan, 0.03, 0.4], nan_ok=True)
    assert np.isnan(verdicts.bonferroni([float("nan")])).all()
    assert np.isnan(verdicts.benjamini_hochberg([float("nan")])).all()
    assert len(verdicts.bonferroni([])) == 0


def test_benjamini_hochberg_by_its_definition():
    p = np.random.default_rng(1).random(12) ** 2
    order = np.argsort(p)
    expected = [min(p[order[j]] * 12 / (j + 1) for j in range(k, 12)) for k in range(12)]
    assert verdicts.benjamini_hochberg(p)[order] == pytest.approx(expected)


def test_words_follow_the_numbers():
    found = an_estimate(-0.001, 0.001, 0.001)
    assert verdicts.verdict(found, 0.4, 0.3) == "undecided"
    low, high = 100 * found.low, 100 * found.high
    assert verdicts.wording("undecided", found) == f"undecided ({low:+.1f} to {high:+.1f} points)"
    better = an_estimate(0.02)
    assert verdicts.verdict(better, 0.01, 1.0) == "better"
    assert verdicts.wording("better", better).startswith("better (+")
    assert verdicts.verdict(an_estimate(-0.02), 0.01, 1.0) == "worse"
    # An interval without zero whose p does not survive the correction is no verdict.
    assert verdicts.verdict(better, 0.06, 1.0) == "undecided"
    # What is shown to be smaller than what matters is equal for the study, shown to be there or not.
    assert verdicts.verdict(found, 0.4, 0.04) == "equivalent"
    assert verdicts.verdict(better, 0.01, 0.04) == "equivalent"
    assert verdicts.verdict(replace(found, source="none"), float("nan"), float("nan")) == "no interval"
    assert verdicts.wording("no interval", found) == "no interval can be stated"
    assert verdicts.verdict(None, float("nan"), float("nan")) == "refused"
    assert verdicts.wording("refused", None) == "not compared"


@pytest.mark.parametrize("difference", [0.0, 0.004, -0.011, 0.02])
def test_equivalence_is_two_one_sided_t_tests(difference: float):
    """In one cell without image noise, against scipy's one-sample tests on both sides."""
    d = np.random.default_rng(2).normal(0, 0.006, 6)
    d += difference - d.mean()
    noise = Noise(0.0, float(d.var(ddof=1)) / 6, 5, "seeds")
    above = stats.ttest_1samp(d, -0.01, alternative="greater").pvalue
    below = stats.ttest_1samp(d, 0.01, alternative="less").pvalue
    found = verdicts.equivalence_p(noise, difference, 0.01)
    assert found == pytest.approx(max(above, below), rel=1e-6)
    inside = [abs(difference + sign * noise.half_width(0.9)) < 0.01 for sign in (-1, 1)]
    assert (found < 0.05) == all(inside)


def test_without_an_interval_nothing_is_equivalent():
    assert np.isnan(verdicts.equivalence_p(Noise(0.0, np.nan, 0, "none"), 0.001, 0.005))
