"""Sizes that a backbone, a chain and a recipe agree on, or not."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from timm.models import get_pretrained_cfg
from transformers import AutoConfig, AutoModel

from swath import Backbone, Recipe, Sweep, grid, ops
from swath.cli.check import describe
from swath.config.search import choice, random
from swath.core.errors import InputError
from swath.engine.driver import run
from swath.engine.inline import InlineEngine
from swath.models import names as model_names
from swath.models.backbones import build
from swath.plan.progress import Progress
from swath.plan.smoke import smoke
from swath.store.storage import Locations
from tests.support.planned import planned_sweep

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


def plan_of(sweep: Sweep, tmp_path: Path) -> Progress:
    return planned_sweep(sweep, Locations.of(str(tmp_path / "store")))


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
    progress = plan_of(sweep, tmp_path)
    assert [t.spec.recipe.image_size for t in progress.plan.trials] == sizes
    assert sorted({e.image_bytes for e in progress.plan.entries()}) == sorted(3 * s * s for s in sizes)
    for trial, backbone, size in zip(progress.plan.trials, (RESNET, beit), sizes, strict=True):
        (given,) = plan_of(
            replace(sweep, backbone=backbone, recipe=replace(NATIVE, image_size=size)), tmp_path
        ).plan.trials
        assert given.spec.fingerprint == trial.spec.fingerprint
    assert all(f"images at {size} px" in describe(progress) for size in sizes)


def test_native_beside_numbers_is_a_level_of_its_own(make_sweep: SweepMaker, beit: Backbone, tmp_path: Path) -> None:
    recipe = replace(NATIVE, image_size=grid("native", 64))
    progress = plan_of(make_sweep(preprocess=(), backbone=beit, recipe=recipe), tmp_path)
    assert [(t.cell.label, t.spec.recipe.image_size) for t in progress.plan.trials] == [("native", 48), ("64", 64)]
    same = make_sweep(preprocess=(), backbone=beit, recipe=replace(NATIVE, image_size=grid("native", 48)))
    assert "'native' and '48' train exactly the same" in problems(same, tmp_path)
    searched = make_sweep(
        preprocess=(), backbone=beit, recipe=replace(NATIVE, image_size=choice("native", 64)), search=random(2)
    )
    assert {t.spec.recipe.image_size for t in plan_of(searched, tmp_path).plan.trials} <= {48, 64}


def test_a_native_trial_trains_and_the_smoke_is_small(make_sweep: SweepMaker, beit: Backbone, tmp_path: Path) -> None:
    sweep = make_sweep(preprocess=(), backbone=beit, recipe=NATIVE)
    progress = plan_of(sweep, tmp_path)
    run(progress, InlineEngine(), lambda line: None)
    progress.refresh()
    assert [o.state for o in progress.outcomes.values()] == ["COMPLETE"]
    assert [t.spec.recipe.image_size for t in plan_of(smoke(sweep), tmp_path).plan.trials] == [64]


def test_a_chain_that_is_too_small_for_one_of_the_backbones_is_told(
    make_sweep: SweepMaker, beit: Backbone, tmp_path: Path
) -> None:
    sweep = make_sweep(preprocess=(ops.Resize(96),), backbone=grid(RESNET, beit), recipe=NATIVE)
    found = problems(sweep, tmp_path)
    assert "resize(size_px=96) gives images of 96 px, Recipe(image_size=160) says" in found
    assert len(found.splitlines()) == 1
    progress = plan_of(replace(sweep, backbone=beit), tmp_path)
    assert [(t.spec.recipe.image_size, t.entries["train"].image_bytes) for t in progress.plan.trials] == [
        (48, 3 * 96 * 96)
    ]


def test_a_backbone_that_names_no_size_is_told_once(make_sweep: SweepMaker, beit: Backbone, tmp_path: Path) -> None:
    (Path(beit.model.removeprefix("hf:")) / "config.json").write_text('{"model_type": "resnet"}')
    found = problems(make_sweep(backbone=beit, recipe=NATIVE), tmp_path)
    assert "names no image_size, so image_size='native' has no meaning. Give a number of pixels" in found
    assert len(found.splitlines()) == 1
    unknown = problems(make_sweep(backbone="resnet5O", recipe=NATIVE), tmp_path)
    assert unknown.startswith("unknown backbone 'resnet5O'")
    assert len(unknown.splitlines()) == 1


@pytest.mark.parametrize("model", ["vit_tiny_patch16_224", "test_coatnet"])
def test_several_sizes_of_prediction_are_refused_for_a_model_of_one_size(
    make_sweep: SweepMaker, tmp_path: Path, model: str
) -> None:
    recipe = Recipe(epochs=1, batch_size=8, image_size=64, tta_sizes=(64, 96))
    sweep = make_sweep(backbone=Backbone(model, pretrained=False), recipe=recipe)
    found = problems(sweep, tmp_path)
    assert found.startswith(f"Recipe(tta_sizes=(64, 96)): backbone '{model}(scratch)' takes images of one size only")
    assert len(found.splitlines()) == 1
    net = build(Backbone(model, pretrained=False), 3, 3, 64, seed=0).net.eval()
    assert net(torch.zeros(1, 3, 64, 64)).shape == (1, 3)
    with pytest.raises((AssertionError, RuntimeError)):
        net(torch.zeros(1, 3, 96, 96))
    plan_of(replace(sweep, recipe=replace(recipe, tta_sizes=(64,), tta="flip")), tmp_path)
    for other in ("test_resnet", "test_vit"):  # the second fits its position embeddings to what comes
        backbone = Backbone(other, pretrained=False)
        plan_of(replace(sweep, backbone=backbone), tmp_path)
        assert build(backbone, 3, 3, 64, seed=0).net.eval()(torch.zeros(1, 3, 96, 96)).shape == (1, 3)


@pytest.mark.parametrize("model_type", ["beit", "vit", "deit", "vit_msn"])
def test_models_of_transformers_that_refuse_other_sizes_are_known(tmp_path: Path, model_type: str) -> None:
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = {"model_type": model_type, "image_size": 32, "patch_size": 16, **small}
    (tmp_path / "config.json").write_text(json.dumps(config))
    net = AutoModel.from_config(AutoConfig.from_pretrained(tmp_path)).eval()
    try:
        net(pixel_values=torch.zeros(1, 3, 64, 64))
        refused = False
    except ValueError:
        refused = True
    assert model_names.takes_one_size(Backbone(f"hf:{tmp_path}")) is refused


def test_stand_ins_of_a_smoke_take_the_sizes_that_the_models_take(make_sweep: SweepMaker, tmp_path: Path) -> None:
    names = ("resnet50", "resnet18", "xcit_nano_12_p8_224", "densenet121", "vgg11", "mobilenetv3_large_100")
    backbones = [Backbone(name, pretrained=False) for name in names]
    sweep = make_sweep(preprocess=(), backbone=grid(*backbones), recipe=Recipe(tta_sizes=(224, 256)))
    assert len(plan_of(smoke(sweep), tmp_path).plan.trials) == len(names)
