"""Whole trials on the inline engine: early stopping, out of memory, test-time augmentation, interruptions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor, nn

from swath import Recipe, Sweep, augment, mix, schedules
from swath.analysis.load import read_results
from swath.core.errors import DeviceLostError
from swath.engine.base import Listener
from swath.engine.driver import run
from swath.engine.inline import InlineEngine
from swath.models.backbones import Model, build
from swath.plan.progress import Progress
from swath.store.storage import Locations
from swath.store.trials import Outcome, Trial
from swath.training import trial as trials
from swath.training.job import Job, Report
from tests.support.planned import planned_sweep

SweepMaker = Callable[..., Sweep]
RECIPE = Recipe(epochs=6, batch_size=8, optimizer="adamw", lr=3e-3, image_size=32)
EARLY = replace(RECIPE, epochs=12, early_stop=schedules.EarlyStop(patience=2, min_delta=0.02))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def carry_out(sweep: Sweep, store: Path, engine: InlineEngine | None = None) -> Progress:
    progress = planned_sweep(sweep, Locations.of(str(store)))
    run(progress, engine or InlineEngine(), lambda line: None)
    progress.refresh()
    return progress


def only(progress: Progress) -> tuple[Trial, Outcome]:
    (planned,) = progress.plan.trials
    return progress.plan.handle(planned), progress.outcomes[planned.spec.fingerprint]


def val_ids(progress: Progress) -> list[str]:
    """Of the only task, in its order."""
    (task,) = progress.plan.tasks
    return task.record.rows["id"][task.folds == 0].tolist()


class Killed(BaseException):
    """Stands for the end of a process."""


class KilledAfter(InlineEngine):
    """Ends like a killed process after an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def train(self, jobs: Sequence[Job], listener: Listener) -> None:
        def decide(report: Report) -> bool:
            if report.epoch == self.epoch:
                raise Killed
            return inner(report)

        inner = listener.decide
        listener.decide = decide  # type: ignore[method-assign]
        super().train(jobs, listener)


def logits_of_every_epoch(
    sweep: Sweep, store: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Progress, list[np.ndarray]]:
    """Run a sweep of one trial and note what its validation images got at every epoch."""
    noted: list[np.ndarray] = []
    row = trials._row

    def note(spec: Any, result: Any, *more: Any) -> dict[str, Any]:
        noted.append(result.val_logits)
        return row(spec, result, *more)

    with monkeypatch.context() as patch:
        patch.setattr(trials, "_row", note)
        return carry_out(sweep, store), noted


def test_early_stopping_keeps_each_half_at_the_epoch_chosen_on_the_other(
    make_sweep: SweepMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress, epochs = logits_of_every_epoch(make_sweep(preprocess=(), recipe=EARLY), tmp_path, monkeypatch)
    handle, outcome = only(progress)
    table = handle.metrics()
    assert outcome.state == "COMPLETE"
    assert outcome.epochs == len(epochs) < 12

    (task,) = progress.plan.tasks
    at = pd.Index(task.record.rows["id"])
    (ids_b, of_b), (ids_a, of_a) = handle.logits("val/best_a"), handle.logits("val/best_b")
    order = val_ids(progress)
    assert sorted([*ids_a, *ids_b]) == sorted(order)
    assert abs(len(ids_a) - len(ids_b)) <= 2

    def mean_ap(logits: np.ndarray, ids: Sequence[str]) -> float:
        y = task.record.targets[at.get_indexer(ids)]
        x = logits[pd.Index(order).get_indexer(ids)].astype(float)
        scored = y.any(axis=0)
        return float(average_precision_score(y[:, scored], 1 / (1 + np.exp(-x[:, scored])), average="macro"))

    for chosen_on, scored, found in ((ids_a, ids_b, of_b), (ids_b, ids_a, of_a)):
        best = int(np.argmax([mean_ap(logits, list(chosen_on)) for logits in epochs]))
        np.testing.assert_array_equal(found, epochs[best][pd.Index(order).get_indexer(list(scored))])

    scores = [mean_ap(logits, order) for logits in epochs]
    assert table["score"].tolist() == pytest.approx(scores)
    waited, best_so_far = 0, scores[0]
    for score in scores[1:]:
        waited, best_so_far = (0, score) if score > best_so_far + 0.02 else (waited + 1, best_so_far)
    assert waited == 2, "it ended with its patience, not before"

    # The report composes the two and scores what it composed, as the trial did.
    (read,) = read_results(progress.plan.locations.storage, progress.plan.sweep.name).tasks[0].trials
    composed = dict(zip([*ids_a, *ids_b], np.concatenate([of_a, of_b]), strict=True))
    assert read.val_logits is not None
    np.testing.assert_array_equal(read.val_logits, np.stack([composed[i] for i in order]))
    assert read.scores["map"] == pytest.approx(outcome.score) == pytest.approx(mean_ap(read.val_logits, order))


@pytest.mark.parametrize("epoch", [1, 3])
def test_a_killed_trial_that_stops_early_ends_as_one_that_was_not_killed(
    make_sweep: SweepMaker, tmp_path: Path, epoch: int
) -> None:
    recipe = replace(
        EARLY,
        ema_decay=0.8,
        schedule=schedules.Plateau(patience=0, factor=0.5, watch="score"),
        augment=(augment.HorizontalFlip(), augment.Transpose()),
        mix=(mix.CutMix(p=0.5),),
        tta="flip",
    )
    sweep = make_sweep(preprocess=(), recipe=recipe)
    whole, expected = only(carry_out(sweep, tmp_path / "whole"))
    assert expected.epochs > epoch
    with pytest.raises(Killed):
        carry_out(sweep, tmp_path / "killed", KilledAfter(epoch))
    resumed, outcome = only(carry_out(sweep, tmp_path / "killed"))
    assert (outcome.state, outcome.epochs, outcome.score) == ("COMPLETE", expected.epochs, expected.score)
    for part in ("val/best_a", "val/best_b", "test"):
        for a, b in zip(whole.logits(part), resumed.logits(part), strict=True):
            np.testing.assert_array_equal(a, b)
    assert resumed.metrics()["attempt"].tolist() == [1] * epoch + [2] * (expected.epochs - epoch)


class Small(nn.Module):
    """A model that runs out of memory like a GPU: above some images at a time, and four times as soon in training."""

    def __init__(self, net: nn.Module, images: int, allowed: int) -> None:
        super().__init__()
        self.net, self.images, self.allowed, self.used = net, images, allowed, 0

    def forward(self, x: Tensor) -> Tensor:
        self.used += 1
        if len(x) * (4 if torch.is_grad_enabled() else 1) > self.images and self.used > self.allowed:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return self.net(x)


def with_memory_for(monkeypatch: pytest.MonkeyPatch, images: int, allowed: int = 0) -> None:
    """Models that run out of memory above `images` images, after `allowed` calls."""

    def small(*args: Any, **options: Any) -> Model:
        model = build(*args, **options)
        for module in model.net.modules():  # batch statistics would depend on the parts of a batch
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.0
                module.eval()
                module.train = lambda mode=True, module=module: module  # type: ignore[method-assign]
        return replace(model, net=Small(model.net, images, allowed), head="")

    monkeypatch.setattr(trials.backbones, "build", small)


def test_out_of_memory_halves_the_micro_batch_and_goes_on_from_the_last_epoch(
    make_sweep: SweepMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = make_sweep(preprocess=(), recipe=RECIPE)
    with_memory_for(monkeypatch, 10_000)
    whole, expected = only(carry_out(sweep, tmp_path / "whole"))
    calls_per_epoch = 5 + 1  # 36 images in batches of 8 (the last has 4), 12 validation images at once
    with_memory_for(monkeypatch, 16, allowed=2 * calls_per_epoch + 2)
    handle, outcome = only(carry_out(sweep, tmp_path / "small"))
    assert outcome.state == "COMPLETE"
    table = handle.metrics()
    assert table["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    # Each new model is allowed some calls again, so the second goes on until its own memory ends.
    sizes = table["micro_batch"].tolist()
    assert sizes[:2] == [8, 8]
    assert sizes[-1] < 8
    assert sizes == sorted(sizes, reverse=True)
    assert table["attempt"].tolist() == [1] * 6
    np.testing.assert_allclose(handle.metrics()["train_loss"], whole.metrics()["train_loss"], rtol=1e-3)
    np.testing.assert_allclose(handle.logits("test")[1], whole.logits("test")[1], atol=0.05)
    assert outcome.score == pytest.approx(expected.score, abs=0.05)


def test_the_next_trial_of_a_cell_begins_with_the_micro_batch_that_was_found(
    make_sweep: SweepMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_memory_for(monkeypatch, 16)
    recipe = replace(RECIPE, epochs=1)
    first, _ = only(carry_out(make_sweep(preprocess=(), recipe=recipe), tmp_path))
    assert first.metrics()["micro_batch"].tolist() == [4]
    with_memory_for(monkeypatch, 10_000)  # it would not run out again
    for seed, chosen, micro_batch in ((1, recipe, 4), (0, replace(recipe, lr=1e-4), 8)):
        trial, _ = only(carry_out(make_sweep(preprocess=(), recipe=chosen, seeds=(seed,)), tmp_path))
        assert trial.metrics()["micro_batch"].tolist() == [micro_batch], "another cell has its own"


class Refused(nn.Module):
    """A model with an operation that has no deterministic algorithm, as torch refuses it on a GPU."""

    def __init__(self, net: nn.Module, prepared: list[bool]) -> None:
        super().__init__()
        self.net, self.prepared = net, prepared

    def forward(self, x: Tensor) -> Tensor:
        if self.prepared[-1]:
            raise RuntimeError("adaptive_avg_pool2d_backward_cuda does not have a deterministic implementation")
        return self.net(x)


def test_where_an_operation_has_no_deterministic_algorithm_others_are_still_preferred(
    make_sweep: SweepMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[bool] = []
    monkeypatch.setattr(trials, "prepare", lambda device, share, precision, asked: prepared.append(asked))
    refused = lambda *a, **o: replace(m := build(*a, **o), net=Refused(m.net, prepared), head="")  # noqa: E731
    monkeypatch.setattr(trials.backbones, "build", refused)
    recipe = replace(RECIPE, epochs=2)
    for seed in (0, 1):
        _, outcome = only(carry_out(make_sweep(preprocess=(), recipe=recipe, seeds=(seed,)), tmp_path))
        assert outcome.state == "COMPLETE"
    assert prepared == [True, False, False], "the second trial of the cell knows it"


def test_a_gpu_that_broke_its_process_is_no_end_of_the_trial(
    make_sweep: SweepMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = make_sweep(preprocess=(), recipe=replace(RECIPE, epochs=2))
    with_memory_for(monkeypatch, 1)
    monkeypatch.setattr(trials, "responds", lambda: False)
    with pytest.raises(DeviceLostError, match=r"broke its process \(OutOfMemoryError: CUDA out of memory"):
        carry_out(sweep, tmp_path)
    assert list(tmp_path.glob("trials/*/trial.json")) == [], "no final state"
    monkeypatch.undo()
    _, outcome = only(carry_out(sweep, tmp_path))
    assert outcome.state == "COMPLETE"


def test_memory_is_given_back_before_the_last_report(
    make_sweep: SweepMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    monkeypatch.setattr(trials, "give_back_memory", lambda: order.append("given back"))
    progress = planned_sweep(make_sweep(preprocess=(), recipe=replace(RECIPE, epochs=2)), Locations.of(str(tmp_path)))

    class Listening(InlineEngine):
        def train(self, jobs: Sequence[Job], listener: Listener) -> None:
            inner = listener.decide

            def decide(report: Report) -> bool:
                order.append(report.state)
                return inner(report)

            listener.decide = decide  # type: ignore[method-assign]
            super().train(jobs, listener)

    run(progress, Listening(), lambda line: None)
    assert order == ["RUNNING", "given back", "COMPLETE"]


def test_a_trial_that_is_given_no_gpu_asks_for_none(
    make_sweep: SweepMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: Any) -> Any:
        raise AssertionError("CUDA was asked")

    for name in ("empty_cache", "reset_peak_memory_stats", "synchronize", "current_device", "_lazy_init"):
        monkeypatch.setattr(torch.cuda, name, fail)
    trial, outcome = only(
        carry_out(make_sweep(preprocess=(), recipe=replace(RECIPE, epochs=1)), tmp_path, InlineEngine(gpus=0))
    )
    assert outcome.state == "COMPLETE"
    assert trial.metrics()["device"].tolist() == ["cpu"]


def test_a_trial_that_fits_in_no_memory_fails_with_the_reason(
    make_sweep: SweepMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_memory_for(monkeypatch, 1)
    _, outcome = only(carry_out(make_sweep(preprocess=(), recipe=RECIPE), tmp_path))
    assert outcome.state == "FAILED"
    assert "OutOfMemoryError: CUDA out of memory" in outcome.error


def test_the_score_is_that_of_the_augmented_predictions_and_the_epochs_scores_are_plain(
    make_sweep: SweepMaker, tmp_path: Path
) -> None:
    # With common random numbers both train alike.
    sweep = make_sweep(preprocess=(), recipe=replace(RECIPE, epochs=2), streams="common")
    plain = carry_out(sweep, tmp_path)
    progress = carry_out(replace(sweep, recipe=replace(sweep.recipe, tta="d4")), tmp_path)
    handle, outcome = only(progress)
    assert handle.metrics()["score"].tolist() == only(plain)[0].metrics()["score"].tolist()
    assert (handle.logits("val/2")[1] != only(plain)[0].logits("val/2")[1]).any()
    assert (handle.logits("test")[1] != only(plain)[0].logits("test")[1]).any()
    (read,) = read_results(progress.plan.locations.storage, progress.plan.sweep.name).tasks[0].trials
    assert read.scores["map"] == pytest.approx(outcome.score)


def test_weights_from_frequencies_are_those_of_the_trials_training_images(
    make_sweep: SweepMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []
    weigh = trials.label_weights

    def note(*args: Any) -> Tensor | None:
        seen.append(args[2])
        return weigh(*args)

    monkeypatch.setattr(trials, "label_weights", note)
    progress = carry_out(make_sweep(preprocess=(), recipe=replace(RECIPE, epochs=1, class_weights="inverse")), tmp_path)
    (task,) = progress.plan.tasks
    rows = (task.folds != 0) & (task.record.rows["split"] == "train").to_numpy()
    np.testing.assert_array_equal(seen[0].numpy(), task.record.targets[rows])
    assert only(progress)[1].state == "COMPLETE"


def test_cost_and_size_are_kept_and_the_last_epochs_cost_counts_the_views(
    make_sweep: SweepMaker, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, epochs=3, tta="d4", image_size=64)
    progress = carry_out(make_sweep(preprocess=(), recipe=recipe), tmp_path)
    table = only(progress)[0].metrics()
    model = build(progress.plan.trials[0].spec.backbone, 3, 3, 64, seed=0)
    assert set(table["parameters"]) == {sum(p.numel() for p in model.net.parameters())}
    plain, last = table["ms_per_image"].iloc[:-1].min(), table["ms_per_image"].iloc[-1]
    assert plain > 0
    assert last > 2 * plain  # eight views; a busy machine may slow either
