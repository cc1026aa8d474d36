"""The training loop in plain PyTorch: one result per epoch. Knows neither Ray nor the disk."""

import math
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from swath.backbones import Model
from swath.criteria import Criterion
from swath.dataset import Batch, Part, in_order, shuffled
from swath.errors import SwathError
from swath.recipe import Recipe

OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


class DivergedError(SwathError):
    """The training loss, or the model's output, is no longer a number."""


@dataclass(frozen=True)
class EpochResult:
    """What one epoch gave.

    Attributes:
        epoch: From 1.
        train_loss: Mean over the epoch's images, while training.
        val_loss: Mean over the validation images.
        val_logits: float16 [N, C], in the validation part's order.
        lr: Learning rate of the epoch's last step.
        seconds: Wall time, training and validation.
        images_per_s: Training images over training time.
        peak_memory_bytes: Of the device for a GPU; of the process, since it started, for a CPU.
    """

    epoch: int
    train_loss: float
    val_loss: float
    val_logits: NDArray[np.float16]
    lr: float
    seconds: float
    images_per_s: float
    peak_memory_bytes: int


class Trainer:
    """Trains one model; its whole state can be saved after any epoch and loaded into a new one.

    Args:
        model: The network and its normalisation.
        criterion: Loss of (logits, targets).
        recipe: Settings.
        seed: With the epoch number it decides the order of images and every draw in the epoch.
        device: Where to train.
    """

    def __init__(self, model: Model, criterion: Criterion, recipe: Recipe, seed: int, device: torch.device) -> None:
        self.net = model.net.to(device)
        self.criterion = criterion
        self.recipe = recipe
        self.seed = seed
        self.device = device
        self.optimizer = OPTIMIZERS[recipe.optimizer](
            self.net.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay
        )
        self._mean = torch.tensor(model.mean, device=device).view(1, -1, 1, 1) * 255
        self._std = torch.tensor(model.std, device=device).view(1, -1, 1, 1) * 255
        self.epoch = 0

    def state(self) -> dict[str, Any]:
        """Everything the next epoch depends on."""
        return {"epoch": self.epoch, "net": self.net.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch = state["epoch"]

    def run(self, train: Part, val: Part) -> Iterator[EpochResult]:
        """Train from the next epoch to the recipe's last, yielding after each.

        Raises:
            DivergedError: The loss is not finite, or what the model makes of the validation images is not; names
                the epoch, and the step.
        """
        while self.epoch < self.recipe.epochs:
            started = time.perf_counter()
            self.epoch += 1
            train_loss = self._train_epoch(train)
            trained = time.perf_counter() - started
            logits = self.predict(val)
            if not torch.isfinite(logits).all():
                raise DivergedError(
                    f"the validation logits are not all finite after epoch {self.epoch}: its last step broke the "
                    f"model. Lower the learning rate (lr={self.recipe.lr:g})."
                )
            yield EpochResult(
                epoch=self.epoch,
                train_loss=train_loss,
                val_loss=self._loss(logits, val),
                val_logits=logits.numpy().astype(np.float16),
                lr=self.optimizer.param_groups[0]["lr"],
                seconds=time.perf_counter() - started,
                images_per_s=len(train) / trained,
                peak_memory_bytes=self._peak_memory_bytes(),
            )

    def _train_epoch(self, part: Part) -> float:
        torch.manual_seed(int(np.random.SeedSequence([self.seed, self.epoch]).generate_state(1)[0]))
        self.net.train()
        total = 0.0
        for step, batch in enumerate(shuffled(part, self.recipe.batch_size, self.seed, self.epoch), start=1):
            images, targets = self._inputs(batch)
            loss = self.criterion(self.net(images), targets)
            value = loss.item()
            if not math.isfinite(value):
                raise DivergedError(
                    f"the training loss is {value} at epoch {self.epoch}, step {step}. "
                    f"Lower the learning rate (lr={self.recipe.lr:g}) or check the targets."
                )
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            total += value * len(images)
        return total / len(part)

    @torch.inference_mode()
    def predict(self, part: Part) -> Tensor:
        """Logits float32 [N, C] on the CPU, in the part's order."""
        self.net.eval()
        batches = in_order(part, max(self.recipe.batch_size, 32))
        return torch.cat([self.net(self._inputs(batch)[0]).float().cpu() for batch in batches])

    def _loss(self, logits: Tensor, part: Part) -> float:
        return float(self.criterion(logits, torch.from_numpy(part.targets.astype(np.float32))))

    def _inputs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        images = torch.from_numpy(batch[0]).to(self.device, non_blocking=True)
        targets = torch.from_numpy(batch[1]).to(self.device, non_blocking=True)
        # Subtracting and dividing on the 0..255 scale saves one pass over the batch.
        return (images.permute(0, 3, 1, 2).float() - self._mean) / self._std, targets

    def _peak_memory_bytes(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
