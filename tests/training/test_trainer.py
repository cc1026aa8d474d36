"""Learning on ten-image scale: real models, real cache, two dozen tiny images."""

import copy
import io
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor, nn

from swath import losses
from swath.config.ops import Resize
from swath.config.recipe import Backbone, Recipe
from swath.core import metrics
from swath.models.backbones import Model, build
from swath.preprocess.cache.entry import EntryPlan, build_shard, finish
from swath.preprocess.cache.reader import open_entry
from swath.store.file_hashes import file_digest
from swath.store.storage import Storage
from swath.training.dataset import Part, in_order, shuffled
from swath.training.losses import Criterion, criterion, smoothed
from swath.training.trainer import DivergedError, EpochResult, Objective, Trainer

SIZE, TRAIN, VAL = 32, 48, 24
RECIPE = Recipe(epochs=6, batch_size=8, optimizer="adamw", lr=3e-3, image_size=SIZE)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Part, Part]:
    """Noise with a patch of each colour whose label is set: separable."""
    folder = tmp_path_factory.mktemp("toy")
    rng = np.random.default_rng(0)
    targets = (rng.random((TRAIN + VAL, 3)) < 0.5).astype(np.uint8)
    for i, row in enumerate(targets):
        image = rng.integers(0, 100, (SIZE, SIZE, 3))
        for colour in np.flatnonzero(row):
            y, x = rng.integers(0, SIZE - 12, 2)
            image[y : y + 12, x : x + 12, colour] += 150
        cv2.imwrite(str(folder / f"{i}.png"), image[:, :, ::-1].astype(np.uint8))
    ids = tuple(map(str, range(len(targets))))
    paths = tuple(str(folder / f"{i}.png") for i in ids)
    plan = EntryPlan("train", (Resize(SIZE),), paths, ids, tuple(map(file_digest, paths)))
    cache = Storage(str(folder / "cache"))
    for number in range(len(plan.shards())):
        build_shard(cache, plan, number)
    assert finish(cache, plan) == {}
    images = open_entry(cache, plan.key, None)
    rows = np.arange(len(targets))
    return tuple(Part(images, r, r.astype(str), targets[r]) for r in (rows[:TRAIN], rows[TRAIN:]))  # type: ignore[return-value]


def tiny(seed: int = 0) -> Model:
    return build(Backbone("test_resnet", pretrained=False), 3, 3, SIZE, seed)


def small(seed: int = 0) -> Model:
    """Batch statistics and dropout: state that must be saved, and draws that must be repeated."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=4), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.LazyLinear(3)
    )
    net(torch.zeros(2, 3, SIZE, SIZE))
    return Model(net, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def score(logits: np.ndarray, targets: np.ndarray) -> float:
    return metrics.score("map", "multilabel", targets, metrics.probabilities(logits, "sigmoid"))


def objective(function: Criterion, smoothing: float = 0.0, linear: bool = True) -> Objective:
    return Objective(function, smoothed(function, smoothing, "multilabel"), linear, score)


def trainer(model: Model, recipe: Recipe = RECIPE, seed: int = 0, loss: losses.Loss | None = None) -> Trainer:
    function = objective(criterion(loss or losses.BCE()), recipe.label_smoothing)
    return Trainer(model, function, recipe, seed, torch.device("cpu"))


@pytest.mark.parametrize("loss", [losses.BCE(), losses.Focal(), losses.Asymmetric()], ids=losses.Loss.canonical)
def test_a_separable_set_is_learned(parts: tuple[Part, Part], loss: losses.Loss) -> None:
    train, val = parts
    results = list(trainer(tiny(), loss=loss).run(train, val))
    assert [r.epoch for r in results] == [1, 2, 3, 4, 5, 6]
    assert results[-1].train_loss < 0.5 * results[0].train_loss
    assert results[-1].val_loss < results[0].val_loss
    p = metrics.probabilities(results[-1].val_logits, "sigmoid")
    assert average_precision_score(val.targets, p, average="macro") > 0.9


def test_one_hot_training_learns_the_brightest_colour(parts: tuple[Part, Part]) -> None:
    def one_hot(part: Part) -> Part:
        pixels = part.images.take(part.rows).astype(float).mean(axis=(1, 2))
        return replace(part, targets=np.eye(3, dtype=np.uint8)[pixels.argmax(axis=1)])

    train, val = map(one_hot, parts)
    last = list(trainer(tiny(), replace(RECIPE, epochs=8)).run(train, val))[-1]
    p = metrics.probabilities(last.val_logits, "normalised_sigmoid")
    assert (p.argmax(axis=1) == val.targets.argmax(axis=1)).mean() > 0.7


def test_what_an_epoch_reports(parts: tuple[Part, Part]) -> None:
    train, val = parts
    one = trainer(tiny(), replace(RECIPE, epochs=1))
    (result,) = one.run(train, val)
    logits = one.predict(val)
    assert (logits.dtype, tuple(logits.shape)) == (torch.float32, (VAL, 3))
    assert result.val_logits.dtype == np.float16
    np.testing.assert_array_equal(result.val_logits, logits.numpy().astype(np.float16))
    y = val.targets
    z = logits.double().numpy()
    expected = np.mean(np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z))))
    assert result.val_loss == pytest.approx(expected, rel=1e-5)
    assert result.lr == RECIPE.lr
    assert result.seconds > 0
    assert TRAIN / result.seconds < result.images_per_s < 20 * TRAIN / result.seconds  # validation takes a part
    assert 10**7 < result.peak_memory_bytes < 10**12


def test_the_training_loss_is_the_mean_over_images_not_over_batches(parts: tuple[Part, Part]) -> None:
    recipe = replace(RECIPE, epochs=1, batch_size=20)  # 20, 20 and 8 images
    seen: list[tuple[float, int]] = []
    bce = criterion(losses.BCE())

    def noted(logits: Tensor, targets: Tensor) -> Tensor:
        value = bce(logits, targets)
        if logits.requires_grad:
            seen.append((value.item(), len(logits)))
        return value

    (result,) = Trainer(tiny(), objective(noted), recipe, 0, torch.device("cpu")).run(*parts)
    assert [n for _, n in seen] == [20, 20, 8]
    assert result.train_loss == pytest.approx(sum(v * n for v, n in seen) / TRAIN)
    assert result.train_loss != pytest.approx(np.mean([v for v, _ in seen]), abs=1e-4)


def test_the_inputs_are_normalised_and_come_in_the_documented_order(parts: tuple[Part, Part]) -> None:
    train, val = parts
    inputs: list[Tensor] = []

    class Seen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(3))

        def forward(self, x: Tensor) -> Tensor:
            inputs.append(x.detach().clone())
            return x.mean(dim=(2, 3)) * 0 + self.weight

    mean, std = np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.25, 0.3])
    model = Model(Seen(), tuple(mean), tuple(std))
    list(trainer(model, replace(RECIPE, epochs=2), seed=5).run(train, val))
    expected = [batch for epoch in (1, 2) for batch in [*shuffled(train, 8, 5, epoch), *in_order(val, 32)]]
    assert len(inputs) == len(expected)
    for found, (pixels, _) in zip(inputs, expected, strict=True):
        reference = ((pixels / 255 - mean) / std).transpose(0, 3, 1, 2)
        np.testing.assert_allclose(found.numpy(), reference, atol=1e-5)


def test_prediction_leaves_the_model_as_it_was_and_does_not_depend_on_the_batch(parts: tuple[Part, Part]) -> None:
    _, val = parts
    one = trainer(small(), replace(RECIPE, batch_size=64))
    before = copy.deepcopy(one.net.state_dict())
    first = one.predict(val)
    assert torch.equal(first, one.predict(val))  # no dropout
    assert all(torch.equal(v, before[k]) for k, v in one.net.state_dict().items())  # no batch statistics
    alone = torch.cat([one.predict(replace(val, rows=val.rows[i : i + 1])) for i in range(VAL)])
    torch.testing.assert_close(alone, first, rtol=1e-4, atol=1e-5)


def saved(one: Trainer) -> bytes:
    buffer = io.BytesIO()
    torch.save(one.state(), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("model", [tiny, small])
@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_resuming_in_the_middle_gives_the_same_bits(
    parts: tuple[Part, Part], model: Callable[[int], Model], optimizer: str
) -> None:
    recipe = replace(RECIPE, epochs=4, optimizer=optimizer, weight_decay=1e-2)  # type: ignore[arg-type]
    whole = trainer(model(0), recipe)
    expected = list(whole.run(*parts))

    first = trainer(model(0), recipe)
    epochs = first.run(*parts)
    begun = [next(epochs), next(epochs)]
    state = saved(first)

    torch.manual_seed(123)  # whatever happened in between
    second = trainer(model(99), recipe)
    second.load(torch.load(io.BytesIO(state), weights_only=True))
    found = begun + list(second.run(*parts))

    assert [r.epoch for r in found] == [1, 2, 3, 4]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.val_logits, other.val_logits)
        assert (one.train_loss, one.val_loss) == (other.train_loss, other.val_loss)
    assert torch.equal(second.predict(parts[1]), whole.predict(parts[1]))
    assert all(torch.equal(v, whole.net.state_dict()[k]) for k, v in second.net.state_dict().items())


def test_another_seed_gives_another_run(parts: tuple[Part, Part]) -> None:
    def last(seed: int) -> EpochResult:
        return list(trainer(small(0), replace(RECIPE, epochs=2), seed).run(*parts))[-1]

    np.testing.assert_array_equal(last(0).val_logits, last(0).val_logits)
    assert (last(0).val_logits != last(1).val_logits).any()


def test_a_finished_trainer_runs_no_further(parts: tuple[Part, Part]) -> None:
    one = trainer(small(), replace(RECIPE, epochs=1))
    assert len(list(one.run(*parts))) == 1
    assert list(one.run(*parts)) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_names_epoch_and_step(parts: tuple[Part, Part], value: float) -> None:
    calls = 0

    def broken(logits: Tensor, targets: Tensor) -> Tensor:
        nonlocal calls
        calls += logits.requires_grad
        return logits.mean() * (value if calls == 9 and logits.requires_grad else 1)  # six steps an epoch

    one = Trainer(small(), objective(broken), RECIPE, 0, torch.device("cpu"))
    epochs = one.run(*parts)
    assert next(epochs).epoch == 1
    before = copy.deepcopy(one.net.state_dict())
    message = rf"the training loss is -?{value} at epoch 2, step 3\. Lower the learning rate \(lr=0\.003\)"
    with pytest.raises(DivergedError, match=message):
        next(epochs)
    assert all(v.isfinite().all() for v in one.net.state_dict().values())  # the step was not taken
    assert any(not torch.equal(v, before[k]) for k, v in one.net.state_dict().items())


def test_an_epoch_whose_last_step_breaks_the_model_is_no_result(parts: tuple[Part, Part]) -> None:
    def infinite_slope(logits: Tensor, targets: Tensor) -> Tensor:
        return torch.sqrt((logits * 0).abs()).mean()  # a finite value with a gradient that is none

    one = Trainer(small(), objective(infinite_slope), replace(RECIPE, batch_size=TRAIN), 0, torch.device("cpu"))
    with pytest.raises(DivergedError, match=r"logits are not all finite after epoch 1: .*Lower the learning rate"):
        next(one.run(*parts))


@pytest.mark.parametrize(("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_the_recipes_fields_reach_torch(parts: tuple[Part, Part], name: str, kind: type[torch.optim.Optimizer]) -> None:
    recipe = Recipe(1, TRAIN, name, lr=0.02, weight_decay=0.3, image_size=SIZE)  # type: ignore[arg-type]
    one = trainer(small(), recipe)
    assert type(one.optimizer) is kind
    (group,) = one.optimizer.param_groups
    assert (group["lr"], group["weight_decay"]) == (0.02, 0.3)
    assert len(group["params"]) == len(list(one.net.parameters()))

    # One step of the whole set, against the same step taken by hand.
    train, val = parts
    reference = copy.deepcopy(one.net)
    (result,) = one.run(train, val)
    assert result.lr == 0.02
    torch.manual_seed(int(np.random.SeedSequence([0, 1]).generate_state(1)[0]))
    ((pixels, targets),) = shuffled(train, TRAIN, 0, 1)
    x = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - 0.5 * 255) / (0.25 * 255)
    loss = nn.functional.binary_cross_entropy_with_logits(reference.train()(x), torch.from_numpy(targets))
    loss.backward()
    assert result.train_loss == pytest.approx(loss.item(), rel=1e-6)
    for (key, new), old in zip(one.net.named_parameters(), reference.parameters(), strict=True):
        gradient = old.grad if name == "adamw" else old.grad + 0.3 * old  # Adam: L2; AdamW: decoupled decay
        step = gradient / (gradient.abs() + 1e-8)  # the first step of Adam: both moments are the gradient's
        decayed = old * (1 - 0.02 * 0.3) if name == "adamw" else old
        torch.testing.assert_close(new, decayed - 0.02 * step, rtol=1e-3, atol=2e-4, msg=lambda m, k=key: f"{k}: {m}")
