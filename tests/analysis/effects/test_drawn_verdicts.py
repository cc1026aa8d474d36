"""A reduced `bench/simulate_verdicts.py`: whole reports on drawn sweeps, in the settings that went wrong once."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "bench"))

import simulate_verdicts as bench
from drawn_scores import Chance, Design

SWEEPS = 60
SLACK = 3 * (0.05 * 0.95 / SWEEPS) ** 0.5  # three standard deviations of a share of .05


@pytest.mark.parametrize(
    "design",
    [
        Design("seeds shared by six cells", (3, 2), 4, chance=Chance(0.002, rho=0.5)),
        Design("a noisier backbone", (3, 2, 2), 3, chance=Chance(0.002, 0.002, noisy=8)),
        Design("lost seeds", (3, 2, 2), 4, chance=Chance(0.002), uneven=True),
        Design("one seed, five folds", (2, 2), 1, folds=5, star=True),
        Design("a star without effects", (2,) * 8, 3, star=True, null=True),
        Design("a third of a level failed", (3, 4), 4, null=True, failed=0.35),
    ],
    ids=lambda d: d.name,
)
def test_whole_reports_say_nothing_false(design: Design) -> None:
    tally = bench.run(design, SWEEPS, workers=1)
    assert tally.false_reports / tally.reports <= 0.05 + SLACK
    assert tally.had / (tally.claimed / bench.POWER) >= bench.POWER - 0.1
    if not design.failed:  # survivors' differences are of other trials than the plan's
        assert tally.covered / tally.stated >= 0.9


def test_equal_choices_are_called_equivalent_and_different_ones_are_not() -> None:
    sure = Chance(images=0.0005, seed=0.001)
    equal = bench.run(Design("equal", (2, 2), 4, chance=sure, null=True), 20, workers=1)
    assert equal.equivalent == 2 * 20
    apart = bench.run(Design("apart", (3, 2, 2), 3, chance=Chance(0.001, 0.002), effect=0.005), SWEEPS, workers=1)
    assert apart.wrongly_equal / apart.not_equivalent <= 0.05 + SLACK


def test_seeds_added_after_reports_without_the_price_of_looks_would_be_false(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports with 3 to 8 seeds, stopped at the first verdict: the price keeps the level, without it it is lost."""
    design = Design("no effect", (2,), 8, null=True, chance=Chance(0.0005))
    paid = np.mean([bench.looks_until_verdict(design, s, first=3) for s in range(2 * SWEEPS)])
    assert paid <= 0.05 + SLACK
    monkeypatch.setattr(bench.verdicts, "price_of_looks", lambda looks: 1.0)
    free = np.mean([bench.looks_until_verdict(design, s, first=3) for s in range(2 * SWEEPS)])
    assert free > paid + 0.02


def test_a_wrong_verdict_would_be_counted() -> None:
    design = Design("no effect", (2, 2), 3, null=True)
    one = bench.draw(design, np.random.default_rng(0))
    claimed = [replace(e, verdict="better") for e in one.effects]
    assert bench.has_false_verdict(claimed, one.truths)
    assert not bench.has_false_verdict([replace(e, verdict="undecided") for e in one.effects], one.truths)
