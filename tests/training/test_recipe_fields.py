"""Every recipe field changes what it should, and a training that was interrupted ends as one that was not."""

import copy
import io
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from swath import augment, losses, mix, schedules
from swath.config.recipe import Recipe
from swath.core import metrics
from swath.core.errors import InputError
from swath.models.backbones import Model
from swath.training.dataset import Part
from swath.training.losses import Criterion, criterion, smoothed
from swath.training.trainer import EpochResult, Objective, Trainer

SIZE, TRAIN, VAL = 16, 24, 12
RECIPE = Recipe(epochs=4, batch_size=8, optimizer="adamw", lr=3e-3, image_size=SIZE)


@dataclass(frozen=True)
class InMemory:
    """Images as a cache entry gives them."""

    pixels: np.ndarray

    def take(self, rows: np.ndarray) -> np.ndarray:
        return self.pixels[rows]


def part(count: int, seed: int, side: int = SIZE) -> Part:
    rng = np.random.default_rng(seed)
    targets = (rng.random((count, 3)) < 0.5).astype(np.uint8)
    pixels = rng.integers(0, 120, (count, side, side, 3)) + 120 * targets[:, None, None, :]
    rows = np.arange(count)
    return Part(cast(Any, InMemory(pixels.astype(np.uint8))), rows, rows.astype(str), targets)


PARTS = (part(TRAIN, 0), part(VAL, 1))


def small(seed: int = 0, dropout: float = 0.0, normalised: bool = True) -> Model:
    torch.manual_seed(seed)
    body = [nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6) if normalised else nn.Identity(), nn.ReLU()]
    net = nn.Sequential(*body, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(dropout), nn.Linear(24, 3))
    net.pretrained_cfg = {"classifier": "6"}  # type: ignore[assignment]  # by which timm finds the layers
    return Model(net, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), head="6")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def score(logits: np.ndarray, targets: np.ndarray) -> float:
    return metrics.score("map", "multilabel", targets, metrics.probabilities(logits, "sigmoid"))


def trainer(
    recipe: Recipe, model: Model | None = None, function: Criterion | None = None, linear: bool = True
) -> Trainer:
    loss = function or criterion(losses.BCE())
    objective = Objective(loss, smoothed(loss, recipe.label_smoothing, "multilabel"), linear, score)
    half_a = np.arange(VAL) % 2 == 0
    return Trainer(model or small(), objective, recipe, 0, torch.device("cpu"), half_a=half_a)


def trained(recipe: Recipe, model: Model | None = None) -> tuple[Trainer, list[EpochResult]]:
    one = trainer(recipe, model)
    return one, list(one.run(*PARTS))


def weights(one: Trainer) -> Tensor:
    return torch.cat([p.detach().flatten() for p in one.net.parameters()])


NEUTRAL: dict[str, Any] = {
    "sgd": {"optimizer": "sgd", "lr": 0.05},
    "momentum": {"optimizer": "sgd", "lr": 0.05, "momentum": 0.5},
    "decayed": {"weight_decay": 0.5, "decayed": "matrices"},
    "layer_decay": {"layer_decay": 0.5},
    "cosine": {"schedule": schedules.Cosine(warmup_epochs=1)},
    "one_cycle": {"schedule": schedules.OneCycle()},
    "plateau": {"schedule": schedules.Plateau(patience=0, factor=0.1, watch="score")},
    "accumulation": {"accumulation": 2},
    "clip_norm": {"clip_norm": 0.01},
    "bf16": {"precision": "bf16"},
    "fp16": {"precision": "fp16"},
    "channels_last": {"channels_last": True},
    "ema_decay": {"ema_decay": 0.9},
    "freeze_epochs": {"freeze_epochs": 2},
    "label_smoothing": {"label_smoothing": 0.2},
    "augment": {"augment": (augment.HorizontalFlip(), augment.ColorJitter(), augment.RandAugment())},
    "mix": {"mix": (mix.CutMix(), mix.Mixup())},
    "tta": {"tta": "d4", "tta_sizes": (16, 24)},
}


@pytest.mark.parametrize("changes", NEUTRAL.values(), ids=NEUTRAL)
def test_a_training_interrupted_twice_ends_as_one_that_was_not(changes: dict[str, Any]) -> None:
    recipe = replace(RECIPE, **changes)
    whole, expected = trained(recipe, small(0, dropout=0.3))
    found: list[EpochResult] = []
    state: bytes | None = None
    for seed, epochs in ((0, 1), (98, 2), (99, 1)):
        torch.manual_seed(1000 + seed)  # whatever happened in between
        one = trainer(recipe, small(seed, dropout=0.3))
        if state is not None:
            one.load(torch.load(io.BytesIO(state), weights_only=True))
        results = one.run(*PARTS)
        found += [next(results) for _ in range(epochs)]
        buffer = io.BytesIO()
        torch.save(one.state(), buffer)
        state = buffer.getvalue()
    for a, b in zip(found, expected, strict=True):
        assert (a.epoch, a.train_loss, a.val_loss, a.lr) == (b.epoch, b.train_loss, b.val_loss, b.lr)
        np.testing.assert_array_equal(a.val_logits, b.val_logits)
    assert torch.equal(one.predict(PARTS[1], tta=True), whole.predict(PARTS[1], tta=True))


@pytest.mark.parametrize("changes", NEUTRAL.values(), ids=NEUTRAL)
def test_every_field_changes_the_result_and_still_trains(changes: dict[str, Any]) -> None:
    recipe = replace(RECIPE, epochs=8, **changes)
    one, results = trained(recipe)
    tta = recipe.tta != "none"
    default = trainer(RECIPE).predict(PARTS[1]) if tta else trained(replace(RECIPE, epochs=8))[0].predict(PARTS[1])
    if recipe.channels_last:  # the same numbers in another order
        torch.testing.assert_close(one.predict(PARTS[1]), default, rtol=1e-3, atol=1e-3)
        assert one.net[0].weight.is_contiguous(memory_format=torch.channels_last)  # type: ignore[index]
    else:
        assert (one.predict(PARTS[1], tta=tta) - default).abs().max() > 1e-4
    if recipe.clip_norm == 0:
        assert results[-1].train_loss < results[0].train_loss
    assert np.isfinite(results[-1].val_logits).all()


def test_accumulated_batches_are_one_large_batch() -> None:
    large, ones = trained(replace(RECIPE, batch_size=16), small(normalised=False))
    split, others = trained(replace(RECIPE, batch_size=4, accumulation=4), small(normalised=False))
    torch.testing.assert_close(weights(split), weights(large), rtol=1e-4, atol=1e-5)
    for a, b in zip(ones, others, strict=True):
        assert a.train_loss == pytest.approx(b.train_loss, rel=1e-4)


def test_accumulated_mixed_batches_are_one_large_mixed_batch() -> None:
    recipe = replace(RECIPE, mix=(mix.CutMix(), mix.Mixup()))
    large, _ = trained(replace(recipe, batch_size=16), small(normalised=False))
    split, _ = trained(replace(recipe, batch_size=4, accumulation=4), small(normalised=False))
    torch.testing.assert_close(weights(split), weights(large), rtol=1e-4, atol=1e-5)


def test_clipping_bounds_the_norm_of_a_steps_gradient() -> None:
    recipe = replace(RECIPE, epochs=1, batch_size=TRAIN, optimizer="sgd", momentum=0.0, lr=1.0)
    before = weights(trainer(recipe))
    moved = (weights(trained(recipe)[0]) - before).norm()
    assert moved > 0.05
    clipped = (weights(trained(replace(recipe, clip_norm=0.01))[0]) - before).norm()
    assert clipped.item() == pytest.approx(0.01, rel=1e-3)
    assert torch.equal(
        weights(trained(replace(recipe, clip_norm=100.0))[0]) - before, weights(trained(recipe)[0]) - before
    )


@pytest.mark.parametrize(
    ("precision", "kind"), [("bf16", torch.bfloat16), ("fp16", torch.float16), ("fp32", torch.float32)]
)
def test_the_model_runs_in_the_asked_precision_and_the_loss_in_fp32(precision: str, kind: torch.dtype) -> None:
    inside, outside = [], []

    class Spy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            logits = self.head(x.mean(dim=(2, 3)))
            inside.append(logits.dtype)
            return logits

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        outside.append((logits.dtype, torch.is_autocast_enabled("cpu")))
        return criterion(losses.BCE())(logits, targets)

    recipe = replace(RECIPE, epochs=1, precision=precision)  # type: ignore[arg-type]
    one = trainer(recipe, Model(Spy(), (0.5,) * 3, (0.25,) * 3), loss)
    (result,) = one.run(*PARTS)
    assert set(inside) == {kind}
    assert set(outside) == {(torch.float32, False)}
    assert one.net.head.weight.dtype == torch.float32  # type: ignore[union-attr]
    assert result.val_logits.dtype == np.float16


def test_validation_uses_the_moving_average_of_the_weights() -> None:
    recipe = replace(RECIPE, epochs=1, ema_decay=0.5)
    model = small(normalised=False)
    steps = [copy.deepcopy(model.net.state_dict())]
    one = trainer(recipe, model)
    update = one.optimizer.step

    def step(*args: Any, **options: Any) -> Any:
        done = update(*args, **options)
        steps.append(copy.deepcopy(one.net.state_dict()))
        return done

    one.optimizer.step = step
    (result,) = one.run(*PARTS)
    # timm's warm-up: decay 1 - (1 + t)^(-2/3), at most 0.5, from the second step on; the first copies.
    average = steps[1]
    for t, state in enumerate(steps[2:], start=1):
        decay = min(0.5, 1 - (1 + t) ** (-2 / 3))
        average = {k: decay * average[k] + (1 - decay) * v for k, v in state.items()}
    model.net.load_state_dict(average)
    expected = trainer(RECIPE, model).predict(PARTS[1])
    np.testing.assert_allclose(result.val_logits.astype(float), expected.numpy(), atol=2e-3)
    assert not torch.allclose(weights(one), torch.cat([v.flatten() for v in steps[0].values()]))


def test_a_frozen_body_stays_as_it_is_batch_statistics_included() -> None:
    one = trainer(replace(RECIPE, freeze_epochs=2))
    states = [copy.deepcopy(one.net.state_dict())]
    states += [copy.deepcopy(one.net.state_dict()) for _ in one.run(*PARTS)]

    def moved(epoch: int) -> set[str]:
        return {k for k, v in states[epoch].items() if not torch.equal(v, states[epoch - 1][k])}

    assert moved(1) == moved(2) == {"6.weight", "6.bias"}
    assert moved(3) == set(states[0])


def test_freezing_needs_a_model_with_one_head() -> None:
    with pytest.raises(InputError, match="freeze_epochs needs a model with one head"):
        trainer(replace(RECIPE, freeze_epochs=1), replace(small(), head=""))


def test_early_stopping_ends_the_run_and_holds_the_best_weights() -> None:
    recipe = replace(RECIPE, epochs=30, lr=0.05, early_stop=schedules.EarlyStop(patience=2, watch="val_loss"))
    one = trainer(recipe)
    results, states = [], []
    for result in one.run(*PARTS):
        results.append(result)
        states.append(copy.deepcopy(one.net.state_dict()))
    assert one.ended
    assert len(results) < 30
    assert one.best is not None
    best = int(np.argmin([r.val_loss for r in results]))
    assert one.best.epoch("all") == best + 1
    assert all(torch.equal(v, states[best][k]) for k, v in one.best.weights("all").items())
    with one.with_weights(one.best.weights("all")):
        logits = one.predict(PARTS[1]).numpy().astype(np.float16)
    np.testing.assert_array_equal(logits, results[best].val_logits)
    assert all(torch.equal(v, states[-1][k]) for k, v in one.net.state_dict().items()), "put back"


def test_smaller_passes_make_the_same_steps() -> None:
    whole, _ = trained(RECIPE, small(normalised=False))
    one = trainer(RECIPE, small(normalised=False))
    one.micro_batch = 2
    results = list(one.run(*PARTS))
    torch.testing.assert_close(weights(one), weights(whole), rtol=1e-4, atol=1e-5)
    assert {r.micro_batch for r in results} == {2}


def test_smoothed_targets_move_towards_one_half_or_the_uniform() -> None:
    seen: list[Tensor] = []

    def note(logits: Tensor, targets: Tensor) -> Tensor:
        seen.append(targets)
        return logits.mean()

    targets = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    smoothed(note, 0.2, "multilabel")(targets, targets)
    smoothed(note, 0.2, "multiclass")(targets, targets)
    torch.testing.assert_close(seen[0], torch.tensor([[0.9, 0.1, 0.1, 0.1]]))
    torch.testing.assert_close(seen[1], torch.tensor([[0.85, 0.05, 0.05, 0.05]]))
    assert smoothed(note, 0.0, "multilabel") is note


@pytest.mark.parametrize("loss", [losses.BCE(), losses.Focal(), losses.Asymmetric()], ids=losses.Loss.canonical)
def test_losses_that_say_so_are_linear_in_the_targets(loss: losses.Loss) -> None:
    assert loss.linear
    recipe = replace(RECIPE, epochs=1, mix=(mix.CutMix(), mix.Mixup()))
    linear = trainer(recipe, small(), criterion(loss))
    by_share = trainer(recipe, small(), criterion(loss), linear=False)
    (a,), (b,) = linear.run(*PARTS), by_share.run(*PARTS)
    assert a.train_loss == pytest.approx(b.train_loss, rel=1e-5)


def test_a_mixed_batch_costs_what_its_labels_cost_by_their_shares() -> None:
    """A model that counts the images in a batch: CutMix of image i and j has label shares of i and j."""
    seen: list[tuple[Tensor, Tensor]] = []

    def note(logits: Tensor, targets: Tensor) -> Tensor:
        if logits.requires_grad:
            seen.append((logits.detach(), targets))
        return nn.functional.binary_cross_entropy_with_logits(logits, targets)

    class Mean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.zero = nn.Parameter(torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            return x.mean(dim=(2, 3)) + self.zero

    # Image i is all 255 in the channel of its class and 0 elsewhere, so channel means are the true shares.
    targets = np.eye(3, dtype=np.uint8)[np.arange(TRAIN) % 3]
    pixels = np.broadcast_to(255 * targets[:, None, None, :], (TRAIN, SIZE, SIZE, 3)).astype(np.uint8)
    rows = np.arange(TRAIN)
    data = Part(cast(Any, InMemory(pixels)), rows, rows.astype(str), targets)
    for one in (mix.CutMix(), mix.Mixup()):
        seen.clear()
        recipe = replace(RECIPE, epochs=2, mix=(one,), optimizer="sgd", lr=1e-9)
        list(trainer(recipe, Model(Mean(), (0.0,) * 3, (1.0,) * 3), note).run(data, data))
        assert len(seen) == 6
        for shares, labels in seen:
            torch.testing.assert_close(labels, shares, rtol=0, atol=1e-5)
        assert any(((labels > 0.01) & (labels < 0.99)).any() for _, labels in seen)


def test_tta_averages_the_views_of_the_cached_image_and_leaves_the_epochs_alone() -> None:
    one, results = trained(replace(RECIPE, tta="flip", tta_sizes=(16, 20)))
    _, plain = trained(RECIPE)
    np.testing.assert_array_equal(results[-1].val_logits, plain[-1].val_logits)
    pixels = torch.from_numpy(PARTS[1].images.take(PARTS[1].rows)).permute(0, 3, 1, 2).float()
    x = (pixels - 0.5 * 255) / (0.25 * 255)
    large = nn.functional.interpolate(x, size=(20, 20), mode="bilinear", antialias=True)
    one.net.eval()
    with torch.no_grad():
        expected = torch.stack([one.net(v) for y in (x, large) for v in (y, y.flip(-1))]).mean(dim=0)
    torch.testing.assert_close(one.predict(PARTS[1], tta=True), expected, rtol=1e-4, atol=1e-5)


def test_images_larger_than_the_model_sees_are_cropped() -> None:
    large = (part(TRAIN, 0, side=SIZE + 6), part(VAL, 1, side=SIZE + 6))
    sizes = []

    def net() -> Model:
        model = small()
        model.net.register_forward_pre_hook(lambda _, inputs: sizes.append(inputs[0].shape[-1]))
        return model

    def cut(given: Part) -> Part:
        return replace(given, images=cast(Any, InMemory(given.images.take(given.rows)[:, 3:-3, 3:-3])))

    list(trainer(RECIPE, net()).run(*large))
    assert set(sizes) == {SIZE}
    a = list(trainer(RECIPE).run(*large))[-1]
    b = list(trainer(RECIPE).run(*map(cut, large)))[-1]
    np.testing.assert_array_equal(a.val_logits, b.val_logits)
    c = list(trainer(replace(RECIPE, augment=(augment.RandomCrop(),))).run(*large))[-1]
    assert (c.val_logits != a.val_logits).any()


@pytest.mark.parametrize("schedule", [schedules.OneCycle(), schedules.Cosine(warmup_epochs=1)])
def test_the_schedule_counts_steps_not_batches(schedule: schedules.Schedule) -> None:
    """24 images in steps of 2 x 8: two steps an epoch, eight in all."""
    recipe = replace(RECIPE, accumulation=2, schedule=schedule)
    one, results = trained(recipe)
    assert one.steps == 8
    from swath.training.optimizers import LearningRate

    rate = LearningRate(one.optimizer, recipe)
    for result in results:
        rate.before_step(2 * result.epoch - 1, 2)
        assert result.lr == pytest.approx(rate.value)
