import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from swath import Backbone, Recipe, Sweep, asha, grid, losses, mix, ops, schedules
from swath.config import chains
from swath.plan.cells import expand
from swath.plan.problems import grid_problems
from swath.plan.smoke import smoke

sys.path.insert(0, str(Path(__file__).parents[2] / "sweeps"))


@pytest.mark.parametrize(
    "name",
    [
        "demo",
        "satellite_ablation",
        "satellite_seed",
        "bird_ablation",
        "bird_seed",
        "ucmerced_ablation",
        "ucmerced_features",
    ],
)
def test_every_committed_sweep_keeps_its_shape(name: str) -> None:
    sweep: Sweep = getattr(__import__(name), name)()
    full, small = expand(sweep), expand(smoke(sweep))
    assert sweep.name == name
    assert len(small) == len(full)
    shrunk = ("epochs", "image_size")  # by which a union's cells may differ
    assert [tuple(c.factors) for c in small] == [tuple(f for f in c.factors if f not in shrunk) for c in full]
    assert len({c.label for c in small}) == len({c.label for c in full})
    assert all(c.backbone.model.startswith("test_") and not c.backbone.pretrained for c in small)
    assert all((c.sweep.recipe.epochs, c.sweep.recipe.image_size) == (2, 64) for c in small)
    assert not grid_problems(smoke(sweep))


def test_families_meet_their_tiny_kin(make_sweep: Callable[..., Sweep]) -> None:
    names = (
        "resnet50",
        "convnext_tiny",
        "tf_efficientnetv2_s",
        "coatnet_0_rw_224",
        "resnet18",
        "swinv2_tiny_window8_256",
    )
    small = [c.backbone.model for c in expand(smoke(make_sweep(preprocess=(), backbone=grid(*names))))]
    assert small[:4] == ["test_resnet", "test_convnext", "test_efficientnet", "test_coatnet"]
    assert len(set(small)) == len(names)


def test_its_own_name_one_seed_and_a_short_rule(make_sweep: Callable[..., Sweep]) -> None:
    small = smoke(make_sweep(seeds=(3, 4), stop=asha(3, 3)))
    assert (small.name, small.seeds, small.stop) == ("study-smoke", (3,), asha(1, 3))
    assert small.max_train_images == 400
    assert smoke(make_sweep(max_train_images=30)).max_train_images == 30


def test_grids_within_values_survive(make_sweep: Callable[..., Sweep]) -> None:
    sweep = make_sweep(
        preprocess=grid((), (ops.Resize(size_px=224, interpolation="cubic"),)),
        backbone=Backbone(grid("resnet50", "resnet18"), stem=grid("adapt", "reinit")),
        loss=losses.Focal(gamma=grid(1.0, 2.0)),
        recipe=Recipe(lr=grid(1e-3, 1e-4), epochs=grid(5, 10)),
    )
    cells = expand(smoke(sweep))
    assert len(cells) == 2 * 2 * 2 * 2 * 2, "epochs collapse to one value, everything else stays"
    assert {op.size_px for c in cells for op in c.sweep.preprocess if isinstance(op, ops.Resize)} == {64}


def test_images_are_reduced_before_super_resolution(make_sweep: Callable[..., Sweep]) -> None:
    twice = ops.SuperRes(grid(2, 4), "compact")
    sweep = make_sweep(preprocess=grid((), (ops.SuperRes(2), ops.Sharpen()), (ops.Sharpen(), twice)))
    small = [chains.label(c.sweep.preprocess) for c in expand(smoke(sweep))]
    assert small == [
        "raw",
        "shrink(32)|superres(x4plus,2)|sharpen",
        "sharpen|shrink(16)|superres(compact,2)",
        "sharpen|shrink(16)|superres(compact,4)",
    ]


def test_epochs_and_pixels_of_a_recipe_shrink_together(make_sweep: Callable[..., Sweep]) -> None:
    recipe = Recipe(
        epochs=50,
        image_size=224,
        schedule=grid(schedules.Cosine(warmup_epochs=5), schedules.OneCycle()),
        tta_sizes=(224, 256),
        freeze_epochs=3,
        early_stop=schedules.EarlyStop(patience=10),
        mix=grid((), (mix.CutMix(),)),
    )
    cells = expand(smoke(make_sweep(preprocess=(), recipe=recipe)))
    assert len(cells) == 4
    for cell in cells:
        small = cell.sweep.recipe
        assert small.problems() == []
        assert (small.tta_sizes, small.freeze_epochs, small.early_stop) == ((64, 96), 1, schedules.EarlyStop(1))
    assert {c.factors["mix"] for c in cells} == {"none", "cutmix"}
    assert {c.factors["schedule"] for c in cells} == {"cosine(warmup_epochs=1)", "one_cycle"}
