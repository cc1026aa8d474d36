import math

import numpy as np
import pytest

from swath import asha, two_phase
from swath.config.stopping import Asha, Rungs
from swath.config.stopping_text import stopping_rule
from swath.core.errors import InputError

ONE, OTHER = ("data", "resnet50", 0), ("data", "vit", 0)


@pytest.mark.parametrize(
    ("grace", "reduction", "epochs", "rungs"),
    [
        (3, 3, 20, (3, 9)),
        (1, 2, 16, (1, 2, 4, 8)),
        (1, 2, 17, (1, 2, 4, 8, 16)),
        (1, 3, 1, ()),
        (5, 3, 5, ()),
        (5, 3, 6, (5,)),
        (3, 3, 27, (3, 9)),  # the last epoch is no rung
        (3, 3, 28, (3, 9, 27)),
    ],
)
def test_rungs(grace: int, reduction: int, epochs: int, rungs: tuple[int, ...]) -> None:
    assert Asha(grace, reduction).rungs(epochs) == {rung: rung for rung in rungs}


def by_rank(so_far: list[float], reduction: int) -> bool:
    """The newest of the scores is among the best 1/reduction, rounded up; equal scores share the better rank."""
    newest = so_far[-1]
    if math.isnan(newest):
        return False
    ordered = sorted((s for s in so_far if not math.isnan(s)), reverse=True)
    return ordered.index(newest) + 1 <= math.ceil(len(so_far) / reduction)


@pytest.mark.parametrize("reduction", [2, 3, 4])
@pytest.mark.parametrize("seed", range(8))
def test_decisions_follow_the_rank_among_the_scores_so_far(reduction: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = np.round(rng.random(40), 1)  # ties
    scores[rng.random(40) < 0.1] = np.nan
    rungs, so_far, went_on = Rungs(Asha(3, reduction)), [], []
    for i, score in enumerate(scores.tolist()):
        so_far.append(score)
        rungs.record(ONE, f"t{i}", 3, score)
        went_on.append(rungs.goes_on(ONE, f"t{i}", 3))
        assert went_on[-1] == by_rank(so_far, reduction)
    assert 0 < sum(went_on) < 40


def test_scores_in_rising_order_all_go_on_and_in_falling_order_almost_none() -> None:
    rising, falling = Rungs(Asha(1, 3)), Rungs(Asha(1, 3))
    for i in range(9):
        rising.record(ONE, f"t{i}", 1, i / 10)
        falling.record(ONE, f"t{i}", 1, -i / 10)
    assert all(rising.goes_on(ONE, "t8", 1) for _ in range(2))
    assert [falling.goes_on(ONE, f"t{i}", 1) for i in range(9)] == [True] * 3 + [False] * 6


@pytest.mark.parametrize("score", [0.0, -1.0, 1.0])
def test_the_first_arrival_goes_on(score: float) -> None:
    rungs = Rungs(Asha())
    rungs.record(ONE, "first", 3, score)
    assert rungs.goes_on(ONE, "first", 3)


def test_nan_stops_even_the_first_arrival_and_counts_as_an_arrival() -> None:
    rungs = Rungs(Asha(3, 3))
    rungs.record(ONE, "a", 3, math.nan)
    assert not rungs.goes_on(ONE, "a", 3)
    for trial, score in (("b", 0.9), ("c", 0.8), ("d", 0.7)):
        rungs.record(ONE, trial, 3, score)
    assert [rungs.goes_on(ONE, t, 3) for t in "bcd"] == [True, True, False]  # best ceil(4 / 3) = 2 of four


def test_strata_and_rungs_are_separate() -> None:
    rungs = Rungs(Asha(1, 2))
    for i in range(6):
        rungs.record(ONE, f"strong{i}", 1, 0.9)
    rungs.record(OTHER, "weak", 1, 0.1)
    rungs.record(ONE, "weak", 2, 0.1)
    rungs.record(("data", "resnet50", 1), "weak", 1, 0.1)
    assert rungs.goes_on(OTHER, "weak", 1)
    assert rungs.goes_on(ONE, "weak", 2)
    assert rungs.goes_on(("data", "resnet50", 1), "weak", 1)
    rungs.record(ONE, "weak", 1, 0.1)
    assert not rungs.goes_on(ONE, "weak", 1)


def test_recording_twice_replaces_the_score_and_counts_once() -> None:
    rungs = Rungs(Asha(1, 3))
    for trial, score in (("a", 0.9), ("b", 0.5), ("b", 0.6), ("b", 0.6)):
        rungs.record(ONE, trial, 1, score)
    assert rungs.at(ONE, 1) == {"a": 0.9, "b": 0.6}
    assert not rungs.goes_on(ONE, "b", 1)  # one of two goes on; were b counted three times, two of four would
    rungs.record(ONE, "b", 1, 0.95)
    assert rungs.goes_on(ONE, "b", 1)
    assert not rungs.goes_on(ONE, "a", 1)


def test_what_a_rung_holds_is_a_copy() -> None:
    rungs = Rungs(Asha())
    assert rungs.at(ONE, 3) == {}
    rungs.record(ONE, "a", 3, 0.5)
    rungs.at(ONE, 3)["a"] = 0.0
    assert rungs.at(ONE, 3) == {"a": 0.5}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Asha(0, 3), ["asha(grace_epochs=0): allowed is a whole number of 1 or more."]),
        (Asha(3, 1), ["asha(reduction=1): allowed is a whole number of 2 or more."]),
        (Asha(2.5, 2.5), ["asha(grace_epochs=2.5): ", "asha(reduction=2.5): "]),  # type: ignore[arg-type]
        (Asha("3"), ["asha(grace_epochs='3'): "]),  # type: ignore[arg-type]
        (
            Asha(exempt="basline"),  # type: ignore[arg-type]
            ["unknown exempt of asha 'basline'. Did you mean 'baseline'? Allowed: baseline, first_seed, none."],
        ),
    ],
)
def test_values_out_of_range_are_named_with_the_allowed_ones(rule: Asha, expected: list[str]) -> None:
    found = rule.problems()
    assert len(found) == len(expected)
    assert all(f.startswith(e) for f, e in zip(found, expected, strict=True))


def test_the_defaults_are_fine() -> None:
    assert Asha().problems() == Asha(1, 2, "baseline").problems() == []


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("none", None),
        ("asha", asha()),
        (" asha() ", asha()),
        ("asha(1, 2)", asha(1, 2)),
        ("asha(grace_epochs=1, reduction=2, exempt='first_seed')", asha(1, 2, "first_seed")),
        ("two_phase(2, (7, 8), grace_epochs=1)", two_phase(2, (7, 8), grace_epochs=1)),
        ("two_phase(top=2, seeds=[7])", two_phase(2, (7,))),
    ],
)
def test_rules_are_read_as_scripts_write_them(text: str, rule: Asha | None) -> None:
    assert stopping_rule(text) == rule


@pytest.mark.parametrize(
    "rule",
    [
        asha(),
        asha(1, 2, "baseline"),
        asha(exempt="first_seed"),
        two_phase(),
        two_phase(2, (7,)),
        two_phase(2, (7, 8, 9), 1, 2, "baseline"),
    ],
)
def test_rules_are_read_from_their_canonical_form(rule: Asha) -> None:
    assert stopping_rule(rule.canonical()) == rule


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'' is no stopping rule; write for instance asha(grace_epochs=3, reduction=3)"),
        ("asha(", "is no stopping rule"),
        ("3", "is no stopping rule"),
        ("asha(**{'reduction': 2})", "is no stopping rule"),
        ("ops.asha(1)", "is no stopping rule"),
        ("ash(1, 2)", "unknown stopping rule 'ash'. Did you mean 'asha'? Allowed: asha, none, two_phase."),
        ("asha(grace=3)", "unexpected keyword argument 'grace'; asha takes grace_epochs, reduction, exempt."),
        ("asha(1, 2, 'none', 4)", "too many positional arguments; asha takes"),
        ("asha(1, reduction=1)", "asha(reduction=1): allowed is a whole number of 2 or more."),
        ("asha(grace_epochs=open('x'))", "asha takes grace_epochs, reduction, exempt."),
        ("asha(exempt=all)", "unknown exempt of asha 'all'"),
        ("two_phase(seeds=(1, 1))", "give its seeds as a tuple of different whole numbers"),
        ("two_phase(seeds=())", "give its seeds as a tuple of different whole numbers"),
    ],
)
def test_what_is_no_rule_is_refused(text: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        stopping_rule(text)
    assert problem in caught.value.problems[0]
