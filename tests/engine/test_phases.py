"""Who runs when, who may be stopped, and on what final estimates rest. Scripted scores."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from swath import Backbone, Recipe, Sweep, asha, chain, grid, kfold, ops, tasks, two_phase
from swath.analysis.cells import cell_results
from swath.analysis.load import read_results
from swath.cli import check
from swath.config.trial_spec import TrialSpec
from swath.core.errors import InputError
from swath.engine.driver import run
from swath.plan.progress import Progress
from swath.report.markdown.states import state_sections
from swath.report.sentences import is_running
from swath.store.storage import Locations
from swath.store.sweeps import read_sweep
from tests.support.planned import planned_sweep
from tests.support.scripted import Score, ScriptedEngine

RATES = (1e-3, 2e-3, 3e-3, 4e-3, 5e-3, 6e-3)


def start(sweep: Sweep, store: Path, score: Score, retry_failed: bool = False) -> tuple[Progress, ScriptedEngine]:
    engine = ScriptedEngine(score)
    progress = planned_sweep(sweep, Locations.of(str(store)))
    run(progress, engine, lambda line: None, retry_failed)
    progress.refresh()
    return progress, engine


def by_rate(spec: TrialSpec, epoch: int) -> float:
    """A higher learning rate is better; later trials look better still, so that only the grace rung stops."""
    return spec.recipe.lr * 100 + 0.01 * epoch


@pytest.fixture
def rates(make_sweep: Callable[..., Sweep]) -> Callable[..., Sweep]:
    def make(**changes: object) -> Sweep:
        recipe = Recipe(epochs=4, batch_size=8, lr=grid(*reversed(RATES)), image_size=32)
        return make_sweep(**{"preprocess": (), "recipe": recipe, **changes})

    return make


def ran(engine: ScriptedEngine) -> dict[tuple[float, int, int], str]:
    return {(spec.recipe.lr, spec.seed, spec.fold): state for spec, _, state in engine.ran}


def test_the_second_phase_has_the_best_cells_and_the_baseline_with_fresh_seeds(
    rates: Callable[..., Sweep], tmp_path: Path
) -> None:
    rule = two_phase(top=2, seeds=(7, 8), grace_epochs=1, reduction=2)
    sweep = rates(recipe=Recipe(epochs=4, batch_size=8, lr=grid(1e-3, *reversed(RATES[1:])), image_size=32), stop=rule)
    progress = planned_sweep(sweep, Locations.of(str(tmp_path)))
    assert len(progress.lacking()) == 6
    assert progress.at_most_later() == 6
    assert "6 trials: 0 done, 0 stopped, 0 failed, 6 to run, and at most 6 later" in check.headline(progress)
    progress, engine = start(sweep, tmp_path, by_rate)
    first = {key: state for key, state in ran(engine).items() if key[1] == 0}
    assert len(first) == 6
    assert set(first.values()) == {"COMPLETE", "STOPPED"}
    second = {key: state for key, state in ran(engine).items() if key[1] != 0}
    assert second == {(lr, seed, 0): "COMPLETE" for lr in (1e-3, 5e-3, 6e-3) for seed in (7, 8)}
    assert engine.waves == [6, 6]
    assert not planned_sweep(sweep, Locations.of(str(tmp_path))).lacking()
    listed = read_sweep(progress.plan.locations.storage, "study")
    assert listed is not None
    assert [(t.phase, t.exempt, t.final) for t in listed.trials] == [(1, False, False)] * 6 + [(2, True, True)] * 6
    assert (listed.rule, listed.stop) == (
        "asha(grace_epochs=1,reduction=2)",
        "two_phase(grace_epochs=1,reduction=2,top=2,seeds=7+8)",
    )


def test_final_estimates_leave_the_first_phase_out(rates: Callable[..., Sweep], tmp_path: Path) -> None:
    rule = two_phase(top=2, seeds=(7, 8), grace_epochs=1, reduction=2)
    progress, _ = start(rates(stop=rule), tmp_path, by_rate)
    results = read_results(progress.plan.locations.storage, "study")
    cells = cell_results(results.tasks[0])
    assert {c.cell: ([r.seed for r in c.runs], c.seeds_planned) for c in cells if c.cell in ("0.006", "0.005")} == {
        "0.006": ([7, 8], 2),
        "0.005": ([7, 8], 2),
    }
    assert not is_running(results)
    assert "not run" not in "\n".join(state_sections(results, results.tasks[0], "##"))


def test_another_top_and_plain_asha_share_the_stopped_trials(rates: Callable[..., Sweep], tmp_path: Path) -> None:
    start(rates(stop=two_phase(top=1, seeds=(7,), grace_epochs=1, reduction=2)), tmp_path, by_rate)
    _, engine = start(rates(stop=two_phase(top=3, seeds=(7,), grace_epochs=1, reduction=2)), tmp_path, by_rate)
    assert sorted(ran(engine)) == [(4e-3, 7, 0), (5e-3, 7, 0)]
    _, engine = start(rates(stop=asha(1, 2)), tmp_path, by_rate)
    assert not engine.ran


def test_strata_choose_apart_and_folds_together(rates: Callable[..., Sweep], tmp_path: Path) -> None:
    tiny = [Backbone(name, pretrained=False) for name in ("test_resnet", "test_efficientnet")]

    def score(spec: TrialSpec, epoch: int) -> float:
        flip = -1 if spec.backbone.model == "test_efficientnet" else 1
        # 5e-3 wins on one fold only, 6e-3 (or, for the other backbone, 1e-3) on average.
        return flip * spec.recipe.lr * 100 + (0.15 if spec.fold == 0 and spec.recipe.lr == 5e-3 else 0)

    sweep = rates(backbone=grid(*tiny), split=kfold(3), stop=two_phase(top=1, seeds=(9,), grace_epochs=4))
    _, engine = start(sweep, tmp_path, score)
    second = {(spec.backbone.model, spec.recipe.lr, spec.fold) for spec, _, _ in engine.ran if spec.seed == 9}
    wanted = {("test_resnet", 6e-3), ("test_efficientnet", 1e-3)}
    assert second == {(model, lr, fold) for model, lr in wanted for fold in range(3)}


def test_a_failed_cell_is_not_chosen(rates: Callable[..., Sweep], tmp_path: Path) -> None:
    def score(spec: TrialSpec, epoch: int) -> float:
        return (
            float("inf") if spec.recipe.lr == 5e-3 else spec.recipe.lr * (float("nan") if spec.recipe.lr == 4e-3 else 1)
        )

    _, engine = start(rates(stop=two_phase(top=2, seeds=(9,), grace_epochs=4)), tmp_path, score)
    assert {spec.recipe.lr for spec, _, _ in engine.ran if spec.seed == 9} == {6e-3, 3e-3}


def test_exempt_first_seeds_never_stop_and_the_others_compete_with_them(
    rates: Callable[..., Sweep], tmp_path: Path
) -> None:
    sweep = rates(stop=asha(1, 2, exempt="first_seed"), seeds=(0, 1))
    progress, engine = start(sweep, tmp_path, by_rate)
    states = ran(engine)
    assert {state for (_, seed, _), state in states.items() if seed == 0} == {"COMPLETE"}
    assert {lr: state for (lr, seed, _), state in states.items() if seed == 1} == {
        lr: "COMPLETE" if lr >= 4e-3 else "STOPPED" for lr in RATES
    }
    assert engine.waves == [12]
    assert [t.final for t in progress.plan.trials] == [True] * 6 + [False] * 6
    assert not planned_sweep(sweep, Locations.of(str(tmp_path))).lacking()
    cells = cell_results(read_results(progress.plan.locations.storage, "study").tasks[0])
    assert [[r.seed for r in c.runs] for c in cells] == [[0]] * 6


def test_a_cell_survives_on_all_folds_or_not_at_all(rates: Callable[..., Sweep], tmp_path: Path) -> None:
    def score(spec: TrialSpec, epoch: int) -> float:
        return spec.recipe.lr * 100 - (1 if spec.fold == 1 and spec.recipe.lr == 6e-3 else 0)

    sweep = rates(
        split=kfold(2), seeds=(0, 1), stop=asha(1, 3), recipe=Recipe(epochs=2, lr=grid(1e-3, 2e-3, 6e-3), image_size=32)
    )
    progress, engine = start(sweep, tmp_path, score)
    first = {key for key, state in ran(engine).items() if key[1] == 0 and state == "COMPLETE"}
    further = {lr for lr, seed, _ in ran(engine) if seed == 1}
    complete = {lr for lr in (1e-3, 2e-3, 6e-3) if all((lr, 0, fold) in first for fold in range(2))}
    assert (6e-3, 0, 0) in first
    assert further == complete | {1e-3}, "and the baseline"
    assert not planned_sweep(sweep, Locations.of(str(tmp_path))).lacking()
    assert not is_running(read_results(progress.plan.locations.storage, "study"))


def test_rungs_count_images_not_epochs(make_sweep: Callable[..., Sweep], layout: Path, tmp_path: Path) -> None:
    table = pd.read_csv(layout / "train.csv")
    table["img_path"] = [str(layout / path) for path in table["img_path"]]
    table.assign(large=table["img_path"]).to_csv(tmp_path / "train.csv", index=False)
    sweep = make_sweep(
        task=tasks.Csv(str(tmp_path), id_column="img_id", path_column="img_path", hires_column="large"),
        preprocess=grid((), chain(train=(ops.Both(),))),
        recipe=Recipe(epochs=9, image_size=32),
        stop=asha(2, 2),
    )
    (raw, both) = [replace(t) for t in planned_sweep(sweep, Locations.of(str(tmp_path))).plan.trials]
    assert (raw.passes, raw.rungs()) == (1, {2: 2, 4: 4, 8: 8})
    assert (both.passes, both.rungs()) == (2, {1: 2, 2: 4, 4: 8, 8: 16})


@pytest.mark.parametrize(
    ("stop", "expected"),
    [
        (two_phase(top=0), "two_phase(top=0): allowed is a whole number of 1 or more"),
        (two_phase(seeds=(0, 5)), "two_phase(seeds=(0, 5)) has the sweep's own [0]"),
        (two_phase(seeds=()), "seeds of two_phase=(): give a tuple of one or more whole numbers"),
        (two_phase(exempt="first_seed"), "would stop nothing in its first phase"),
        (two_phase(grace_epochs=0), "grace_epochs=0"),
    ],
)
def test_what_is_wrong_with_a_two_phase_rule(
    rates: Callable[..., Sweep], tmp_path: Path, stop: object, expected: str
) -> None:
    with pytest.raises(InputError) as caught:
        planned_sweep(rates(stop=stop), Locations.of(str(tmp_path)))
    assert expected in "\n".join(caught.value.problems)
