"""A search from the plan to the store: what is asked, what is skipped, what a restart goes on with."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from swath import Recipe, Sweep, asha, grid, kfold, loguniform, ops, optuna, random, two_phase
from swath.analysis.load import read_results
from swath.cli import check
from swath.config.trial_spec import TrialSpec
from swath.core.errors import InputError
from swath.engine.base import Engine
from swath.engine.driver import run
from swath.plan.progress import Progress
from swath.report.write import write_results
from swath.store.storage import Locations
from tests.support.planned import planned_sweep
from tests.support.scripted import ScriptedEngine


def start(sweep: Sweep, store: Path, engine: Engine) -> Progress:
    progress = planned_sweep(sweep, Locations.of(str(store)))
    run(progress, engine, lambda line: None)
    progress.refresh()
    return progress


def score(spec: TrialSpec, epoch: int) -> float:
    return 1 / (1 + abs(spec.recipe.lr - 3e-3) * 1000) + 0.001 * epoch + (0.1 if len(spec.preprocess) > 1 else 0)


@pytest.fixture
def searching(make_sweep: Callable[..., Sweep]) -> Callable[..., Sweep]:
    def make(**changes: object) -> Sweep:
        recipe = Recipe(epochs=4, batch_size=8, lr=loguniform(1e-5, 1e-1), image_size=32)
        return make_sweep(**{"preprocess": (), "recipe": recipe, "search": optuna(12, seed=1, batch=4), **changes})

    return make


def rates(engine: ScriptedEngine) -> list[float]:
    return [spec.recipe.lr for spec, _, _ in engine.ran]


class _KilledError(Exception):
    pass


def test_an_interrupted_search_goes_on_with_the_points_of_an_uninterrupted_one(
    searching: Callable[..., Sweep], tmp_path: Path
) -> None:
    whole = ScriptedEngine(score)
    progress = planned_sweep(searching(), Locations.of(str(tmp_path / "whole")))
    assert "4 cells, 4 trials: 0 done, 0 stopped, 0 failed, 4 to run, and at most 8 later" in check.headline(progress)
    start(searching(), tmp_path / "whole", whole)
    assert whole.waves == [4, 4, 4]
    assert len(set(rates(whole))) == 12

    def killed(spec: TrialSpec, epoch: int) -> float:
        if len(cut.ran) == 6:
            raise _KilledError
        return score(spec, epoch)

    cut, rest = ScriptedEngine(killed), ScriptedEngine(score)
    with pytest.raises(_KilledError):
        start(searching(), tmp_path / "cut", cut)
    progress = planned_sweep(searching(), Locations.of(str(tmp_path / "cut")))
    assert (len(progress.plan.trials), len(progress.lacking()), progress.at_most_later()) == (8, 2, 4)
    start(searching(), tmp_path / "cut", rest)
    assert rates(cut) + rates(rest) == rates(whole)
    again = ScriptedEngine(score)
    progress = start(searching(), tmp_path / "cut", again)
    assert (again.ran, progress.at_most_later()) == ([], 0)


def test_a_longer_search_goes_on_and_a_shorter_one_is_done(searching: Callable[..., Sweep], tmp_path: Path) -> None:
    start(searching(), tmp_path, ScriptedEngine(score))
    more = ScriptedEngine(score)
    progress = start(searching(search=optuna(15, seed=1, batch=4)), tmp_path, more)
    assert (len(more.ran), len(progress.plan.trials)) == (3, 15)
    fewer = planned_sweep(searching(search=optuna(5, seed=1, batch=4)), Locations.of(str(tmp_path)))
    assert (len(fewer.plan.trials), fewer.lacking()) == (5, [])
    other = planned_sweep(searching(search=optuna(12, seed=2, batch=4)), Locations.of(str(tmp_path)))
    assert len(other.lacking()) == 4


def test_a_random_search_is_known_in_full_and_compares_cells_at_the_same_points(
    searching: Callable[..., Sweep], tmp_path: Path
) -> None:
    sweep = searching(search=random(5, seed=2), preprocess=grid((), (ops.Sharpen(),)), split=kfold(2), seeds=(0, 1))
    engine = ScriptedEngine(score)
    progress = planned_sweep(sweep, Locations.of(str(tmp_path)))
    assert (len(progress.lacking()), progress.at_most_later()) == (5 * 2 * 2 * 2, 0)
    start(sweep, tmp_path, engine)
    assert engine.waves == [40]
    results = read_results(progress.plan.locations.storage, "study")
    write_results(results, tmp_path / "report")
    text = (tmp_path / "report" / "leaderboard.md").read_text()
    assert all(
        f"lr={t.sweep.recipe.lr:g}" in text for t in {c.cell.label: c.cell for c in progress.plan.trials}.values()
    )


def test_the_searcher_is_told_means_over_folds_and_of_stopped_and_failed_points(
    searching: Callable[..., Sweep], tmp_path: Path
) -> None:
    def worse(spec: TrialSpec, epoch: int) -> float:
        return float("inf") if spec.recipe.lr > 0.05 else score(spec, epoch) - 0.2 * spec.fold

    sweep = searching(split=kfold(2), stop=asha(1, 2), search=optuna(10, seed=3, batch=5))
    progress = start(sweep, tmp_path, ScriptedEngine(worse))
    states = {o.state for o in progress.outcomes.values()}
    assert states >= {"COMPLETE", "STOPPED"}
    own = [t for t in progress.plan.trials if t.cell.origin == progress.plan.trials[0].cell.origin]
    complete = next(
        t
        for t in own
        if all(progress.outcomes[o.spec.fingerprint].state == "COMPLETE" for o in own if o.cell == t.cell)
    )
    told = progress._evaluated(own, complete.cell.point)
    assert told.state == "COMPLETE"
    assert told.score == pytest.approx(score(complete.spec, 4) - 0.1)


def test_the_second_phase_takes_the_best_points(searching: Callable[..., Sweep], tmp_path: Path) -> None:
    sweep = searching(stop=two_phase(top=2, seeds=(7,), grace_epochs=4), search=optuna(9, seed=1, batch=3))
    engine = ScriptedEngine(score)
    start(sweep, tmp_path, engine)
    assert engine.waves[:3] == [3, 3, 3]
    first = {s.recipe.lr: score(s, 4) for s, _, _ in engine.ran if s.seed == 0}
    best = sorted(first, key=first.__getitem__)[-2:]
    baseline = rates(engine)[0]
    assert {s.recipe.lr for s, _, _ in engine.ran if s.seed == 7} == {*best, baseline}
    assert not planned_sweep(sweep, Locations.of(str(tmp_path))).lacking()


def test_ends_of_ranges_are_checked_before_anything_runs(searching: Callable[..., Sweep], tmp_path: Path) -> None:
    bad = searching(recipe=Recipe(epochs=4, lr=loguniform(1e-5, 100.0), image_size=32))
    with pytest.raises(InputError, match=r"Recipe\(lr=100\.0\): allowed is above 0 and at most 10"):
        planned_sweep(bad, Locations.of(str(tmp_path)))


def test_both_engines_train_the_same_points(make_sweep: Callable[..., Sweep], tmp_path: Path, engine: Engine) -> None:
    recipe = Recipe(epochs=1, batch_size=16, optimizer="adamw", lr=loguniform(1e-4, 1e-2), image_size=32)
    sweep = make_sweep(preprocess=(), recipe=recipe, search=optuna(4, batch=2))
    progress = start(sweep, tmp_path, engine)
    assert len(progress.plan.trials) == 4
    assert {o.state for o in progress.outcomes.values()} == {"COMPLETE"}
    assert (
        start(replace(sweep, name="again"), tmp_path, ScriptedEngine(score)).outcomes.keys() == progress.outcomes.keys()
    )
