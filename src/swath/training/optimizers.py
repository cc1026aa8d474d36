"""Recipe to optimizer, and schedule to the learning rate of every step."""

import math
from typing import Any

import torch
from timm.optim._param_groups import param_groups_layer_decay
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from swath.config.recipe import Recipe
from swath.config.schedules import Cosine, OneCycle, Plateau

_HIGH_MOMENTUM, _LOW_MOMENTUM = 0.95, 0.85  # of the one-cycle policy, as torch has them


def optimizer(net: nn.Module, recipe: Recipe) -> Optimizer:
    """The optimizer of a recipe over all parameters of a network, which are on their device; one kernel on a GPU."""
    groups = _groups(net, recipe)
    fused = all(p.device.type == "cuda" for p in net.parameters()) or None  # None is torch's own choice
    if recipe.optimizer == "sgd":
        nesterov = recipe.momentum > 0
        return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=nesterov, fused=fused)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
    return kind(groups, lr=recipe.lr, fused=fused)


def load_optimizer(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Go on from a saved state, of another device too: how a step is computed stays as it is here."""
    here = [group.get("fused") for group in optimizer.param_groups]
    groups = [{**saved, "fused": fused} for saved, fused in zip(state["param_groups"], here, strict=True)]
    optimizer.load_state_dict({**state, "param_groups": groups})


def _groups(net: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    if recipe.layer_decay < 1:
        groups = param_groups_layer_decay(
            net,
            weight_decay=recipe.weight_decay,
            weight_decay_exclude_1d=recipe.decayed == "matrices",
            layer_decay=recipe.layer_decay,
        )
        return [{**group, "lr": recipe.lr * group["lr_scale"]} for group in groups]
    parameters = list(net.parameters())
    if recipe.decayed == "all":
        return [{"params": parameters, "weight_decay": recipe.weight_decay, "lr_scale": 1.0}]
    matrices = [p for p in parameters if p.ndim > 1]
    others = [p for p in parameters if p.ndim <= 1]
    return [
        {"params": some, "weight_decay": decay, "lr_scale": 1.0}
        for some, decay in ((matrices, recipe.weight_decay), (others, 0.0))
        if some
    ]


class LearningRate:
    """Sets the learning rate of an optimizer.

    Cosine and one-cycle follow from the number of the step alone; only a plateau has a memory.

    Args:
        optimizer: Its groups have an `lr_scale`.
        recipe: The schedule, the learning rate and the epochs.
    """

    def __init__(self, optimizer: Optimizer, recipe: Recipe) -> None:
        self._optimizer = optimizer
        self._recipe = recipe
        schedule = recipe.schedule
        self._plateau: ReduceLROnPlateau | None = None
        if isinstance(schedule, Plateau):
            self._plateau = ReduceLROnPlateau(
                optimizer,
                mode="max" if schedule.watch == "score" else "min",
                factor=schedule.factor,
                patience=schedule.patience,
                min_lr=[schedule.min_lr * group["lr_scale"] for group in optimizer.param_groups],
            )

    @property
    def value(self) -> float:
        """The learning rate now: of the last layers, where layers differ."""
        return max(group["lr"] for group in self._optimizer.param_groups)

    def before_step(self, step: int, steps_per_epoch: int) -> None:
        """Set what holds for step number `step` of the training, from 0."""
        schedule, steps = self._recipe.schedule, steps_per_epoch * self._recipe.epochs
        if isinstance(schedule, Cosine):
            self._set(_cosine(schedule, self._recipe.lr, step, steps, steps_per_epoch))
        elif isinstance(schedule, OneCycle):
            factor, momentum = _one_cycle(schedule, step, steps)
            self._set(self._recipe.lr * factor)
            for group in self._optimizer.param_groups:
                if "betas" in group:
                    group["betas"] = (momentum, group["betas"][1])
                else:
                    group["momentum"] = momentum

    @property
    def watches(self) -> str:
        """What `after_epoch` takes: `score`, `val_loss`, or "" for nothing."""
        return self._recipe.schedule.watch if isinstance(self._recipe.schedule, Plateau) else ""

    def after_epoch(self, value: float) -> None:
        """Take the result of an epoch into account."""
        if self._plateau is not None:
            self._plateau.step(value)

    def state(self) -> dict[str, Any]:
        """What the next epoch depends on."""
        return {} if self._plateau is None else self._plateau.state_dict()

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        if self._plateau is not None:
            self._plateau.load_state_dict(state)

    def _set(self, lr: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = lr * group["lr_scale"]


def _cosine(schedule: Cosine, lr: float, step: int, steps: int, steps_per_epoch: int) -> float:
    warmup = round(schedule.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return lr * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return schedule.min_lr + (lr - schedule.min_lr) * _half_cosine(done)


def _one_cycle(schedule: OneCycle, step: int, steps: int) -> tuple[float, float]:
    """Share of the highest learning rate, and the momentum."""
    peak, last = schedule.warmup * steps - 1, steps - 1
    first = 1 / schedule.div
    if step <= peak:
        up = 1 - _half_cosine(step / peak if peak > 0 else 1.0)
        return first + (1 - first) * up, _HIGH_MOMENTUM - (_HIGH_MOMENTUM - _LOW_MOMENTUM) * up
    down = _half_cosine((step - peak) / (last - peak) if last > peak else 1.0)
    lowest = first / schedule.final_div
    return lowest + (1 - lowest) * down, _HIGH_MOMENTUM - (_HIGH_MOMENTUM - _LOW_MOMENTUM) * down


def _half_cosine(done: float) -> float:
    """From 1 at 0 to 0 at 1."""
    return (1 + math.cos(math.pi * done)) / 2
