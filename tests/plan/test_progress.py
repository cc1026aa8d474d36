"""How far a plan is: the plan itself never changes, and the cache is asked once for each entry."""

import dataclasses
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from swath import Backbone, Recipe, Sweep, grid, loguniform, losses, optuna
from swath.engine.driver import run
from swath.plan import cache_needs
from swath.plan.disk_space import bytes_to_build
from swath.plan.make import make_plan
from swath.plan.progress import read_progress
from swath.preprocess.cache.manifest import is_built
from swath.store.storage import Locations, Storage
from tests.support.planned import planned_sweep
from tests.support.scripted import ScriptedEngine

SweepMaker = Callable[..., Sweep]


def test_a_search_grows_the_progress_and_leaves_the_plan_as_it_was(make_sweep: SweepMaker, tmp_path: Path) -> None:
    recipe = Recipe(epochs=2, batch_size=8, image_size=32, lr=loguniform(1e-5, 1e-1))
    plan = make_plan(
        make_sweep(preprocess=(), recipe=recipe, search=optuna(6, seed=1, batch=2)), Locations.of(str(tmp_path))
    )
    progress = read_progress(plan)
    assert progress.plan is plan
    before = plan.trials
    run(progress, ScriptedEngine(lambda spec, epoch: spec.recipe.lr), lambda line: None)
    assert (len(plan.trials), len(progress.plan.trials)) == (2, 6)
    assert plan.trials is before
    assert progress.plan.trials[:2] == before
    assert {label: len(points) for label, points in progress.plan.points.items()} == dict.fromkeys(plan.points, 6)
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.trials = ()  # type: ignore[misc]


def test_the_cache_is_asked_once_for_each_entry(
    make_sweep: SweepMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen = Recipe(epochs=2, batch_size=8, image_size=32, freeze="backbone")
    sweep = make_sweep(
        recipe=frozen, backbone=Backbone("test_vit", pretrained=False), loss=grid(losses.BCE(), losses.Focal())
    )
    progress = planned_sweep(sweep, Locations.of(str(tmp_path)))
    asked: Counter[str] = Counter()

    def counted(cache: Storage, key: str) -> bool:
        asked[key] += 1
        return is_built(cache, key)

    monkeypatch.setattr(cache_needs, "is_built", counted)
    needs = progress.cache_needs()
    plan = progress.plan
    assert len(plan.trials) > len({t.cell.sweep.preprocess for t in plan.trials}), "trials share entries"
    assert asked == Counter(e.key for e in (*plan.entries(), *plan.features()))
    assert needs.entries_to_build() == plan.entries()
    assert needs.features_to_build() == plan.features()
    assert bytes_to_build(needs) == sum(e.bytes for e in (*plan.entries(), *plan.features()))
