"""Learning rates against torch's schedulers, parameter groups against what they should hold."""

from dataclasses import replace

import pytest
import timm
import torch
from torch import nn
from torch.optim import lr_scheduler

from swath.config.recipe import Recipe
from swath.config.schedules import Constant, Cosine, OneCycle, Plateau, Schedule, schedule_problems
from swath.training.optimizers import LearningRate, load_optimizer, optimizer

STEPS, EPOCHS, LR = 7, 5, 0.02


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.Linear(3, 1))


def rates(schedule: Schedule, kind: str = "adamw") -> tuple[list[float], list[float]]:
    recipe = Recipe(epochs=EPOCHS, lr=LR, optimizer=kind, schedule=schedule)  # type: ignore[arg-type]
    made = optimizer(net(), recipe)
    rate = LearningRate(made, recipe)
    lrs, momenta = [], []
    for step in range(STEPS * EPOCHS):
        rate.before_step(step, STEPS)
        lrs.append(rate.value)
        group = made.param_groups[0]
        momenta.append(group["betas"][0] if kind != "sgd" else group["momentum"])
    return lrs, momenta


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
@pytest.mark.parametrize("schedule", [OneCycle(), OneCycle(warmup=0.1, div=10.0, final_div=100.0)])
def test_one_cycle_is_torchs(kind: str, schedule: OneCycle) -> None:
    parameter = [nn.Parameter(torch.zeros(1))]
    made = torch.optim.AdamW(parameter) if kind == "adamw" else torch.optim.SGD(parameter, 0.1, momentum=0.9)
    reference = lr_scheduler.OneCycleLR(
        made,
        LR,
        total_steps=STEPS * EPOCHS,
        pct_start=schedule.warmup,
        div_factor=schedule.div,
        final_div_factor=schedule.final_div,
    )
    lrs, momenta = [], []
    for _ in range(STEPS * EPOCHS):
        group = made.param_groups[0]
        lrs.append(group["lr"])
        momenta.append(group["betas"][0] if kind == "adamw" else group["momentum"])
        made.step()
        reference.step() if len(lrs) < STEPS * EPOCHS else None
    found = rates(schedule, kind)
    assert found[0] == pytest.approx(lrs, rel=1e-6, abs=1e-12)
    assert found[1] == pytest.approx(momenta, rel=1e-6)


def test_cosine_without_warm_up_is_torchs_and_with_it_climbs_in_equal_steps() -> None:
    made = torch.optim.SGD([nn.Parameter(torch.zeros(1))], LR)
    reference = lr_scheduler.CosineAnnealingLR(made, STEPS * EPOCHS, eta_min=0.001)
    expected = []
    for _ in range(STEPS * EPOCHS):
        expected.append(made.param_groups[0]["lr"])
        made.step()
        reference.step()
    assert rates(Cosine(min_lr=0.001))[0] == pytest.approx(expected, rel=1e-6)

    found = rates(Cosine(warmup_epochs=2))[0]
    assert found[:14] == pytest.approx([LR * (i + 1) / 14 for i in range(14)])
    assert found[14] == pytest.approx(LR)
    assert found[15:] == sorted(found[15:], reverse=True)
    assert 0 < found[-1] < 0.02 * LR


def test_constant_is_constant() -> None:
    assert rates(Constant())[0] == [LR] * STEPS * EPOCHS


@pytest.mark.parametrize(
    ("watch", "values"),
    [("val_loss", [1.0, 0.8, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]), ("score", [0.5, 0.7, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6])],
)
def test_a_plateau_lowers_after_patience_and_one_and_stops_at_the_lowest(watch: str, values: list[float]) -> None:
    recipe = Recipe(lr=0.1, schedule=Plateau(factor=0.5, patience=2, min_lr=0.03, watch=watch))  # type: ignore[arg-type]
    made = optimizer(net(), recipe)
    rate = LearningRate(made, recipe)
    assert rate.watches == watch
    found = []
    for value in values:
        rate.after_epoch(value)
        found.append(rate.value)
    assert found == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.03])

    # The same after a restart in the middle.
    half = LearningRate(optimizer(net(), recipe), recipe)
    for value in values[:4]:
        half.after_epoch(value)
    other = optimizer(net(), recipe)
    resumed = LearningRate(other, recipe)
    resumed.load(half.state())
    resumed.after_epoch(values[4])
    assert resumed.value == pytest.approx(0.05)


def test_weight_decay_on_matrices_leaves_biases_and_normalisation_out() -> None:
    model = net()
    groups = optimizer(model, Recipe(weight_decay=0.1, decayed="matrices", optimizer="adamw")).param_groups
    assert [(g["weight_decay"], len(g["params"])) for g in groups] == [(0.1, 2), (0.0, 4)]
    assert all((p.ndim > 1) == (g["weight_decay"] > 0) for g in groups for p in g["params"])
    (all_of_them,) = optimizer(model, Recipe(weight_decay=0.1)).param_groups
    assert len(all_of_them["params"]) == 6


@pytest.mark.parametrize("decayed", ["all", "matrices"])
def test_layers_further_from_the_head_learn_more_slowly(decayed: str) -> None:
    model = timm.create_model("test_vit", num_classes=3)
    recipe = Recipe(lr=LR, layer_decay=0.5, weight_decay=0.1, decayed=decayed, schedule=Cosine())  # type: ignore[arg-type]
    made = optimizer(model, recipe)
    names = {id(p): name for name, p in model.named_parameters()}
    lrs = {names[id(p)]: g["lr"] for g in made.param_groups for p in g["params"]}
    assert lrs.keys() == set(names.values())
    blocks = len(model.blocks)  # type: ignore[arg-type]
    assert lrs["head.weight"] == LR
    for i in range(blocks):
        assert lrs[f"blocks.{i}.attn.qkv.weight"] == pytest.approx(LR * 0.5 ** (blocks - i))
    assert lrs["patch_embed.proj.weight"] == pytest.approx(LR * 0.5 ** (blocks + 1))
    decays = {names[id(p)]: g["weight_decay"] for g in made.param_groups for p in g["params"]}
    assert decays["head.bias"] == (0.1 if decayed == "all" else 0.0)
    rate = LearningRate(made, recipe)
    rate.before_step(STEPS * recipe.epochs // 2, STEPS)
    assert rate.value == pytest.approx(LR / 2)
    assert min(g["lr"] for g in made.param_groups) == pytest.approx(LR / 2 * 0.5 ** (blocks + 1))


def test_sgd_has_nesterov_momentum() -> None:
    made = optimizer(net(), Recipe(optimizer="sgd", momentum=0.8))
    assert isinstance(made, torch.optim.SGD)
    assert (made.param_groups[0]["momentum"], made.param_groups[0]["nesterov"]) == (0.8, True)
    assert not optimizer(net(), Recipe(optimizer="sgd", momentum=0.0)).param_groups[0]["nesterov"]


def test_problems() -> None:
    assert schedule_problems(Cosine(warmup_epochs=2), 5) == schedule_problems(Plateau(watch="score"), 5) == []
    assert schedule_problems(Cosine(warmup_epochs=5), 5) == [
        "cosine(warmup_epochs=5) warms up for as long as Recipe(epochs=5) lasts: shorten it."
    ]
    assert schedule_problems(Plateau(factor=1.0), 5) == [
        "Plateau(factor=1.0): allowed is a number from 0.001 to 0.999."
    ]
    assert "Did you mean 'Cosine'?" in schedule_problems("cosin", 5)[0]
    assert len(replace(Recipe(), schedule=Plateau(watch="loss")).problems()) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["adam", "adamw", "sgd"])
def test_a_checkpoint_of_fused_steps_goes_on_in_plain_ones_and_the_reverse(kind: str) -> None:
    recipe = Recipe(optimizer=kind, lr=LR)  # type: ignore[arg-type]

    def steps(model: nn.Module, made: torch.optim.Optimizer, count: int) -> None:
        for _ in range(count):
            made.zero_grad()
            model(torch.ones(4, 2)).square().sum().backward()
            made.step()

    def fresh(fused: bool | None, weights: dict[str, torch.Tensor]) -> tuple[nn.Module, torch.optim.Optimizer]:
        model = net()
        model.load_state_dict(weights)
        made = optimizer(model, recipe)
        for group in made.param_groups:
            group["fused"] = fused
        return model, made

    start = net().state_dict()
    whole, made = fresh(None, start)
    assert [g["fused"] for g in optimizer(whole, recipe).param_groups] == [None], "on a CPU"
    steps(whole, made, 5)
    for before, after in ((None, True), (True, None)):
        first, made = fresh(before, start)
        steps(first, made, 2)
        state = made.state_dict()
        second, made = fresh(after, first.state_dict())
        load_optimizer(made, state)
        assert [g["fused"] for g in made.param_groups] == [after]
        steps(second, made, 3)
        for name, weight in second.state_dict().items():
            torch.testing.assert_close(weight, whole.state_dict()[name], rtol=1e-5, atol=1e-6)
