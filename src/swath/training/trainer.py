"""The training loop in plain PyTorch: one result per epoch. Knows neither Ray nor the disk."""

import contextlib
import math
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn

from swath.config.recipe import Recipe
from swath.core.errors import InputError, SwathError
from swath.models.backbones import Model, keep_fp32
from swath.training.augment import Augmenter, centre
from swath.training.dataset import Part, ahead, chunks, in_order, shuffled
from swath.training.distributed import Slice, WorkerGroup
from swath.training.early_stopping import BestEpochs, Weights
from swath.training.losses import Criterion
from swath.training.mix import Mixed, Step, draw_mixture
from swath.training.optimizers import LearningRate, load_optimizer, optimizer
from swath.training.tta import mean_logits

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
ALONE = WorkerGroup()
Score = Callable[[NDArray[np.float16], NDArray[np.uint8]], float]
"""The task's metric of logits and targets."""


@dataclass(frozen=True)
class Objective:
    """What is minimised, and what is measured.

    Attributes:
        loss: Of (logits, targets), on validation images.
        training_loss: The same on training images, where labels may be smoothed.
        linear: The training loss is linear in the targets, so a mixture of losses is the loss of the mixed targets.
        score: The task's metric; higher is better.
    """

    loss: Criterion
    training_loss: Criterion
    linear: bool
    score: Score


class DivergedError(SwathError):
    """The training loss, or the model's output, is no longer a number."""


@dataclass(frozen=True)
class EpochResult:
    """What one epoch gave.

    Attributes:
        epoch: From 1.
        train_loss: Mean over the epoch's images, while training.
        val_loss: Mean over the validation images.
        val_logits: float16 [N, C], in the validation part's order, without test-time augmentation.
        lr: Learning rate of the epoch's last step.
        seconds: Wall time, training and validation.
        images_per_s: Training images over training time.
        micro_batch: Images per pass through the model; below the recipe's batch after running out of memory.
        peak_memory_bytes: Of the device for a GPU; of the process, since it started, for a CPU.
        ms_per_image: Milliseconds to predict one validation image, in batches; without test-time augmentation.
        parameters: Of the model, whether they are trained or not.
    """

    epoch: int
    train_loss: float
    val_loss: float
    val_logits: NDArray[np.float16]
    lr: float
    seconds: float
    images_per_s: float
    peak_memory_bytes: int
    micro_batch: int
    ms_per_image: float
    parameters: int


class Trainer:
    """Trains one model; its whole state can be saved after any epoch and loaded into a new one.

    Args:
        model: The network and its normalisation.
        objective: What is minimised, and what is measured.
        recipe: Settings.
        seed: With the epoch number it decides the order of images and every draw in the epoch.
        device: Where to train.
        group: The workers that train this model together, each with a trainer of its own that is given the same.
        half_a: bool [validation images], those of half A; needed where the recipe stops early.

    Attributes:
        micro_batch: Images per pass through the model; smaller than the recipe's batch after running out of memory.
        best: The best epochs, where the recipe stops early.
        ms_per_image: Milliseconds that the last prediction took for one image; NaN before the first.

    Raises:
        InputError: The recipe freezes all but the head, and the model has no single one.
    """

    def __init__(
        self,
        model: Model,
        objective: Objective,
        recipe: Recipe,
        seed: int,
        device: torch.device,
        group: WorkerGroup = ALONE,
        half_a: NDArray[np.bool_] | None = None,
    ) -> None:
        self.net = model.net.to(device)
        if recipe.channels_last:
            self.net = self.net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        if model.head and recipe.precision in AUTOCAST:
            keep_fp32(self.net.get_submodule(model.head))
        self.objective = objective
        self.recipe = recipe
        self.seed = seed
        self.device = device
        self.group = group
        self.optimizer = optimizer(self.net, recipe)
        self.learning_rate = LearningRate(self.optimizer, recipe)
        self.ema = ModelEmaV3(self.net, decay=recipe.ema_decay, use_warmup=True) if recipe.ema_decay else None
        self._scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "fp16")
        self._mean = torch.tensor(model.mean, device=device).view(1, -1, 1, 1) * 255
        self._std = torch.tensor(model.std, device=device).view(1, -1, 1, 1) * 255
        self._body = _body(model, self.net) if recipe.freeze_epochs else []
        self._head = model.head
        self.best = BestEpochs(recipe.early_stop, half_a) if recipe.early_stop and half_a is not None else None
        self.micro_batch = recipe.batch_size
        self.ms_per_image = math.nan
        self.epoch = 0
        self.steps = 0

    @property
    def ended(self) -> bool:
        """True when there is no epoch left to train."""
        return self.epoch >= self.recipe.epochs or (self.best is not None and self.best.stopped)

    def state(self) -> dict[str, Any]:
        """Everything the next epoch depends on."""
        return {
            "epoch": self.epoch,
            "steps": self.steps,
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "learning_rate": self.learning_rate.state(),
            "scaler": self._scaler.state_dict(),
            "ema": self.ema.module.state_dict() if self.ema else {},
            "best": self.best.state() if self.best else {},
            "micro_batch": self.micro_batch,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.net.load_state_dict(state["net"])
        load_optimizer(self.optimizer, state["optimizer"])
        self.learning_rate.load(state["learning_rate"])
        self._scaler.load_state_dict(state["scaler"])
        if self.ema:
            self.ema.module.load_state_dict(state["ema"])
        if self.best:
            self.best.load(state["best"])
        self.micro_batch = state["micro_batch"]
        self.epoch = state["epoch"]
        self.steps = state["steps"]

    def run(self, train: Part, val: Part) -> Iterator[EpochResult]:
        """Train from the next epoch to the recipe's last, or until it stops early, yielding after each.

        Raises:
            DivergedError: The loss is not finite, or what the model makes of the validation images is not; names
                the epoch, and the step.
        """
        augmenter = Augmenter(self.recipe.augment, self.recipe.side_px, len(train), self.seed)
        while not self.ended:
            started = time.perf_counter()
            self.epoch += 1
            train_loss = self._train_epoch(train, augmenter)
            trained = time.perf_counter() - started
            logits = self.predict(val)
            if not torch.isfinite(logits).all():
                raise DivergedError(
                    f"the validation logits are not all finite after epoch {self.epoch}: its last step broke the "
                    f"model. Lower the learning rate (lr={self.recipe.lr:g})."
                )
            val_loss, kept = self._loss(logits, val.targets), logits.numpy().astype(np.float16)
            lr = self.learning_rate.value
            self._note(logits, kept, val)
            yield EpochResult(
                epoch=self.epoch,
                train_loss=train_loss,
                val_loss=val_loss,
                val_logits=kept,
                lr=lr,
                seconds=time.perf_counter() - started,
                images_per_s=len(train) / trained,
                peak_memory_bytes=self._peak_memory_bytes(),
                micro_batch=self.micro_batch,
                ms_per_image=self.ms_per_image,
                parameters=sum(p.numel() for p in self.net.parameters()),
            )

    def _note(self, logits: Tensor, kept: NDArray[np.float16], val: Part) -> None:
        """Give the epoch's result to the schedule and the early stopping."""

        def measured(watch: str, rows: NDArray[np.bool_]) -> float:
            if watch == "score":
                return self.objective.score(kept[rows], val.targets[rows])
            return self._loss(logits[torch.from_numpy(rows)], val.targets[rows])

        if self.learning_rate.watches:
            everything = np.ones(len(val), bool)
            self.learning_rate.after_epoch(measured(self.learning_rate.watches, everything))
        if self.best and self.recipe.early_stop:
            self.best.see(self.epoch, partial(measured, self.recipe.early_stop.watch), self._weights)

    def _weights(self) -> Weights:
        return {k: v.detach().cpu().clone() for k, v in self._predictor.state_dict().items()}

    @property
    def _predictor(self) -> nn.Module:
        return self.ema.module if self.ema else self.net

    @contextlib.contextmanager
    def with_weights(self, weights: Weights) -> Iterator[None]:
        """Predict with these weights inside the block."""
        previous = self._weights()
        self._predictor.load_state_dict(weights)
        try:
            yield
        finally:
            self._predictor.load_state_dict(previous)

    def _train_epoch(self, part: Part, augmenter: Augmenter) -> float:
        # Each worker draws its own dropout masks; with one worker they are drawn for the whole batch.
        entropy = [self.seed, self.epoch, *([self.group.rank] if self.group.rank else [])]
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))
        self._set_mode()
        size = self.recipe.batch_size * self.recipe.accumulation
        steps = chunks(len(part), size)
        total = 0.0
        batches = shuffled(part, size, self.seed, self.epoch, augmenter.of_epoch(self.epoch), self._needed)
        if self.device.type != "cpu":  # on a CPU the thread would only take turns with the model
            batches = ahead(batches)
        for step, ((images, targets), (start, end)) in enumerate(zip(batches, steps, strict=True), start=1):
            self.learning_rate.before_step(self.steps, len(steps))
            mixture = draw_mixture(self.recipe.mix, len(images), images.shape[1], self.seed, self.epoch, step)
            total += self._step(Step(images, targets, mixture), end - start, step) * (end - start)
        return total / len(part)

    def _set_mode(self) -> None:
        self.net.train()
        if not self.recipe.freeze_epochs:
            return
        frozen = self.epoch <= self.recipe.freeze_epochs
        for parameter in self._body:
            parameter.requires_grad_(not frozen)
        if frozen:  # neither do batch statistics move
            self.net.eval()
            self.net.get_submodule(self._head).train()

    def _slices(self, images: int) -> list[Slice]:
        """This worker's share of each pass through the model, for a step of so many images."""
        return [self.group.share(start, end) for start, end in chunks(images, self.micro_batch)]

    @property
    def _has_whole_steps(self) -> bool:
        return self.group.size == 1 or bool(self.recipe.mix)

    def _needed(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """The images of a step that this worker must have: its shares, or all where any two may be mixed."""
        if self._has_whole_steps:
            return positions
        return np.concatenate([positions[s.start : s.end] for s in self._slices(len(positions))])

    def _step(self, batch: Step, images: int, step: int) -> float:
        """One step of the optimizer; the mean loss of its images.

        Args:
            batch: What `_needed` chose.
            images: Number of images in the step, of all workers.
            step: From 1.
        """
        self.optimizer.zero_grad(set_to_none=True)
        behind, total = 0, 0.0
        for share in self._slices(images):
            start = share.start if self._has_whole_steps else behind
            behind += len(share)
            with self.group.batch_statistics(share):
                loss = self._training_loss(batch.part(start, start + len(share), self._inputs))
            loss = loss * (len(share) / images if share.counts else 0.0)
            total += loss.item()
            self._scaler.scale(loss).backward()
        total = self.group.sum_gradients(self.net.parameters(), total)
        if not math.isfinite(total):
            raise DivergedError(
                f"the training loss is {total} at epoch {self.epoch}, step {step}. "
                f"Lower the learning rate (lr={self.recipe.lr:g}) or check the targets."
            )
        if self.recipe.clip_norm:
            self._scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.recipe.clip_norm)
        self._scaler.step(self.optimizer)
        self._scaler.update()
        self.steps += 1
        if self.ema:
            self.ema.update(self.net, step=self.steps)
        return total

    def _training_loss(self, batch: Mixed) -> Tensor:
        """Labels of a mixture count by their share: share L(a) + (1 - share) L(b)."""
        with self._autocast():
            logits = self.net(batch.images)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        loss = self.objective.training_loss
        if batch.others is None:
            return loss(logits, batch.targets)
        share = batch.share
        if self.objective.linear:
            return loss(logits, share * batch.targets + (1 - share) * batch.others)
        return share * loss(logits, batch.targets) + (1 - share) * loss(logits, batch.others)

    @torch.no_grad()  # not inference mode: BEiT keeps index tensors of its first pass, and trains with them later
    def predict(self, part: Part, tta: bool = False) -> Tensor:
        """Logits float32 [N, C] on the CPU, in the part's order; with `tta` those of the recipe's augmented views.

        Each worker computes its share, and all have all of them.
        """
        if not len(part):  # a refit has no validation images
            return torch.zeros(part.targets.shape)
        started = time.perf_counter()
        net = self._predictor
        net.eval()
        mode, sizes = (self.recipe.tta, self.recipe.tta_sizes) if tta else ("none", ())
        logits = []
        mine = self.group.share(0, len(part))
        size = max(self.recipe.batch_size, 32) * self.micro_batch // self.recipe.batch_size
        for images, targets in in_order(part.between(mine.start, mine.end), max(1, size)):
            whole = images if sizes else centre(images, self.recipe.side_px)
            with self._autocast():
                logits.append(mean_logits(net, self._inputs(whole, targets)[0], mode, sizes).cpu())
        gathered = self.group.gathered(torch.cat(logits), len(part), self.device)
        self.ms_per_image = 1000 * (time.perf_counter() - started) / len(part)
        return gathered

    def _loss(self, logits: Tensor, targets: NDArray[np.uint8]) -> float:
        if not len(targets):
            return math.nan
        on = self.device
        return float(self.objective.loss(logits.to(on), torch.from_numpy(targets.astype(np.float32)).to(on)))

    def _autocast(self) -> torch.autocast:
        kind = AUTOCAST.get(self.recipe.precision)
        return torch.autocast(self.device.type, dtype=kind, enabled=kind is not None)

    def _inputs(self, pixels: NDArray[Any], labels: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
        """What the model takes of images uint8 [B, S, S, C] or features [B, F], and targets, on the device."""
        images = torch.from_numpy(pixels).to(self.device, non_blocking=True)
        targets = torch.from_numpy(labels).to(self.device, non_blocking=True)
        if images.ndim == 2:  # features
            return images, targets
        # Subtracting and dividing on the 0..255 scale saves one pass over the batch.
        return (images.permute(0, 3, 1, 2).float() - self._mean) / self._std, targets

    def _peak_memory_bytes(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _body(model: Model, net: nn.Module) -> list[nn.Parameter]:
    """The parameters outside the head that learn."""
    if not model.head:
        raise InputError("freeze_epochs needs a model with one head; this one has none or several. Set it to 0.")
    head = set(map(id, net.get_submodule(model.head).parameters()))
    return [p for p in net.parameters() if p.requires_grad and id(p) not in head]
