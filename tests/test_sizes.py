"""Sizes that a backbone, a chain and a recipe agree on, or not."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from timm.models import get_pretrained_cfg

from swath import Backbone, Recipe, Sweep, grid, ops
from swath.check import describe
from swath.engine.drive import run
from swath.engine.inline import InlineEngine
from swath.errors import InputError
from swath.plan import Places, Plan, make_plan
from swath.search import choice, random
from swath.smoke import smoke

SweepMaker = Callable[..., Sweep]
NATIVE = Recipe(epochs=1, batch_size=8, image_size="native")
RESNET = Backbone("test_resnet", pretrained=False)


@pytest.fixture
def beit(tmp_path: Path) -> Backbone:
    """A model of transformers made for 48 px."""
    folder = tmp_path / "tiny_beit"
    folder.mkdir()
    config: dict[str, Any] = {"model_type": "beit", "image_size": 48, "patch_size": 16, "hidden_size": 8}
    config |= {"num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    (folder / "config.json").write_text(json.dumps(config))
    return Backbone(f"hf:{folder}", pretrained=False)


def plan_of(sweep: Sweep, tmp_path: Path) -> Plan:
    return make_plan(sweep, Places.of(str(tmp_path / "store")))


def problems(sweep: Sweep, tmp_path: Path) -> str:
    with pytest.raises(InputError) as caught:
        plan_of(sweep, tmp_path)
    return "\n".join(caught.value.problems)


def test_native_is_each_backbones_own_size_and_identifies_as_that_number(
    make_sweep: SweepMaker, beit: Backbone, tmp_path: Path
) -> None:
    config = get_pretrained_cfg("test_resnet")
    assert config is not None
    sizes = [config.input_size[-1], 48]
    sweep = make_sweep(preprocess=(), backbone=grid(RESNET, beit), recipe=NATIVE)
    plan = plan_of(sweep, tmp_path)
    assert [t.spec.recipe.image_size for t in plan.trials] == sizes
    assert sorted({e.image_bytes for e in plan.entries()}) == sorted(3 * s * s for s in sizes)
    for trial, backbone, size in zip(plan.trials, (RESNET, beit), sizes, strict=True):
        (given,) = plan_of(replace(sweep, backbone=backbone, recipe=replace(NATIVE, image_size=size)), tmp_path).trials
        assert given.spec.fingerprint == trial.spec.fingerprint
    assert all(f"images at {size} px" in describe(plan) for size in sizes)


def test_native_beside_numbers_is_a_level_of_its_own(make_sweep: SweepMaker, beit: Backbone, tmp_path: Path) -> None:
    recipe = replace(NATIVE, image_size=grid("native", 64))
    plan = plan_of(make_sweep(preprocess=(), backbone=beit, recipe=recipe), tmp_path)
    assert [(t.cell.label, t.spec.recipe.image_size) for t in plan.trials] == [("native", 48), ("64", 64)]
    same = make_sweep(preprocess=(), backbone=beit, recipe=replace(NATIVE, image_size=grid("native", 48)))
    assert "'native' and '48' train exactly the same" in problems(same, tmp_path)
    searched = make_sweep(
        preprocess=(), backbone=beit, recipe=replace(NATIVE, image_size=choice("native", 64)), search=random(2)
    )
    assert {t.spec.recipe.image_size for t in plan_of(searched, tmp_path).trials} <= {48, 64}


def test_a_native_trial_trains_and_the_smoke_is_small(make_sweep: SweepMaker, beit: Backbone, tmp_path: Path) -> None:
    sweep = make_sweep(preprocess=(), backbone=beit, recipe=NATIVE)
    plan = plan_of(sweep, tmp_path)
    run(plan, InlineEngine(), lambda line: None)
    plan.refresh()
    assert [o.state for o in plan.outcomes.values()] == ["COMPLETE"]
    assert [t.spec.recipe.image_size for t in plan_of(smoke(sweep), tmp_path).trials] == [64]


def test_a_chain_that_is_too_small_for_one_of_the_backbones_is_told(
    make_sweep: SweepMaker, beit: Backbone, tmp_path: Path
) -> None:
    sweep = make_sweep(preprocess=(ops.Resize(96),), backbone=grid(RESNET, beit), recipe=NATIVE)
    found = problems(sweep, tmp_path)
    assert "resize(size_px=96) gives images of 96 px, Recipe(image_size=160) says" in found
    assert len(found.splitlines()) == 1
    plan = plan_of(replace(sweep, backbone=beit), tmp_path)
    assert [(t.spec.recipe.image_size, t.entries["train"].image_bytes) for t in plan.trials] == [(48, 3 * 96 * 96)]


def test_a_backbone_that_names_no_size_is_told_once(make_sweep: SweepMaker, beit: Backbone, tmp_path: Path) -> None:
    (Path(beit.model.removeprefix("hf:")) / "config.json").write_text('{"model_type": "resnet"}')
    found = problems(make_sweep(backbone=beit, recipe=NATIVE), tmp_path)
    assert "names no image_size, so image_size='native' has no meaning. Give a number of pixels" in found
    assert len(found.splitlines()) == 1
    unknown = problems(make_sweep(backbone="resnet5O", recipe=NATIVE), tmp_path)
    assert unknown.startswith("unknown backbone 'resnet5O'")
    assert len(unknown.splitlines()) == 1
