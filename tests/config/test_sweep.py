import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from swath import Backbone, Recipe, Sweep, asha, chain, grid, holdout, losses, ops, tasks
from swath.config.losses import BCE, Asymmetric, Focal
from swath.config.sweep import TrialResources
from swath.core.errors import InputError
from swath.plan.cells import expand
from swath.plan.problems import cell_problems, grid_problems, label_problems
from swath.store.storage import Locations
from tests.support.planned import planned_sweep

SCRATCH = Backbone("test_resnet", pretrained=False)


def sweep(**changes: Any) -> Sweep:
    return replace(Sweep("study", tasks.Csv("data"), backbone=SCRATCH), **changes)


def labels(**changes: Any) -> list[str]:
    return [cell.label for cell in expand(sweep(**changes))]


def problems(**changes: Any) -> str:
    """All a sweep's problems, one per line, found the way planning finds them."""
    given = sweep(**changes)
    found = grid_problems(given)
    if not found:
        cells = expand(given)
        found = label_problems(cells) + [problem for cell in cells for problem in cell_problems(cell)]
    return "\n".join(dict.fromkeys(found))


def test_a_sweep_without_grids_is_one_baseline_cell() -> None:
    (cell,) = expand(sweep(preprocess=(ops.Sharpen(),)))
    assert cell.baseline
    assert cell.factors == {}
    assert cell.label == "sharpen / test_resnet(scratch) / bce"
    assert cell.sweep == sweep(preprocess=(ops.Sharpen(),))
    assert expand(sweep(backbone="resnet50"))[0].backbone == Backbone("resnet50")


def test_grids_multiply_in_the_order_of_the_fields_with_the_baseline_first() -> None:
    cells = expand(
        sweep(
            loss=grid(BCE(), Focal(gamma=3.0)),
            preprocess=grid((), (ops.Grayscale(),), (ops.Grayscale(channels=3), ops.Sharpen())),
            backbone=grid("resnet50", "convnext_tiny"),
        )
    )
    assert [cell.label for cell in cells] == [
        f"{chain} / {model} / {loss}"
        for chain in ("raw", "grayscale", "grayscale(channels=3)|sharpen")
        for model in ("resnet50", "convnext_tiny")
        for loss in ("bce", "focal(gamma=3)")
    ]
    assert [cell.baseline for cell in cells] == [True] + [False] * 11
    assert cells[-1].factors == {
        "preprocess": "grayscale(channels=3)|sharpen",
        "backbone": "convnext_tiny",
        "loss": "focal(gamma=3)",
    }
    assert (cells[-1].sweep.loss, cells[-1].sweep.backbone) == (Focal(gamma=3.0), "convnext_tiny")
    assert cells[-1].sweep.preprocess == (ops.Grayscale(channels=3), ops.Sharpen())


def test_the_study_of_the_readme_has_36_cells() -> None:
    cells = expand(
        sweep(
            preprocess=grid((), (ops.Grayscale(),), (ops.Sharpen(),)),
            backbone=grid("resnet50", "convnext_tiny", "tf_efficientnetv2_s", "coatnet_0_rw_224"),
            loss=grid(BCE(), Focal(), Asymmetric()),
        )
    )
    assert len({cell.label for cell in cells}) == 3 * 4 * 3
    assert sum(cell.baseline for cell in cells) == 1


def test_grids_on_recipe_fields_are_named_by_the_field() -> None:
    cells = expand(sweep(recipe=Recipe(lr=grid(3e-4, 1e-3), optimizer=grid("adam", "adamw"))))
    assert [cell.factors for cell in cells] == [
        {"optimizer": o, "lr": lr} for o in ("adam", "adamw") for lr in ("0.0003", "0.001")
    ]
    assert cells[1].sweep.recipe == Recipe(lr=1e-3, optimizer="adam")


def test_a_grid_on_a_loss_parameter_is_named_by_its_path() -> None:
    cells = expand(sweep(loss=Focal(gamma=grid(1.0, 2.0), alpha=0.5)))
    assert [cell.factors for cell in cells] == [{"loss.gamma": "1"}, {"loss.gamma": "2"}]
    assert [cell.sweep.loss for cell in cells] == [Focal(1.0, 0.5), Focal(2.0, 0.5)]


def test_a_grid_within_a_grid_is_one_factor_whose_first_value_is_the_baseline() -> None:
    cells = expand(sweep(loss=grid(Focal(gamma=grid(1.0, 3.0)), BCE(), Focal(alpha=grid(0.5, 0.75)))))
    assert [(cell.factors["loss"], cell.baseline) for cell in cells] == [
        ("focal(gamma=1)", True),
        ("focal(gamma=3)", False),
        ("bce", False),
        ("focal(alpha=0.5)", False),
        ("focal(alpha=0.75)", False),
    ]


def test_a_grid_may_stand_inside_a_chain() -> None:
    assert labels(preprocess=(ops.Grayscale(channels=grid(1, 3)), ops.Sharpen())) == ["1", "3"]
    assert labels(preprocess=(grid(ops.Sharpen(), ops.Grayscale()),)) == ["sharpen", "grayscale"]
    cells = expand(
        sweep(preprocess=(grid(ops.Grayscale(), ops.Grayscale(3)), grid(ops.Resize(), ops.Resize(aspect="pad"))))
    )
    assert len({cell.label for cell in cells}) == 4
    assert cells[3].factors == {"preprocess": "grayscale(channels=3)", "preprocess 2": "resize(aspect=pad)"}
    assert cells[3].sweep.preprocess == (ops.Grayscale(3), ops.Resize(aspect="pad"))


def test_a_grid_on_the_task_is_named_by_the_tasks_labels() -> None:
    cells = expand(sweep(task=grid(tasks.DaconBirds("a"), tasks.Csv("b", title="mine")), loss=grid(BCE(), Focal())))
    assert [cell.label for cell in cells] == [f"{t} / {x}" for t in ("dacon_birds", "mine") for x in ("bce", "focal")]
    assert cells[2].sweep.task == tasks.Csv("b", title="mine")


def test_a_grid_may_stand_on_a_backbone_field() -> None:
    assert labels(backbone=Backbone(model=grid("resnet18", "resnet34"), pretrained=False)) == ["resnet18", "resnet34"]
    assert labels(backbone=grid(Backbone("resnet18"), Backbone("resnet18", stem="reinit"))) == [
        "resnet18",
        "resnet18(stem=reinit)",
    ]


def test_a_sound_sweep_has_no_problems() -> None:
    assert problems() == ""
    assert (
        problems(
            preprocess=grid(
                (), (ops.Grayscale(channels=grid(1, 3)),), (ops.Resize(interpolation="area", aspect="crop"),)
            ),
            backbone=grid(
                "resnet50", "resnet50.a1_in1k", SCRATCH, Backbone("resnet18", weights="x.pth", stem="reinit")
            ),
            loss=grid(BCE(), Focal(gamma=0, alpha=-1), Asymmetric(0, 0, 0)),
            recipe=Recipe(lr=grid(1e-3, 1), weight_decay=1, batch_size=2, epochs=1, image_size=16),
            stop=asha(1, 2, "baseline"),
            split=holdout(0.5, seed=3),
            seeds=(0, 5),
            name="A.b-c_1",
        )
        == ""
    )


def check(found: str, *expected: str) -> None:
    """Each pattern is found, and nothing beyond them."""
    for pattern in expected:
        assert re.search(pattern, found, re.MULTILINE), f"{pattern}\nnot in\n{found}"
    assert len(found.splitlines()) == len(expected), found


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", "a b", "-x", "x" * 101, None])
def test_a_bad_name_says_what_names_are_made_of(name: Any) -> None:
    check(
        problems(name=name),
        rf"^sweep name {re.escape(repr(name))}: use letters, digits, '_', '-' and '.', at most 100\.$",
    )


@pytest.mark.parametrize("seeds", [(), [0, 1], (0, -1), (0.5,), ("0",), 0, None])
def test_bad_seeds_say_what_seeds_are(seeds: Any) -> None:
    check(problems(seeds=seeds), rf"^seeds={re.escape(repr(seeds))}: give a tuple of one or more whole numbers from 0")


def test_a_seed_twice_is_refused() -> None:
    check(
        problems(seeds=(0, 1, 0)), r"^seeds=\(0, 1, 0\): a seed twice is the same trial twice; give different ones\.$"
    )


@pytest.mark.parametrize("limit", [-1, 0.5, "400", None])
def test_a_limit_of_images_is_a_whole_number(limit: Any) -> None:
    check(
        problems(max_train_images=limit), rf"^max_train_images={re.escape(repr(limit))}: give a whole number.*0 for all"
    )


@pytest.mark.parametrize("matters", [0.0, 1.0, -0.005, 1, 5, "0.005", None, float("nan")])
def test_what_matters_is_a_difference_of_scores(matters: Any) -> None:
    expected = rf"^matters={re.escape(repr(matters))}: give a difference of the metric between 0 and 1, e.g. 0.005"
    check(problems(matters=matters), expected)


def test_streams_are_own_or_common() -> None:
    check(problems(streams="shared"), r"unknown streams 'shared'. Allowed: common, own")
    for streams in ("own", "common"):
        assert problems(streams=streams, matters=0.02) == ""


def test_grids_must_hold_values_and_each_once() -> None:
    check(
        problems(
            loss=grid(),
            backbone=grid("resnet50", "resnet18", "resnet50"),
            recipe=Recipe(weight_decay=grid(0, 0.0), lr=grid()),
        ),
        r"the grid on loss is empty: give it at least one value",
        r"the grid on recipe.lr is empty",
        r"the grid on backbone has resnet50 twice: keep one",
        r"the grid on recipe.weight_decay has 0.0 twice",
    )
    check(problems(loss=grid(BCE(), Focal(gamma=grid(1.0, 1.0)))), r"the grid on loss.gamma has 1.0 twice: keep one")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("split", grid(holdout(0.1), holdout(0.2))),
        ("split", holdout(grid(0.1, 0.2))),
        ("stop", grid(None, asha())),
        ("stop", asha(reduction=grid(2, 3))),
        ("max_train_images", grid(100, 200)),
        ("streams", grid("own", "common")),
        ("matters", grid(0.005, 0.01)),
    ],
)
def test_a_grid_cannot_stand_on_what_decides_which_cells_compare(field: str, value: Any) -> None:
    check(problems(**{field: value}), rf"a grid cannot stand on {field}: it decides which cells compare")


def test_an_unknown_backbone_lists_the_near_ones() -> None:
    check(
        problems(backbone="resnet5O"),
        r"unknown backbone 'resnet5O'. Did you mean 'resnet50'.*Allowed: \d{4} names. List them with timm",
    )


def test_an_unknown_weight_tag_lists_the_tags() -> None:
    check(
        problems(backbone="resnet50.a1_in1kk"),
        r"unknown weight tag of resnet50 'a1_in1kk'. Did you mean 'a1_in1k'.*Allowed: a1_in1k, .*tv_in1k",
    )


def test_a_backbone_without_weights_asks_for_pretrained_false() -> None:
    check(
        problems(backbone="convnextv2_small"),
        r"backbone 'convnextv2_small' has no pretrained weights.*\('convnextv2_small', pretrained=False\).*=PATH",
    )
    assert problems(backbone=Backbone("convnextv2_small", pretrained=False)) == ""
    assert problems(backbone=Backbone("convnextv2_small", weights="x.safetensors")) == ""
    check(
        problems(backbone="resnext101_32x4d.untrained"),
        r"'resnext101_32x4d.untrained': timm knows the tag 'untrained' but has no weights for it. Take one of fb_",
    )
    assert problems(backbone=Backbone("resnext101_32x4d.untrained", pretrained=False)) == ""


@pytest.mark.parametrize(
    ("backbone", "expected"),
    [
        (5, r"backbone=5: give a timm name or a Backbone"),
        (None, r"backbone=None: give a timm name or a Backbone"),
        (Backbone(5), r"Backbone\(model=5\): give it as text"),  # type: ignore[arg-type]
        (Backbone("resnet18", weights=Path("a/b.pth")), r"Backbone\(weights=.*b.pth'\)\): give it as text"),  # type: ignore[arg-type]
        (
            Backbone("resnet18", stem="adept"),
            r"unknown stem of Backbone 'adept'. Did you mean 'adapt'\? Allowed: adapt, reinit",
        ),  # type: ignore[arg-type]
        (
            Backbone("resnet18", False, "x.pth"),
            r"Backbone\('resnet18'\): weights='x.pth' needs pretrained=True; drop one",
        ),
    ],
)
def test_a_value_that_is_no_backbone_says_what_one_is(backbone: Any, expected: str) -> None:
    check(problems(backbone=backbone), expected)


@pytest.mark.parametrize("chain", [("sharpn",), grid(("sharpn",), (ops.Grayscale(),))])
def test_an_op_that_is_a_string_says_how_to_write_it(chain: Any) -> None:
    check(
        problems(preprocess=chain),
        r"unknown op 'sharpn'. Did you mean .*'Sharpen'.* Allowed: .*Grayscale, .* a value, e.g. ops.Sharpen\(\)",
    )


def test_grids_stand_inside_a_chain_of_two_halves() -> None:
    two = chain(train=grid((), (ops.Hires(),), (ops.Both(), ops.Sharpen())), test=grid((), (ops.Sharpen(),)))
    cells = expand(sweep(preprocess=two))
    assert [cell.factors for cell in cells[:3]] == [
        {"preprocess.train": "raw", "preprocess.test": "raw"},
        {"preprocess.train": "raw", "preprocess.test": "sharpen"},
        {"preprocess.train": "hires", "preprocess.test": "raw"},
    ]
    assert len(cells) == 6
    assert cells[-1].sweep.preprocess == chain(train=(ops.Both(), ops.Sharpen()), test=(ops.Sharpen(),))
    inside = grid((), chain(train=(ops.Hires(),)), chain(train=(ops.Both(), grid(ops.Sharpen(), ops.Unsharp()))))
    assert [cell.label for cell in expand(sweep(preprocess=inside))] == [
        "raw",
        "train hires, test raw",
        "train both|sharpen, test raw",
        "train both|unsharp, test raw",
    ]
    assert [cell.baseline for cell in cells] == [True] + [False] * 5


def test_problems_inside_a_chain_of_two_halves_are_found() -> None:
    check(
        problems(preprocess=chain(train=(ops.Unsharp(0),), test=(ops.Both(),))),
        r"Unsharp\(radius=0\): give a number",
        "test=both: Both is for training images only",
    )
    check(
        problems(preprocess=chain(train=(ops.Resize(48),)), recipe=Recipe(image_size=64)),
        r"preprocess=train resize\(size_px=48\), test raw gives images of 48 px, Recipe\(image_size=64\)",
    )


@pytest.mark.parametrize("chain", ["sharpen", ops.Sharpen(), [ops.Sharpen()], None])
def test_a_chain_is_a_tuple(chain: Any) -> None:
    expected = rf"preprocess={re.escape(repr(chain))}: give a tuple of ops, e.g. \(ops.Sharpen\(\),\) or \(\) for raw"
    check(problems(preprocess=chain), expected)
    check(problems(preprocess=grid((), chain)), expected)


def test_a_resize_stands_last_and_agrees_with_the_recipe() -> None:
    check(problems(preprocess=(ops.Resize(), ops.Sharpen())), r"preprocess=sharpen: Resize must be the last op")
    assert problems(preprocess=(ops.Resize(64),), recipe=Recipe(image_size=64)) == ""
    check(
        problems(preprocess=(ops.Resize(64),), recipe=Recipe(image_size=96)),
        r"preprocess=resize\(size_px=64\) gives images of 64 px, Recipe\(image_size=96\).*leave size_px out",
    )


@pytest.mark.parametrize("loss", ["focl", BCE, None, grid("focl", BCE())])
def test_a_loss_that_is_no_value_says_how_to_write_it(loss: Any) -> None:
    check(
        problems(loss=loss),
        r"unknown loss .*Allowed: Asymmetric, BCE, CrossEntropy, Focal, TwoWay. Write it as a value, e\.g\. losses",
    )


@dataclass(frozen=True)
class SingleOnly(losses.Loss):
    name: ClassVar[str] = "single"
    kinds: ClassVar[tuple[str, ...]] = ("multiclass",)


def test_a_loss_must_serve_the_tasks_kind() -> None:
    check(problems(loss=SingleOnly()), r"loss single serves multiclass tasks; this task is multilabel")
    assert problems(loss=SingleOnly(), task=tasks.Csv("data", label_column="label")) == ""


def test_values_out_of_range_come_all_at_once() -> None:
    check(
        problems(
            task=tasks.SyntheticBirds(species=40, train=3),
            preprocess=grid((ops.Grayscale(2),), (ops.Resize(3),), (ops.Resize(5000, "cubc", "strech"),)),  # type: ignore[arg-type]
            loss=grid(Focal(-1.0, 2.0), Asymmetric(-1.0, float("nan"), 1.0)),
            recipe=Recipe(0, 1, "sdg", 0.0, -1.0, 8),  # type: ignore[arg-type]
            split=holdout(1.5),
            stop=asha(0, 1, "all"),
        ),
        r"synthetic_birds\(train=3\): allowed is a whole number from 10",
        r"synthetic_birds\(species=40\): at most 25",
        r"Grayscale\(channels=2\): allowed are 1 .* and 3",
        r"Resize\(size_px=3\): give a whole number of pixels from 8 to 4096",
        r"Resize\(size_px=5000\): give a whole number of pixels from 8 to 4096",
        r"unknown interpolation of Resize 'cubc'.* 'cubic'.* Allowed: area, auto, cubic, lanczos, linear, nearest",
        r"unknown aspect of Resize 'strech'. Did you mean 'stretch'\? Allowed: crop, pad, stretch",
        r"Focal\(gamma=-1.0\): allowed is 0 or more; the paper uses 2",
        r"Focal\(alpha=2.0\): allowed is 0 to 1, or -1 for no weighting",
        r"Asymmetric\(gamma_neg=-1.0\): allowed is 0 or more",
        r"Asymmetric\(gamma_pos=nan\): allowed is 0 or more",
        r"Asymmetric\(clip=1.0\): allowed is 0 up to, but not including, 1",
        r"Recipe\(epochs=0\): allowed is a whole number from 1 to 100000",
        r"Recipe\(batch_size=1\): allowed is a whole number from 2 to 65536",
        r"Recipe\(image_size=8\): allowed is a whole number from 16 to 2048",
        r"unknown optimizer 'sdg'.* Allowed: adam, adamw, sgd",
        r"Recipe\(lr=0.0\): allowed is above 0 and at most 10",
        r"Recipe\(weight_decay=-1.0\): allowed is 0 or more",
        r"holdout\(1.5\): give the share that validates, above 0 and below 1",
        r"asha\(grace_epochs=0\): allowed is a whole number of 1 or more",
        r"asha\(reduction=1\): allowed is a whole number of 2 or more",
        r"unknown exempt of asha 'all'.* Allowed: baseline, first_seed, none",
    )


@pytest.mark.parametrize(
    ("field", "value", "example"),
    [
        ("split", 0.2, r"holdout\(0.2\)"),
        ("recipe", None, r"Recipe\(epochs=20\)"),
        ("recipe", Recipe, r"Recipe\(epochs=20\)"),
        ("stop", "asha", r"asha\(\) or None"),
    ],
)
def test_a_field_of_the_wrong_type_shows_an_example(field: str, value: Any, example: str) -> None:
    check(problems(**{field: value}), rf"^{field}={re.escape(repr(value))}: give a value such as {example}\.$")


@pytest.mark.parametrize("task", ["ucmerced", None, tasks.UCMerced])
def test_a_task_that_is_no_value_shows_an_example(task: Any) -> None:
    check(problems(task=task), r"unknown task .*Give a value of swath.tasks, e.g. tasks.DaconSatellite\(DIR\)")


def test_two_weight_files_of_one_name_would_share_a_label() -> None:
    files = grid(Backbone("resnet18", weights="/a/best.pth"), Backbone("resnet18", weights="/b/best.pth"))
    check(
        problems(backbone=files, loss=grid(BCE(), Focal())),
        r"2 different cells would all be called 'resnet18\(weights=best.pth\) / bce'.*another file name for weights=",
        r"2 different cells would all be called 'resnet18\(weights=best.pth\) / focal'",
    )
    assert "title=" in problems(task=grid(tasks.Csv("a"), tasks.Csv("b")))
    assert problems(task=grid(tasks.Csv("a"), tasks.Csv("b", title="b"))) == ""


def test_cells_of_two_labels_that_train_the_same_are_refused(make_sweep: Callable[..., Sweep], tmp_path: Path) -> None:
    given = make_sweep(preprocess=grid((), (ops.Resize(32),)), seeds=(0, 1))  # the recipe's image_size
    with pytest.raises(InputError) as caught:
        planned_sweep(given, Locations.of(str(tmp_path / "store")))
    assert caught.value.problems == (
        "the cells 'raw' and 'resize(size_px=32)' train exactly the same: keep one of them.",
    )
    given = make_sweep(preprocess=(), backbone=grid("test_resnet", "test_resnet.r160_in1k"))
    with pytest.raises(InputError, match=r"'test_resnet' and 'test_resnet.r160_in1k' train exactly the same"):
        planned_sweep(given, Locations.of(str(tmp_path / "store")))


def test_resources_out_of_range_are_named_with_the_allowed_ones() -> None:
    assert TrialResources().problems() == TrialResources(2, 0.5).problems() == TrialResources(1, 2).problems() == []
    for cpus in (0, 1.5, -1):
        (problem,) = TrialResources(cpus).problems()  # type: ignore[arg-type]
        assert problem == f"cpus={cpus!r}: a trial takes a whole number of CPUs, 1 or more."
    for gpus in (1.5, -0.5, -1):
        (problem,) = TrialResources(1, gpus).problems()
        assert problem == f"gpus={gpus!r}: give a share below 1, e.g. 0.5, or a whole number."
    assert (
        TrialResources(1, 1, 4).problems()
        == TrialResources(2, None, 2).problems()
        == TrialResources(1, 0, 2).problems()
        == []
    )
    for workers in (0, 1.5):
        (problem,) = TrialResources(workers=workers).problems()  # type: ignore[arg-type]
        assert problem == f"workers={workers!r}: a trial takes a whole number of workers, 1 or more."
    (problem,) = TrialResources(1, 0.5, 2).problems()
    assert problem.startswith("workers=2, gpus=0.5: each worker of a trial takes one whole GPU or none")
