"""Workers together against one worker alone: real processes, gloo, the same global batches."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import distributed, multiprocessing, nn

from swath import losses
from swath.config.mix import CutMix
from swath.config.ops import Resize
from swath.config.recipe import Backbone, Recipe
from swath.models.backbones import build
from swath.preprocess.cache.entry import EntryPlan, build_shard, finish
from swath.preprocess.cache.reader import open_entry
from swath.store.file_hashes import file_digest
from swath.store.storage import Storage
from swath.training.dataset import Part
from swath.training.distributed import SharedBatchStatistics, WorkerGroup
from swath.training.losses import criterion
from swath.training.trainer import Objective, Trainer

SIZE, TRAIN, VAL = 32, 34, 13
RECIPE = Recipe(epochs=3, batch_size=8, optimizer="adamw", lr=3e-3, image_size=SIZE)
RESNET = Backbone("test_resnet", pretrained=False)
VIT = Backbone("test_vit", pretrained=False)


@dataclass(frozen=True)
class Case:
    """A training that a group and one worker do alike.

    34 images leave a last batch of two, over which batch normalisation is chaotic: in float32 one worker with weights
    moved by 1e-7 ends as far from itself as a group does. There model and training loss are float64, where weights
    moved by 1e-12 end within 1e-8.
    """

    backbone: Backbone
    recipe: Recipe = RECIPE
    images: int = TRAIN
    double: bool = False


CASES = {
    "batch norm": Case(RESNET, images=32),
    "batch norm, ragged": Case(RESNET, double=True),
    "accumulation, clipping, ema": Case(
        RESNET, replace(RECIPE, batch_size=4, accumulation=2, clip_norm=0.5, ema_decay=0.9), double=True
    ),
    "no batch norm": Case(VIT),
    "mix": Case(VIT, replace(RECIPE, mix=(CutMix(),))),
    "fewer images than workers": Case(VIT, images=1),
}
Curve = dict[str, Any]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Part, Part]:
    folder = tmp_path_factory.mktemp("group")
    rng = np.random.default_rng(0)
    targets = (rng.random((TRAIN + VAL, 3)) < 0.5).astype(np.uint8)
    for i, row in enumerate(targets):
        image = rng.integers(0, 100, (SIZE, SIZE, 3)) + row * 60
        cv2.imwrite(str(folder / f"{i}.png"), image.astype(np.uint8))
    ids = tuple(map(str, range(len(targets))))
    paths = tuple(str(folder / f"{i}.png") for i in ids)
    plan = EntryPlan("train", (Resize(SIZE),), paths, ids, tuple(map(file_digest, paths)))
    cache = Storage(str(folder / "cache"))
    for number in range(len(plan.shards())):
        build_shard(cache, plan, number)
    finish(cache, plan)
    images, rows = open_entry(cache, plan.key, None), np.arange(len(targets))
    return tuple(Part(images, r, r.astype(str), targets[r]) for r in (rows[:TRAIN], rows[TRAIN:]))  # type: ignore[return-value]


class _Double(nn.Module):
    """A model in float64."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net.double()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.net(images.double())


def trained(case: Case, parts: tuple[Part, Part], group: WorkerGroup) -> Curve:
    loss = criterion(losses.BCE())
    objective = Objective(loss, loss, linear=True, score=lambda logits, targets: 0.0)
    torch.set_num_threads(1)
    model = build(case.backbone, 3, 3, SIZE, 0)
    model = replace(model, net=_Double(model.net)) if case.double else model
    trainer = Trainer(model, objective, case.recipe, 0, torch.device("cpu"), group)
    results = list(trainer.run(parts[0].between(0, case.images), parts[1]))
    return {
        "losses": np.array([(r.train_loss, r.val_loss) for r in results]),
        "logits": results[-1].val_logits,
        "state": trainer.state()["net"],
    }


def worker(rank: int, folder: str, parts: tuple[Part, Part]) -> None:
    distributed.init_process_group("gloo", f"file://{folder}/group", rank=rank, world_size=2)
    for name, case in CASES.items():
        torch.save(trained(case, parts, WorkerGroup(rank, 2)), f"{folder}/{name} {rank}.pt")
    torch.save(normalised(rank), f"{folder}/normalised {rank}.pt")
    torch.save(stopped(rank), f"{folder}/stopped {rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory, parts: tuple[Part, Part]) -> Callable[[str], Any]:
    folder = tmp_path_factory.mktemp("results")
    multiprocessing.spawn(worker, (str(folder), parts), nprocs=2)  # type: ignore[attr-defined]
    return lambda name: torch.load(folder / f"{name}.pt", weights_only=False)


@pytest.mark.parametrize("name", CASES)
def test_two_workers_have_the_loss_curve_of_one(
    name: str, parts: tuple[Part, Part], groups: Callable[[str], Curve]
) -> None:
    case = CASES[name]
    alone, first, second = trained(case, parts, WorkerGroup()), groups(f"{name} 0"), groups(f"{name} 1")
    assert alone["losses"].shape == (3, 2)
    assert np.abs(alone["losses"] - first["losses"]).max() < (1e-6 if case.double else 1e-3)
    assert np.abs(alone["losses"][0] - alone["losses"][-1]).max() > 0.01, "something was learned"
    assert np.abs(alone["logits"].astype(float) - first["logits"].astype(float)).max() < 1e-2
    np.testing.assert_array_equal(first["losses"], second["losses"])
    np.testing.assert_array_equal(first["logits"], second["logits"])
    assert all(torch.equal(first["state"][k], second["state"][k]) for k in first["state"]), "workers stay alike"


def layer_and_images() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    layer = nn.BatchNorm2d(5, momentum=0.3)
    nn.init.uniform_(layer.weight)
    return layer, torch.randn(7, 5, 3, 4) * 2 + 100  # far from zero: E[x^2] - E[x]^2 would be off


def normalised(rank: int) -> dict[str, torch.Tensor]:
    """Two workers with four and three of the images."""
    layer, images = layer_and_images()
    mine = images[slice(*((0, 4), (4, 7))[rank])].clone().requires_grad_()
    with SharedBatchStatistics(counts=True):
        (result := layer(mine)).pow(3).sum().backward()
    state = {name: value.clone() for name, value in layer.state_dict().items()}
    with SharedBatchStatistics(counts=rank == 0):
        first_only = layer(mine)
    layer.eval()
    with SharedBatchStatistics(counts=True):
        frozen = layer(mine)
    found = {"result": result, "grad": mine.grad, "first only": first_only, "frozen": frozen, **state}
    return {name: value.detach() for name, value in found.items() if value is not None}


def test_shared_statistics_are_those_of_torchs_batch_norm_over_all_images(groups: Callable[[str], Any]) -> None:
    layer, images = layer_and_images()
    images.requires_grad_()
    (result := layer(images)).pow(3).sum().backward()
    found = [groups(f"normalised {rank}") for rank in range(2)]
    torch.testing.assert_close(torch.cat([f["result"] for f in found]), result.detach(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(torch.cat([f["grad"] for f in found]), images.grad, atol=1e-4, rtol=1e-3)
    for name, value in layer.state_dict().items():
        for f in found:
            torch.testing.assert_close(f[name], value)
    first_only = layer(images[:4])
    torch.testing.assert_close(found[0]["first only"], first_only.detach(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(torch.cat([f["frozen"] for f in found]), layer.eval()(images).detach())


class _Broken(nn.Module):
    def __init__(self, at: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(at))
        self.idle = nn.Parameter(torch.ones(2))


def stopped(rank: int) -> dict[str, Any]:
    """A loss that is no number on the second worker only, an unused parameter, and the first worker's word."""
    group, net = WorkerGroup(rank, 2), _Broken(float(rank))
    (net.weight * (rank + 1)).backward()
    sums = group.sum_gradients(net.parameters(), float("nan") if rank else 1.0)
    words = [group.agreed(word, torch.device("cpu")) for word in (rank == 0, rank == 1)]
    return {
        "loss": sums,
        "grad": net.weight.grad,
        "idle": net.idle.grad,
        "words": words,
        "conv": convolution_grads(rank),
    }


def convolution_grads(rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Of a convolution in channels_last, before and after they are summed."""
    torch.manual_seed(0)
    net = nn.Conv2d(4, 5, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    net(torch.full((2, 4, 6, 6), rank + 1.0)).sum().backward()
    assert net.weight.grad is not None
    before = net.weight.grad.clone()
    WorkerGroup(rank, 2).sum_gradients(net.parameters(), 0.0)
    return before, net.weight.grad


def test_a_team_ends_together(groups: Callable[[str], Any]) -> None:
    for rank in range(2):
        found = groups(f"stopped {rank}")
        assert np.isnan(found["loss"])
        assert found["grad"] == 3
        assert found["idle"] is None, "weight decay must not act on what one worker would leave alone"
        assert found["words"] == [True, False]


def test_summed_gradients_keep_the_memory_format_of_their_parameters(groups: Callable[[str], Any]) -> None:
    (first, summed), (second, other) = (groups(f"stopped {rank}")["conv"] for rank in range(2))
    assert torch.equal(summed, first + second)
    assert torch.equal(other, summed)
    for grad in (summed, other):
        assert grad.is_contiguous(memory_format=torch.channels_last)
        assert not grad.is_contiguous()


@pytest.mark.parametrize(("images", "size"), [(8, 1), (8, 2), (7, 2), (7, 3), (2, 3), (1, 4)])
def test_shares_cover_every_image_once_and_evenly(images: int, size: int) -> None:
    shares = [WorkerGroup(rank, size).share(10, 10 + images) for rank in range(size)]
    counted = [i for s in shares if s.counts for i in range(s.start, s.end)]
    assert counted == list(range(10, 10 + images))
    lengths = [len(s) for s in shares if s.counts]
    assert max(lengths) - min(lengths) <= 1
    assert all(len(s) == 1 and 10 <= s.start < 10 + images for s in shares if not s.counts)


def test_a_team_of_one_changes_nothing() -> None:
    group, rows = WorkerGroup(), torch.ones(3, 2)
    assert group.gathered(rows, 3, torch.device("cpu")) is rows
    assert group.sum_gradients([], 0.5) == 0.5
    assert not group.agreed(False, torch.device("cpu"))
