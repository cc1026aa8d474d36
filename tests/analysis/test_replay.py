"""Replays against schedules by hand, a simulation that ticks through time, and sweeps that ran under the rule."""

import math
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from swath import Backbone, Recipe, Sweep, asha, grid, kfold, two_phase
from swath.analysis.load import read_results
from swath.analysis.replay.replay import ReplayedRule, replay
from swath.analysis.replay.schedule import ReplayedTrial, replay_schedule
from swath.analysis.replay.stored_trials import StoredTrial, stored_trials
from swath.config.stopping import Asha
from swath.config.trial_spec import TrialSpec
from swath.core.errors import InputError
from swath.engine.base import Engine
from swath.engine.driver import run
from swath.engine.inline import InlineEngine
from swath.report.markdown.replay import replay_text
from swath.store.states import State
from swath.store.storage import Locations, Storage
from tests.support.planned import planned_sweep
from tests.support.scripted import Score, ScriptedEngine

NAN = float("nan")
OLD_STORE = Path(__file__).parents[1] / "data/old_store/old_store.tar.xz"


def trial(cell: str, scores: list[float], seconds: list[float], ended: State = State.COMPLETE, **more) -> StoredTrial:
    epochs = more.pop("epochs", len(scores))
    known = {
        "cell": cell,
        "factors": {"cell": cell},
        "baseline": False,
        "seed": 0,
        "stratum": ("data", "resnet", 0),
        "epochs": epochs,
        "passes": 1,
        "scores": np.array(scores, float),
        "seconds": np.array(seconds, float),
        "ended": ended,
        "stored": State.STOPPED if ended == State.UNFINISHED else ended,
        "phase": 1,
        "final": True,
        "score": scores[-1] if ended == State.COMPLETE else NAN,
        "epoch_s": median(seconds) if seconds else NAN,
    }
    return StoredTrial(**{**known, **more})


def ends(replayed: list[ReplayedTrial]) -> list[tuple[str, int, float, float]]:
    return [(str(r.state), r.epochs, r.start_s, r.end_s) for r in replayed]


def test_a_schedule_by_hand() -> None:
    # Rungs after epochs 1 and 2 of 3, half go on; two workers.
    trials = [
        trial("a", [0.5, 0.6, 0.7], [10, 10, 10]),  # first at rung 1 at 10 s, at rung 2 at 20 s: goes on, ends at 30 s
        trial("b", [0.4, 0.9, 0.9], [12, 12, 12]),  # at rung 1 at 12 s, second of two, one goes on: stops
        trial("c", [0.6, 0.5, 0.5], [3, 9, 9]),  # starts at 12 s, best of three at 15 s; 24 s: 0.5 < 0.6: stops
        trial("d", [0.1, 0.1, 0.1], [2, 2, 2]),  # starts at 24 s, fourth of four at 26 s: stops
        trial("e", [0.7], [1], State.FAILED, epochs=3),  # starts at 26 s, best at its rung, and fails there
        trial("f", [], [], State.FAILED, epochs=3),  # starts at 27 s and fails at once
        trial("g", [0.55, 0.8, 0.8], [1, 1, 1]),  # starts at 27 s; third of six: goes on; best of three at 29 s
    ]
    assert ends(replay_schedule(trials, asha(1, 2), first_seed=0, workers=2)) == [
        ("COMPLETE", 3, 0, 30),
        ("STOPPED", 1, 0, 12),
        ("STOPPED", 2, 12, 24),
        ("STOPPED", 1, 24, 26),
        ("FAILED", 1, 26, 27),
        ("FAILED", 0, 27, 27),
        ("COMPLETE", 3, 27, 30),
    ]


def by_ticks(
    trials: list[StoredTrial], grace: int, reduction: int, workers: int
) -> list[tuple[str, int, float, float]]:
    """The same second by second: at each every worker's trial in order; durations are whole seconds above 0."""
    waiting, running, ended = list(range(len(trials))), {}, {}
    rungs = {grace * reduction**k for k in range(9)}
    met: dict[tuple[object, int], list[float]] = {}
    now = 0
    while waiting or running:
        while waiting and len(running) < workers:
            running[waiting.pop(0)] = now
        now += 1
        for number, start in sorted(running.items()):
            one = trials[number]
            times = list(np.cumsum(one.seconds))
            if now - start not in times:
                continue
            epoch = times.index(now - start) + 1
            state = str(one.ended) if epoch == one.known else ""
            reports = epoch < one.known or one.ended == State.FAILED
            if reports and epoch in rungs and epoch < one.epochs:
                so_far = met.setdefault((one.stratum, epoch), [])
                so_far.append(one.scores[epoch - 1])
                kept = sorted(so_far, reverse=True)[: math.ceil(len(so_far) / reduction)]
                state = state if one.scores[epoch - 1] >= kept[-1] else "STOPPED"
            if state:
                ended[number] = (state, epoch, start, now)
                del running[number]
    return [ended[number] for number in range(len(trials))]


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("seed", range(6))
def test_schedules_are_those_of_a_simulation_that_ticks(seed: int, workers: int) -> None:
    rng = np.random.default_rng(seed)
    trials = []
    for number in range(30):
        known = int(rng.integers(2, 11)) if rng.random() < 0.3 else 10
        ended = State.COMPLETE if known == 10 or rng.random() < 0.5 else State.FAILED  # COMPLETE early: early stopping
        scores, seconds = rng.random(known).tolist(), rng.integers(1, 7, known).astype(float).tolist()
        stratum = ("data", "resnet" if rng.random() < 0.5 else "vit", 0)
        trials.append(trial(str(number), scores, seconds, ended, epochs=10, stratum=stratum))
    replayed = ends(replay_schedule(trials, asha(1, 3), first_seed=0, workers=workers))
    assert replayed == by_ticks(trials, 1, 3, workers)
    assert {state for state, *_ in replayed} >= {"COMPLETE", "STOPPED"}


def test_what_goes_on_behind_its_curve_is_unknown_and_costs_its_median_epoch() -> None:
    trials = [
        trial("a", [0.5, 0.6], [10, 30], State.UNFINISHED, epochs=6),  # was stopped after two epochs, at its rung
        trial("b", [0.4, 0.5, 0.6, 0.7, 0.8, 0.9], [1] * 6),
    ]
    whole = replay_schedule(trials, None, first_seed=0, workers=1)
    assert ends(whole) == [("UNFINISHED", 6, 0, 40 + 4 * 20), ("COMPLETE", 6, 120, 126)]
    assert [r.unknown_epochs for r in whole] == [4, 0]
    # It competes at the rungs that its curve reaches, and stops there without anything unknown.
    behind = replay_schedule(trials[::-1], asha(2, 2), first_seed=0, workers=1)
    assert ends(behind) == [("COMPLETE", 6, 0, 6), ("UNFINISHED", 6, 6, 126)]
    lower = [trials[1], replace(trials[0], scores=np.array([0.1, 0.2]))]
    assert ends(replay_schedule(lower, asha(2, 2), first_seed=0, workers=1))[1] == ("STOPPED", 2, 6, 46)


def ran(sweep: Sweep, store: Path, engine: Engine) -> Storage:
    progress = planned_sweep(sweep, Locations.of(str(store)))
    run(progress, engine, lambda line: None)
    return progress.plan.locations.storage


def in_store(storage: Storage) -> dict[tuple[str, int, int], tuple[str, int]]:
    """State and epochs of every trial that ran."""
    trials = read_results(storage, "study", predictions_too=False).tasks[0].trials
    return {(t.cell, t.seed, t.fold): (str(t.state), t.epochs) for t in trials if t.state != State.NOT_RUN}


def in_replay(replayed: ReplayedRule) -> dict[tuple[str, int, int], tuple[str, int]]:
    return {
        (r.trial.cell, r.trial.seed, r.trial.fold): (str(r.state), r.epochs)
        for r in replayed.trials
        if r.state != State.NOT_RUN
    }


def replayed_on(storage: Storage, rule: Asha | None, workers: int = 1, seeds: tuple[int, ...] = ()) -> ReplayedRule:
    return replay(read_results(storage, "study", predictions_too=False), [rule], [workers], seeds).rules[-1]


def drawn(spec: TrialSpec, epoch: int) -> float:
    """A score that only the trial and the epoch decide; one trial fails."""
    key = [int(spec.recipe.lr * 1e6), spec.seed, spec.fold, len(spec.backbone.model), epoch]
    if spec.recipe.lr == 4e-3 and spec.fold == 1 and epoch == 3:
        return float("inf")
    return float(np.random.default_rng(key).random()) + spec.recipe.lr * 50


@pytest.fixture
def wide(make_sweep: Callable[..., Sweep]) -> Callable[..., Sweep]:
    """Two backbones, five rates, two folds, two seeds, five epochs."""

    def make(**changes: object) -> Sweep:
        fields = {
            "preprocess": (),
            "backbone": grid(*(Backbone(name, pretrained=False) for name in ("test_resnet", "test_efficientnet"))),
            "recipe": Recipe(epochs=5, batch_size=8, lr=grid(2e-3, 1e-3, 3e-3, 4e-3, 5e-3), image_size=32),
            "split": kfold(2),
            "seeds": (0, 1),
        }
        return make_sweep(**{**fields, **changes})

    return make


RULES = (
    asha(1, 2),
    asha(2, 3, exempt="baseline"),
    asha(1, 3, exempt="first_seed"),
    two_phase(top=2, seeds=(1,), grace_epochs=1, reduction=2),
    two_phase(top=3, seeds=(1,), grace_epochs=2, reduction=2, exempt="baseline"),
)


def test_rules_replayed_from_a_full_sweep_end_each_trial_where_the_engine_does(
    wide: Callable[..., Sweep], tmp_path: Path
) -> None:
    full = ran(wide(), tmp_path / "full", ScriptedEngine(drawn))
    seen: set[str] = set()
    for number, rule in enumerate(RULES):
        own = tuple(seed for seed in (0, 1) if seed not in rule.later_seeds)
        stopped = ran(wide(seeds=own, stop=rule), tmp_path / str(number), ScriptedEngine(drawn))
        found = replayed_on(full, rule)
        assert in_replay(found) == in_store(stopped), rule
        seen |= {state for state, _ in in_store(stopped).values()}
        assert found.device_s == sum(epochs for _, epochs in in_store(stopped).values())  # a second each
        # And the sweep that was stopped, replayed under its own rule, has nothing unknown and nothing else.
        again = replay(read_results(stopped, "study", predictions_too=False)).rules[-1]
        assert (again.rule, again.differing, again.unknown_epochs) == (rule.canonical(), 0, 0)
        assert in_replay(again) == in_store(stopped)
    assert seen == {"COMPLETE", "STOPPED", "FAILED"}


def test_a_rule_replayed_from_a_full_sweep_is_what_inline_training_under_it_does(
    make_sweep: Callable[..., Sweep], tmp_path: Path
) -> None:
    rates = (1e-4, 3e-3, 1e-3, 1e-5, 1e-6)
    recipe = Recipe(epochs=3, batch_size=8, optimizer="adamw", lr=grid(*rates), image_size=32)
    rule = asha(grace_epochs=1, reduction=2)
    full = ran(make_sweep(preprocess=(), recipe=recipe), tmp_path / "full", InlineEngine())
    stopped = ran(make_sweep(preprocess=(), recipe=recipe, stop=rule), tmp_path / "stopped", InlineEngine())
    found = replayed_on(full, rule)
    assert in_replay(found) == in_store(stopped)
    assert set(found.states) == {State.COMPLETE, State.STOPPED}
    curves = [t.metrics for t in read_results(full, "study", predictions_too=False).tasks[0].trials]
    trained = [table["seconds"][: r.epochs].sum() for table, r in zip(curves, found.trials, strict=True)]
    assert found.device_s == pytest.approx(sum(trained))
    assert found.device_share == pytest.approx(sum(trained) / sum(table["seconds"].sum() for table in curves))


def test_what_is_chosen_and_lost_by_hand(make_sweep: Callable[..., Sweep], tmp_path: Path) -> None:
    """Four rates and two seeds; the best at the end starts slowest."""
    final = {4e-3: (0.50, 0.54), 3e-3: (0.60, 0.62), 2e-3: (0.70, 0.60), 1e-3: (0.80, 0.70)}

    def score(spec: TrialSpec, epoch: int) -> float:
        return spec.recipe.lr * 10 if epoch == 1 else final[spec.recipe.lr][spec.seed]

    recipe = Recipe(epochs=3, batch_size=8, lr=grid(*final), image_size=32)
    storage = ran(make_sweep(preprocess=(), recipe=recipe, seeds=(0, 1)), tmp_path, ScriptedEngine(score))
    results = read_results(storage, "study", predictions_too=False)
    found = replay(results, [asha(1, 2), asha(1, 2, exempt="first_seed")], [1, 4], [1, 2])
    assert {(r.rule, r.workers, len(r.seeds)) for r in found.rules} == {
        ("none", 1, 2),
        ("none", 4, 2),
        *((rule.canonical(), w, n) for rule in (asha(1, 2), asha(1, 2, "first_seed")) for w in (1, 4) for n in (1, 2)),
    }
    (full,) = found.full
    assert dict(full.scores) == pytest.approx({"0.001": 0.75, "0.002": 0.65, "0.003": 0.61, "0.004": 0.52})
    assert (full.best, full.top) == ("0.001", ("0.001",))
    assert dict(full.pairs) == {("lr", "0.001"): 2, ("lr", "0.002"): 2, ("lr", "0.003"): 2}
    by = {(r.rule, r.workers, len(r.seeds)): r for r in found.rules}
    whole = by["none", 4, 2]
    assert (whole.epochs, whole.device_s, whole.wall_s, whole.utilisation) == (24, 24, 6, 1)
    assert (whole.choices[0].winner, whole.choices[0].regret, whole.choices[0].rank_correlation) == ("0.001", 0, 1)
    # One worker: 0.004 is best at the first rung, and its later rung too: all others stop at once.
    one = by[asha(1, 2).canonical(), 1, 1]
    assert (one.epochs, one.wall_s, one.device_share) == (3 + 3, 6, 6 / 24)
    choice = one.choices[0]
    assert (choice.winner, choice.survivors, choice.best_kept, choice.top_kept) == ("0.004", ("0.004",), False, 0)
    assert choice.regret == pytest.approx(0.75 - 0.52)
    assert (choice.comparisons, choice.pairs, choice.unknown) == (0, 0, 0)
    assert choice.rank_correlation == pytest.approx(-1)  # it ended first, the others by their first scores
    # Its second seed runs to the end, and is the baseline's: no pair.
    two = by[asha(1, 2).canonical(), 1, 2]
    assert (two.epochs, two.states) == (9, {State.COMPLETE: 2, State.STOPPED: 3, State.NOT_RUN: 3})
    # Exempt first seeds leave a pair for each comparison, and the truth.
    kept = by[asha(1, 2, "first_seed").canonical(), 1, 2].choices[0]
    assert (kept.winner, kept.regret, kept.comparisons, kept.pairs) == ("0.001", 0, 3, 3)


def test_a_stopped_sweep_says_what_it_does_not_know(make_sweep: Callable[..., Sweep], tmp_path: Path) -> None:
    rates = [n * 1e-3 for n in range(1, 13)]  # reversed, all but the first stop; in this order none does

    def score(spec: TrialSpec, epoch: int) -> float:
        return spec.recipe.lr

    def stopped(rule: Asha, name: str, order: list[float], seeds: tuple[int, ...] = (0,)) -> Storage:
        recipe = Recipe(epochs=4, batch_size=8, lr=grid(*order), image_size=32)
        sweep = make_sweep(preprocess=(), recipe=recipe, stop=rule, seeds=seeds)
        return ran(sweep, tmp_path / name, ScriptedEngine(score))

    storage = stopped(asha(1, 2), "some", [*rates[6:], *rates[:6]], (0, 1))
    states = [state for state, _ in in_store(storage).values()]
    finished = states.count("COMPLETE")
    whole = replayed_on(storage, None)
    assert whole.states == {State.COMPLETE: finished, State.UNFINISHED: 24 - finished}
    assert whole.epochs == 96
    assert whole.device_s == 96  # of seconds; second seeds that never ran have their cell's
    assert whole.unknown_epochs == 96 - sum(epochs for _, epochs in in_store(storage).values())
    assert not whole.is_refused
    assert whole.choices[0].unknown == 12 - len(whole.choices[0].survivors) > 0
    # What survived the sweep's own rule is known by its luck: no verdict rests on it, whatever the replayed rule.
    assert whole.choices[0].pairs <= sum(replay(read_results(storage, "study", False)).full[0].pairs.values())
    few = stopped(two_phase(top=1, seeds=(9,), grace_epochs=1, reduction=12), "few", rates[::-1])
    assert replayed_on(few, None).states == {State.COMPLETE: 1, State.UNFINISHED: 11}
    assert replayed_on(few, None).is_refused
    own = replay(read_results(few, "study", predictions_too=False))
    assert [rule.is_refused for rule in own.rules] == [True, False]
    said = replay_text(own)
    assert "none on 1 worker would train 11 of its 12 trials beyond their stored curves" in said
    assert "| two_phase(grace_epochs=1,reduction=12,top=1,seeds=9) |       1 |     1 | 0.012" in said


def test_fresh_seeds_that_the_store_lacks_cost_what_their_cells_do(
    make_sweep: Callable[..., Sweep], tmp_path: Path
) -> None:
    recipe = Recipe(epochs=4, batch_size=8, lr=grid(1e-3, 2e-3, 3e-3), image_size=32)
    storage = ran(
        make_sweep(preprocess=(), recipe=recipe), tmp_path, ScriptedEngine(lambda spec, epoch: spec.recipe.lr)
    )
    found = replayed_on(storage, two_phase(top=1, seeds=(7, 8), grace_epochs=4))
    assert found.states == {State.COMPLETE: 3, State.UNFINISHED: 4, State.NOT_RUN: 2}  # the best and the baseline
    assert (found.device_s, found.unknown_epochs) == (12 + 16, 16)


def test_numbers_out_of_range_are_refused_with_what_is_allowed(
    make_sweep: Callable[..., Sweep], tmp_path: Path
) -> None:
    def score(spec: TrialSpec, epoch: int) -> float:
        return 0.5

    storage = ran(make_sweep(seeds=(3, 4)), tmp_path / "one", ScriptedEngine(score))
    results = read_results(storage, "study", predictions_too=False)
    with pytest.raises(InputError) as caught:
        replay(results, [asha(), two_phase(seeds=(3, 4))], [0], [3])
    assert caught.value.problems == (
        "--seeds 3: give 1 to 2; under asha the sweep has [3, 4].",
        "two_phase(seeds=3+4) leaves none of the sweep's seeds [3, 4] for its first phase.",
        "--workers 0: give 1 or more.",
    )
    failing: Score = lambda spec, epoch: math.inf  # noqa: E731
    failed = ran(make_sweep(), tmp_path / "failed", ScriptedEngine(failing))
    with pytest.raises(InputError, match="no cell of 'study' has finished on every fold"):
        replay(read_results(failed, "study", predictions_too=False))


def test_sweeps_of_an_earlier_swath_replay_as_they_ran(tmp_path: Path) -> None:
    with tarfile.open(OLD_STORE) as archive:
        archive.extractall(tmp_path, filter="data")
    storage = Storage(str(tmp_path / "store"))
    for name in ("stopping", "plain", "frozen", "searched"):
        results = read_results(storage, name, predictions_too=False)
        listed = [t for t in results.tasks[0].trials if not t.cell.startswith("import ")]
        assert [t.cell for t in stored_trials(results)] == [t.cell for t in listed]
        own = replay(results).rules[-1]
        assert (own.differing, own.unknown_epochs) == (0, 0)
        assert own.device_s == pytest.approx(sum(t.device_s for t in listed))
        assert own.wall_s == pytest.approx(own.device_s)
        assert [(r.state, r.epochs) for r in own.trials] == [(t.state, t.epochs) for t in listed]
