"""A GPU computes what a CPU computes: first steps, short trainings, features, super-resolution."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from spandrel.architectures.Compact import Compact

from swath import Backbone, Recipe, Sweep, ops
from swath.models.image_models.loader import load
from swath.preprocess.cache.reader import open_entry
from tests.support.gpu_trials import Recorded, carry_out, hidden_gpus, recorded

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(90)]

Note = Callable[[str, object], None]
SweepMaker = Callable[..., Sweep]
ONE_STEP = Recipe(epochs=1, batch_size=36, optimizer="sgd", momentum=0.0, lr=1e-3, image_size=64)
SIZES = {"test_vit": 160}
"""Of models that take one size only."""


def one_step(make_sweep: SweepMaker, model: str, store: Path, **changes: object) -> tuple[float, Recorded]:
    """The loss of a trial's only step, and its trainer."""
    recipe = replace(ONE_STEP, image_size=SIZES.get(model, 64), **changes)  # type: ignore[arg-type]
    handle, trainer = recorded(
        make_sweep(preprocess=(), backbone=Backbone(model, pretrained=False), recipe=recipe), store
    )
    assert trainer.steps == 1
    return float(handle.metrics()["train_loss"].iloc[0]), trainer


def relative(found: torch.Tensor | None, expected: torch.Tensor | None) -> float:
    assert found is not None
    assert expected is not None
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("model", ["test_resnet", "test_convnext", "test_vit", "resnet18"])
def test_the_first_step_in_fp32_is_that_of_the_cpu(
    make_sweep: SweepMaker, tmp_path: Path, record_property: Note, model: str
) -> None:
    loss, trainer = one_step(make_sweep, model, tmp_path / "gpu")
    with hidden_gpus():
        expected, reference = one_step(make_sweep, model, tmp_path / "cpu")
    assert (trainer.device.type, reference.device.type) == ("cuda", "cpu")
    off, gradient_off = abs(loss - expected) / expected, relative(trainer.gradient, reference.gradient)
    record_property("measured", f"loss {off:.1e}, gradient {gradient_off:.1e}")
    assert max(off, gradient_off) <= 1e-4


@pytest.mark.parametrize("model", ["test_convnext", "test_vit"])  # batch statistics amplify what bf16 rounds
def test_gradients_in_bf16_are_near_those_of_the_cpu_in_fp32(
    make_sweep: SweepMaker, tmp_path: Path, record_property: Note, model: str
) -> None:
    _, trainer = one_step(make_sweep, model, tmp_path / "gpu", precision="bf16", channels_last=True)
    with hidden_gpus():
        _, reference = one_step(make_sweep, model, tmp_path / "cpu")
    off = relative(trainer.gradient, reference.gradient)
    record_property("measured", f"gradient {off:.1e}")
    assert off <= 3e-2


@pytest.mark.parametrize("model", ["test_resnet", "test_convnext"])
def test_logits_after_a_short_training_are_those_of_the_cpu(
    make_sweep: SweepMaker, tmp_path: Path, record_property: Note, model: str
) -> None:
    recipe = Recipe(epochs=3, batch_size=12, optimizer="sgd", lr=5e-2, image_size=64)
    sweep = make_sweep(preprocess=(), backbone=Backbone(model, pretrained=False), recipe=recipe)
    _, trainer = recorded(sweep, tmp_path / "gpu")
    with hidden_gpus():
        _, reference = recorded(sweep, tmp_path / "cpu")
    assert trainer.predicted is not None
    assert reference.predicted is not None
    off = float((trainer.predicted - reference.predicted).abs().max())
    record_property("measured", f"logits {off:.1e}")
    assert off <= 1e-3


def features_of(sweep: Sweep, store: Path) -> NDArray[np.float32]:
    """The features that a sweep computed of its training images."""
    progress = carry_out(sweep, store)
    (planned,) = progress.plan.trials
    entry = open_entry(progress.plan.locations.cache, planned.features["train"].key, None)
    return entry.take(np.arange(len(entry)))


def test_features_are_those_of_the_cpu(make_sweep: SweepMaker, tmp_path: Path, record_property: Note) -> None:
    recipe = Recipe(epochs=1, batch_size=12, image_size=64, freeze="backbone")
    sweep = make_sweep(preprocess=(), backbone=Backbone("resnet18", pretrained=False), recipe=recipe)
    found = features_of(sweep, tmp_path / "gpu")
    with hidden_gpus():
        expected = features_of(sweep, tmp_path / "cpu")
    off = float(np.linalg.norm(found - expected) / np.linalg.norm(expected))
    record_property("measured", f"features {off:.1e}")
    assert off <= 1e-4


@pytest.fixture
def compact(tmp_path: Path) -> str:
    """Weights of the small super-resolution network: those of SWATH_GPU_WEIGHTS, else drawn, and small."""
    if given := os.environ.get("SWATH_GPU_WEIGHTS"):
        return given
    torch.manual_seed(0)
    network = Compact(num_in_ch=3, num_out_ch=3, num_feat=64, num_conv=16, upscale=4, act_type="prelu")
    file = tmp_path / "compact.pth"
    torch.save({"params": {name: 0.9 * value for name, value in network.state_dict().items()}}, file)
    return str(file)


def photograph() -> NDArray[np.uint8]:
    """A picture of 200 x 240 pixels with slopes, edges and noise."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (12, 15, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (240, 200), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    image[60:120, 40:130] -= 70
    image[90:180, 150:154] += 90
    return (image + rng.integers(-6, 7, image.shape)).clip(0, 255).astype(np.uint8)


def test_super_resolution_is_that_of_the_cpu(compact: str, record_property: Note) -> None:
    image = photograph()
    (found,) = load(ops.SuperRes(model="compact"), compact, "cuda")([image])
    (expected,) = load(ops.SuperRes(model="compact"), compact, "cpu", threads=os.cpu_count() or 1)([image])
    assert expected.std() > 10
    off = np.abs(found.astype(int) - expected.astype(int))
    record_property("measured", f"{(off <= 1).mean():.3%} of pixels within 1/255, largest {off.max()}")
    assert (off <= 1).mean() >= 0.999
