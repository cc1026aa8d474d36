"""What failed trials took from a comparison: counts, and the bound against failures drawn by brute force."""

from dataclasses import replace

import numpy as np
import pytest

from swath.analysis.effects.differences import PairedDifferences
from swath.analysis.effects.lost_pairs import LostPairs, lost_pairs
from swath.analysis.effects.matching import Member, matched
from swath.analysis.effects.summary import task_effects
from swath.analysis.results import TaskResults
from swath.store.states import State
from swath.store.storage import Storage
from tests.support.fake_store import LOSSES, FakeTask, FakeTrial, write_study

PAIRS = 4000


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> TaskResults:
    """Two trials that have finished."""
    storage = Storage(str(tmp_path_factory.mktemp("pair")))
    return write_study(storage, [FakeTask()], {"scenes": [FakeTrial(loss=n) for n in LOSSES]}, rule="").read().tasks[0]


def many_pairs(pair: TaskResults, failed: dict[str, np.ndarray]) -> tuple[TaskResults, PairedDifferences]:
    """Pairs of trials of a level and of the baseline; those of a level that `failed` names have failed."""
    n = len(next(iter(failed.values())))
    base, level = pair.trials
    trials, members = [], []
    for s in range(n):
        for name, trial in (("level", level), ("base", base)):
            lost = name in failed and failed[name][s]
            trials.append(replace(trial, state=State.FAILED) if lost else trial)
            members.append(Member({"f": name}, s, 0, 5, True))
    units = matched(members, ["f"], {("level",): 1.0, ("base",): -1.0})
    assert units is not None
    return replace(pair, trials=tuple(trials)), units


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("side", ["level", "base"])
def test_the_bound_is_the_bias_of_losing_the_worst(pair: TaskResults, side: str, share: float):
    """Normal scores; the lowest of one level are dropped. The mean of what is left is off by the bound."""
    rng = np.random.default_rng(0)
    scores = {"level": np.full(PAIRS, 0.8), "base": np.full(PAIRS, 0.7)}
    scores[side] = scores[side] + rng.normal(0, 0.02, PAIRS)
    lost = scores[side] < np.quantile(scores[side], share)
    task, units = many_pairs(pair, {side: lost})
    difference = scores["level"] - scores["base"]
    found = lost_pairs(task, units, difference[~lost])
    assert found is not None
    bias = difference[~lost].mean() - difference.mean()
    too_high, too_low = (bias, 0.0) if side == "level" else (0.0, -bias)
    assert abs(bias) > 0.001
    assert (found.too_high, found.too_low) == pytest.approx((too_high, too_low), rel=0.05)
    counts = {"level": found.level, "base": found.baseline}
    assert counts == {"level": 0, "base": 0} | {side: int(lost.sum())}


@pytest.mark.parametrize("shared", [0.0, 0.9])
def test_failures_at_random_stay_within_the_bound(pair: TaskResults, shared: float):
    """Noise in both levels, common to both or not, and failures that the score has any influence on or none."""
    rng = np.random.default_rng(1)
    common = rng.normal(0, 0.02 * shared, 1000)
    level, base = (0.8 + common + rng.normal(0, 0.02, 1000) for _ in range(2))
    for influence in (0.0, 1.0, 100.0):  # 100: the worst fail
        risk = rng.normal(size=1000) - influence * (level - level.mean()) / level.std()
        lost = risk > np.quantile(risk, 0.8)
        task, units = many_pairs(pair, {"level": lost})
        found = lost_pairs(task, units, (level - base)[~lost])
        assert found is not None
        bias = (level - base)[~lost].mean() - (level - base).mean()
        assert -0.1 * found.too_high < bias < found.too_high


def test_it_says_what_the_difference_may_be():
    found = LostPairs(3, 1, too_high=0.02, too_low=0.005)
    assert found.toward_zero(0.03) == pytest.approx(0.01)
    assert found.toward_zero(0.01) == 0
    assert found.toward_zero(-0.03) == pytest.approx(-0.025)
    assert found.toward_zero(-0.001) == 0
    assert found.away_from_zero(0.03) == pytest.approx(0.035)
    assert found.away_from_zero(0.001) == pytest.approx(-0.019)
    assert found.away_from_zero(-0.03) == pytest.approx(-0.05)


def test_failed_and_unreadable_trials_count_and_no_others(pair: TaskResults):
    task, units = many_pairs(pair, {"level": np.zeros(8, bool)})
    observed = np.full(4, 0.1)
    states = [State.FAILED, State.UNREADABLE, State.UNFINISHED, State.NOT_RUN, State.STOPPED, State.COMPLETE]
    trials = list(task.trials)
    for s, state in enumerate(states):
        trials[2 * s] = replace(trials[2 * s], state=state)
    trials[12] = replace(trials[12], scores={})  # finished with predictions that are no numbers
    trials[1] = replace(trials[1], state=State.FAILED)
    found = lost_pairs(replace(task, trials=tuple(trials)), units, observed)
    assert found is not None
    assert (found.level, found.baseline) == (3, 1)
    assert lost_pairs(task, units, observed) is None
    # A single difference says nothing of their spread.
    found = lost_pairs(replace(task, trials=tuple(trials)), units, observed[:1])
    assert found is not None
    assert np.isinf([found.too_high, found.too_low]).all()
    assert found.toward_zero(0.1) == 0


def test_a_verdict_allows_for_failures(tmp_path):
    """A clear difference among the pairs that finished; a third of the better level's trials have failed."""

    def effect(folder: str, failed: int):
        trials = [
            FakeTrial(
                loss=n,
                seed=s,
                quality=1.0 + (n == "focal"),
                state="FAILED" if n == "focal" and s < failed else "COMPLETE",
            )
            for s in range(9)
            for n in LOSSES
        ]
        task = write_study(Storage(str(tmp_path / folder)), [FakeTask(train=300)], {"scenes": trials}, rule="")
        return task_effects(task.read().tasks[0]).effects[0]

    whole, holed = effect("whole", 0), effect("holed", 3)
    assert whole.lost is None
    assert whole.adjusted_p == pytest.approx(whole.estimate.p)
    assert (holed.lost.level, holed.lost.baseline, len(holed.pairs), holed.possible) == (3, 0, 6, 9)
    nearest = holed.estimate.difference - holed.lost.too_high
    assert holed.adjusted_p == pytest.approx(holed.estimate.noise.p_value(nearest))
    assert holed.adjusted_p > holed.estimate.p
