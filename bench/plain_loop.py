"""What swath is measured against on a GPU: a training loop as one would tune it by hand, on images that lie on the GPU.

Batches are gathered on the device, autocast, channels-last weights, a fused optimizer, cuDNN chooses its kernels by
trial, nothing waits for the device inside an epoch. Not compiled: swath does not compile either.
"""

import contextlib
import time
from collections.abc import Iterator

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

PRECISIONS = {"bf16": torch.bfloat16, "fp32": None}


class PlainLoop:
    """Trains and validates one network.

    Args:
        model: Its timm name.
        images: uint8 [N, S, S, 3].
        targets: uint8 [N, C].
        trains: bool [N], which images train; the others validate.
        batch: Images of a step.
        precision: `bf16` or `fp32`.
        symmetries: Each image of a step is one of the eight symmetries of itself.
        device: Where to train.
    """

    def __init__(
        self,
        model: str,
        images: NDArray[np.uint8],
        targets: NDArray[np.uint8],
        trains: NDArray[np.bool_],
        *,
        batch: int,
        precision: str,
        symmetries: bool,
        device: torch.device,
    ) -> None:
        net = timm.create_model(model, pretrained=False, num_classes=targets.shape[1])
        self._net: nn.Module = net.to(device).to(memory_format=torch.channels_last)
        self._optimizer = torch.optim.AdamW(self._net.parameters(), lr=1e-3, fused=device.type == "cuda")
        self._images = torch.from_numpy(images).to(device)
        self._targets = torch.from_numpy(targets).float().to(device)
        self._train, self._val = (torch.from_numpy(np.flatnonzero(rows)).to(device) for rows in (trains, ~trains))
        self._batch, self._precision, self._symmetries, self._device = batch, precision, symmetries, device

    def epoch(self) -> tuple[float, float]:
        """Seconds of training, and of predicting the validation images."""
        with _fastest_kernels():
            started = self._now()
            self._train_epoch()
            trained = self._now()
            self._predict()
            return trained - started, self._now() - trained

    def _train_epoch(self) -> None:
        self._net.train()
        total = torch.zeros((), device=self._device)
        order = self._train[torch.randperm(len(self._train), device=self._device)]
        for rows in order.split(self._batch):
            self._optimizer.zero_grad(set_to_none=True)
            with self._autocast():
                logits = self._net(self._inputs(rows, self._symmetries))
            loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), self._targets[rows])
            loss.backward()
            self._optimizer.step()
            total += loss.detach()
        total.item()

    @torch.no_grad()
    def _predict(self) -> Tensor:
        self._net.eval()
        with self._autocast():
            return torch.cat([self._net(self._inputs(rows, False)) for rows in self._val.split(self._batch)]).cpu()

    def _inputs(self, rows: Tensor, symmetries: bool) -> Tensor:
        pixels = self._images[rows].permute(0, 3, 1, 2)
        if symmetries:
            pixels = _one_of_eight(pixels)
        return (pixels.float() - 127.5) / 58.0

    def _autocast(self) -> torch.autocast:
        kind = PRECISIONS[self._precision]
        return torch.autocast(self._device.type, dtype=kind, enabled=kind is not None)

    def _now(self) -> float:
        synchronize(self._device)
        return time.perf_counter()


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _one_of_eight(pixels: Tensor) -> Tensor:
    def changed(other: Tensor) -> Tensor:
        chosen = torch.rand(len(pixels), 1, 1, 1, device=pixels.device) < 0.5
        return torch.where(chosen, other, pixels)

    pixels = changed(pixels.flip(-1))
    pixels = changed(pixels.flip(-2))
    return changed(pixels.transpose(-1, -2))


@contextlib.contextmanager
def _fastest_kernels() -> Iterator[None]:
    """As one sets it for speed; afterwards as it was."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    kernels = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = True, False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic, warn_only=warns)
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = kernels
