"""Cells that no product of grids can express: stars and unions."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swath import Backbone, Recipe, Sweep, asha, grid, losses, ops, tasks, union
from swath.core.errors import InputError
from swath.plan.cells import expand
from swath.plan.problems import grid_problems
from swath.plan.smoke import smoke
from swath.store.storage import Locations
from tests.support.planned import planned_sweep

SHARPEN, GRAY = (ops.Sharpen(),), (ops.Grayscale(),)


def sweep(**changes: Any) -> Sweep:
    return replace(Sweep("study", tasks.Csv("data"), backbone="resnet50"), **changes)


def test_a_star_is_the_baseline_and_one_change_at_a_time() -> None:
    cells = expand(
        sweep(
            design="star",
            preprocess=grid((), GRAY, SHARPEN),
            loss=grid(losses.BCE(), losses.Focal(gamma=grid(1.0, 3.0))),
            recipe=Recipe(lr=grid(3e-4, 1e-3)),
        )
    )
    assert [cell.label for cell in cells] == [
        "baseline",
        "preprocess grayscale",
        "preprocess sharpen",
        "loss focal(gamma=1)",
        "loss focal(gamma=3)",
        "lr 0.001",
    ]
    assert [cell.baseline for cell in cells] == [True] + [False] * 5
    assert cells[2].factors == {"preprocess": "sharpen", "loss": "bce", "lr": "0.0003"}
    assert cells[4].sweep.loss == losses.Focal(gamma=3.0)
    assert (cells[4].sweep.preprocess, cells[4].sweep.recipe.lr) == ((), 3e-4)


def test_a_star_of_many_grids_does_not_walk_through_their_product() -> None:
    fields = ("epochs", "batch_size", "lr", "weight_decay", "image_size")
    wide = {f: grid(*(i + 1.0 for i in range(60))) for f in fields}
    started = time.perf_counter()
    assert len(expand(sweep(design="star", recipe=Recipe(**wide)))) == 1 + 5 * 59
    assert time.perf_counter() - started < 5  # 60^5 combinations would take days


def test_a_union_has_the_settings_its_cells_differ_in_as_factors() -> None:
    base = sweep(label="A base", recipe=Recipe(epochs=20, lr=5e-5))
    cells = expand(
        union(
            base,
            replace(base, label="B gray", preprocess=GRAY),
            replace(base, label="C gray, longer", preprocess=GRAY, recipe=Recipe(epochs=40, lr=5e-5)),
            replace(base, label="D rates", recipe=Recipe(epochs=20, lr=grid(1e-4, 1e-3))),
            name="both",
        )
    )
    assert [c.label for c in cells] == ["A base", "B gray", "C gray, longer", "D rates / 0.0001", "D rates / 0.001"]
    assert [c.baseline for c in cells] == [True] + [False] * 4
    assert cells[0].factors == {"preprocess": "raw", "epochs": "20", "lr": "5e-05"}
    assert cells[2].factors == {"preprocess": "grayscale", "epochs": "40", "lr": "5e-05"}
    assert {c.sweep.name for c in cells} == {"both"}


def test_a_union_without_labels_is_named_by_its_levels_and_has_each_cell_once() -> None:
    one = sweep(preprocess=grid((), SHARPEN))
    other = sweep(backbone=grid(Backbone("resnet50"), "convnext_tiny"), loss=losses.Focal())
    same = sweep(preprocess=SHARPEN, backbone=Backbone("resnet50"))
    cells = expand(union(one, other, sweep(design="star", loss=grid(losses.BCE(), losses.Asymmetric())), name="u"))
    assert [c.label for c in cells] == [
        "raw / resnet50 / bce",
        "sharpen / resnet50 / bce",
        "raw / resnet50 / focal",
        "raw / convnext_tiny / focal",
        "raw / resnet50 / asymmetric",
    ]
    assert len(expand(union(one, same, name="u"))) == 2
    nested = expand(union(union(one, name="inner"), other, name="u"))
    assert [c.label for c in nested] == [c.label for c in cells[:4]]


def test_a_union_takes_its_own_seeds_and_rule_everywhere() -> None:
    joined = union(sweep(seeds=(0, 1)), sweep(seeds=(0, 1), loss=losses.Focal()), name="u")
    assert joined.seeds == (0, 1)
    changed = replace(joined, seeds=(7,), stop=asha())
    assert not grid_problems(changed)
    assert {(c.sweep.seeds, c.sweep.stop) for c in expand(changed)} == {((7,), asha())}


def test_members_that_differ_in_what_a_sweep_has_one_of_are_told() -> None:
    (problem,) = grid_problems(union(sweep(), sweep(name="b", seeds=(1, 2), stop=asha()), name="u"))
    assert problem == (
        "union 'u': 'b' differs from 'study' in seeds, stop, which are the same for all cells of a sweep. "
        "Make them equal, or run two sweeps."
    )
    assert "the grid on loss is empty" in "\n".join(grid_problems(union(sweep(), sweep(loss=grid()), name="u")))
    (problem,) = grid_problems(sweep(design="stra"))
    assert problem == "unknown design 'stra'. Did you mean 'star'? Allowed: grid, star."


def test_published_scores_belong_to_cells(make_sweep: Callable[..., Sweep], tmp_path: Path) -> None:
    given = make_sweep(published={"raw": (0.9, 0.8), "sharpn": 0.5})
    with pytest.raises(InputError, match=r"unknown cell in published 'sharpn'\. Did you mean 'sharpen'"):
        planned_sweep(given, Locations.of(str(tmp_path)))
    assert smoke(given).published == {"raw": (0.9, 0.8)}
    (problem,) = grid_problems(make_sweep(published={"raw": (93.9, 94.6)}))
    assert problem.startswith("published={'raw': (93.9, 94.6)}: give cell labels with one score or (public, private)")
    kept = union(make_sweep(published={"raw": 0.5}), make_sweep(loss=losses.Focal()), name="u")
    assert kept.published == {"raw": 0.5}


def test_smoke_shrinks_every_member_alike() -> None:
    base = sweep(label="A", backbone="swinv2_base_window16_256")
    other = sweep(label="B", backbone="beit_base_patch16_224")
    small = smoke(union(base, other, replace(base, label="C", preprocess=SHARPEN), name="birds"))
    cells = expand(small)
    assert [c.label for c in cells] == ["A", "B", "C"]
    models = [c.backbone.model for c in cells]
    assert models[0] == models[2] != models[1]
    assert all(c.sweep.recipe.epochs == 2 for c in cells)
    assert (small.name, small.max_train_images, small.max_test_images) == ("birds-smoke", 400, 100)


def test_smoke_keeps_grids_inside_a_backbone() -> None:
    given = sweep(backbone=Backbone("resnet50", pretrained=grid(True, False), stem=grid("adapt", "reinit")))
    assert len(expand(smoke(given))) == 4
    cells = expand(smoke(sweep(backbone=grid(Backbone("resnet50", stem=grid("adapt", "reinit")), "resnet18"))))
    assert [c.backbone.stem for c in cells] == ["adapt", "reinit", "adapt"]
    assert cells[0].backbone.model == cells[1].backbone.model != cells[2].backbone.model
