"""Whole trials on a GPU: every training feature at once, an interruption, memory."""

import gc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from swath import Backbone, Recipe, Sweep
from tests.support.gpu_trials import EVERYTHING, Killed, KilledAfter, Watched, card_of, carry_out, only, reason

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(90)]

Note = Callable[[str, object], None]
SweepMaker = Callable[..., Sweep]


def test_a_sweep_in_this_process_ends_on_the_gpu(make_sweep: SweepMaker, tmp_path: Path, record_property: Note) -> None:
    handle, outcome = only(carry_out(make_sweep(preprocess=(), recipe=EVERYTHING), tmp_path))
    assert outcome.state == "COMPLETE", reason(outcome)
    assert set(handle.metrics()["device"]) == {torch.cuda.get_device_name()}
    assert np.isfinite(handle.logits("test")[1]).all()
    record_property("measured", f"{outcome.score:.3f} mAP after {outcome.epochs} epochs")


def test_a_resumed_trial_ends_as_one_that_was_not_interrupted(
    make_sweep: SweepMaker, tmp_path: Path, record_property: Note
) -> None:
    sweep = make_sweep(preprocess=(), recipe=EVERYTHING)
    whole, _ = only(carry_out(sweep, tmp_path / "whole"))
    with pytest.raises(Killed):
        carry_out(sweep, tmp_path / "killed", KilledAfter(1))
    resumed, outcome = only(carry_out(sweep, tmp_path / "killed"))
    assert outcome.state == "COMPLETE", reason(outcome)
    assert resumed.metrics()["attempt"].tolist() == [1, 2, 2]
    off = float(np.abs(whole.logits("test")[1].astype(float) - resumed.logits("test")[1].astype(float)).max())
    record_property("measured", f"logits differ by {off:.1e} at most" if off else "bit-equal")
    assert off <= 1e-2, "one bit of float16 at logits of 4 to 8 is 4e-3"


def test_out_of_memory_halves_the_micro_batch_and_gives_the_loss_of_the_whole_step(
    make_sweep: SweepMaker, tmp_path: Path, record_property: Note
) -> None:
    recipe = Recipe(epochs=2, batch_size=36, optimizer="sgd", lr=1e-2, image_size=224)
    sweep = make_sweep(preprocess=(), backbone=Backbone("test_convnext", pretrained=False), recipe=recipe)
    whole, outcome = only(carry_out(sweep, tmp_path / "whole"))
    assert outcome.state == "COMPLETE", reason(outcome)
    peak = float(whole.metrics()["peak_memory_bytes"].max())
    with card_of(0.7 * peak):
        split, outcome = only(carry_out(sweep, tmp_path / "small"))
    assert outcome.state == "COMPLETE", reason(outcome)
    sizes = split.metrics()["micro_batch"].tolist()
    losses = split.metrics()["train_loss"].to_numpy(), whole.metrics()["train_loss"].to_numpy()
    off = float(np.abs(losses[0] / losses[1] - 1).max())
    record_property("measured", f"{peak / 2**20:.0f} MiB in {0.7 * peak / 2**20:.0f}: {sizes} images, loss {off:.1e}")
    assert all(2 <= size <= 18 for size in sizes)
    assert off <= 1e-4


def test_five_trials_in_one_process_do_not_grow(make_sweep: SweepMaker, tmp_path: Path, record_property: Note) -> None:
    held: list[float] = []

    def look() -> None:
        gc.collect()
        held.append(torch.cuda.memory_allocated() / 2**20)

    recipe = Recipe(epochs=1, batch_size=12, image_size=64)  # with Adam 282 MiB a trial
    sweep = make_sweep(
        preprocess=(), backbone=Backbone("resnet50", pretrained=False), recipe=recipe, seeds=(0, 1, 2, 3, 4)
    )
    progress = carry_out(sweep, tmp_path, Watched(look))
    assert {outcome.state for outcome in progress.outcomes.values()} == {"COMPLETE"}
    grown = max(held[2:]) - held[1]  # the first one leaves the workspaces of cuBLAS
    record_property("measured", f"{grown:+.0f} MiB after the first, which left {held[1] - held[0]:.0f}")
    assert grown < 64
    assert held[1] - held[0] < 256
