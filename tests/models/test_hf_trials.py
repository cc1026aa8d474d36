"""Trials of transformers models built from tiny configurations; nothing is fetched."""

import io
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BeitConfig, BeitModel, PreTrainedModel, Swinv2Config, Swinv2Model

from swath import Backbone, Recipe, Sweep, augment, losses
from swath.engine.base import Listener
from swath.engine.driver import run
from swath.engine.inline import InlineEngine
from swath.models.backbones import build
from swath.models.hf_models import HfNet
from swath.store.storage import Locations
from swath.store.trials import Trial
from swath.training.job import Job, Report
from tests.support.planned import planned_sweep

SweepMaker = Callable[..., Sweep]
SIZE = 32
RECIPE = Recipe(
    epochs=3, batch_size=8, optimizer="adamw", lr=3e-3, image_size=SIZE, augment=(augment.HorizontalFlip(),)
)
SWIN = Swinv2Config(image_size=SIZE, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[2, 2], window_size=4)
BEIT = BeitConfig(
    image_size=SIZE,
    patch_size=8,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=32,
    use_mean_pooling=True,
    use_relative_position_bias=True,
)
KINDS: dict[str, tuple[Any, type[PreTrainedModel]]] = {"swinv2": (SWIN, Swinv2Model), "beit": (BEIT, BeitModel)}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A "pretrained" model as transformers saves it."""
    config, kind = KINDS[request.param]
    torch.manual_seed(7)
    kind(config).save_pretrained(tmp_path / request.param)
    processor = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.2, 0.3]}
    (tmp_path / request.param / "preprocessor_config.json").write_text(json.dumps(processor))
    return tmp_path / request.param


class Killed(BaseException):
    """Stands for the end of a process."""


class KilledAfterFirstEpoch(InlineEngine):
    """Ends like a killed process."""

    def train(self, jobs: Sequence[Job], listener: Listener) -> None:
        def decide(report: Report) -> bool:
            raise Killed

        listener.decide = decide  # type: ignore[method-assign]
        super().train(jobs, listener)


def carry_out(sweep: Sweep, store: Path, engine: InlineEngine | None = None) -> Trial:
    progress = planned_sweep(sweep, Locations.of(str(store)))
    (planned,) = progress.plan.trials
    run(progress, engine or InlineEngine(), lambda line: None)
    progress.refresh()
    outcome = progress.outcomes[planned.spec.fingerprint]
    assert (outcome.state, outcome.epochs) == ("COMPLETE", 3), outcome.error
    return progress.plan.handle(planned)


def assert_same_predictions(one: Trial, other: Trial) -> None:
    for part in ("val/3", "test"):
        for a, b in zip(one.logits(part), other.logits(part), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_killed_trial_of_a_transformers_model_ends_as_one_that_was_not(
    make_sweep: SweepMaker, tmp_path: Path, folder: Path
) -> None:
    model = Backbone(f"hf:{folder}", drop_path_rate=0.1)
    # Under another name it is another trial, which would draw other random numbers of its own.
    sweep = make_sweep(preprocess=(), backbone=model, recipe=RECIPE, streams="common")
    whole = carry_out(sweep, tmp_path / "whole")
    train_loss = whole.metrics()["train_loss"].tolist()
    assert train_loss[-1] < train_loss[0]
    with pytest.raises(Killed):
        carry_out(sweep, tmp_path / "killed", KilledAfterFirstEpoch())
    resumed = carry_out(sweep, tmp_path / "killed")
    assert resumed.metrics()["attempt"].tolist() == [1, 2, 2]
    assert_same_predictions(whole, resumed)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(folder, elsewhere)
    named = replace(sweep, backbone=Backbone("hf:someone/tiny", weights=str(elsewhere), drop_path_rate=0.1))
    assert_same_predictions(whole, carry_out(named, tmp_path / "named"))
    other = carry_out(replace(sweep, loss=losses.Focal()), tmp_path / "whole")
    assert (other.logits("test")[1] != whole.logits("test")[1]).any()


def test_what_a_trial_learned_predicts_the_same_when_saved_and_given_as_weights(
    make_sweep: SweepMaker, tmp_path: Path, folder: Path
) -> None:
    sweep = make_sweep(preprocess=(), backbone=Backbone(f"hf:{folder}"), recipe=RECIPE)
    with pytest.raises(Killed):
        carry_out(sweep, tmp_path / "store", KilledAfterFirstEpoch())
    progress = planned_sweep(sweep, Locations.of(str(tmp_path / "store")))
    saved = progress.plan.handle(progress.plan.trials[0]).checkpoint()
    assert saved is not None
    learned = build(Backbone(f"hf:{folder}"), 3, 3, SIZE, seed=0).net
    start = {name: value.clone() for name, value in learned.state_dict().items()}
    learned.load_state_dict(torch.load(io.BytesIO(saved), weights_only=True)["net"])
    assert isinstance(learned, HfNet)
    assert any(not torch.equal(start[n], v) for n, v in learned.state_dict().items() if n.startswith("net."))

    learned.net.save_pretrained(tmp_path / "learned")  # type: ignore[operator]
    shutil.copy(folder / "preprocessor_config.json", tmp_path / "learned")
    again = build(Backbone("hf:someone/tiny", weights=str(tmp_path / "learned")), 3, 3, SIZE, seed=5).net
    again.get_submodule("head").load_state_dict(learned.head.state_dict())
    images = torch.randn(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(images), learned.eval()(images), rtol=0, atol=0)
