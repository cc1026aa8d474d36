"""Mixing the images of a batch, on its device."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from swath.config.mix import CutMix, Mix

_KEY = 0x317  # tells these draws apart from others that follow from the seed and the epoch


@dataclass(frozen=True)
class Mixed:
    """A batch whose images are mixtures of two.

    Attributes:
        images: float [B, C, S, S].
        targets: float [B, classes] of the first images.
        others: The same of the second images, or None when nothing was mixed.
        share: Of the first images' labels, 0 to 1.
    """

    images: Tensor
    targets: Tensor
    others: Tensor | None = None
    share: float = 1.0

    def __len__(self) -> int:
        return len(self.images)

    def part(self, start: int, end: int) -> "Mixed":
        """Some of its images."""
        others = None if self.others is None else self.others[start:end]
        return Mixed(self.images[start:end], self.targets[start:end], others, self.share)


def mixed(mixes: tuple[Mix, ...], images: Tensor, targets: Tensor, seed: int, epoch: int, step: int) -> Mixed:
    """The batch after one of the mixes; every draw follows from (seed, epoch, step).

    Args:
        mixes: One of them is drawn; none changes nothing.
        images: [B, C, S, S].
        targets: [B, classes], 0 or 1.
        seed: Training seed.
        epoch: From 1.
        step: From 1.
    """
    if not mixes:
        return Mixed(images, targets)
    rng = np.random.default_rng([seed, epoch, step, _KEY])
    mix = mixes[rng.integers(len(mixes))]
    if rng.random() >= mix.p:
        return Mixed(images, targets)
    share = float(rng.beta(mix.alpha, mix.alpha))
    second = torch.from_numpy(rng.permutation(len(images))).to(images.device)
    if not isinstance(mix, CutMix):
        return Mixed(share * images + (1 - share) * images[second], targets, targets[second], share)
    side = images.shape[-1]
    top, bottom = _cut(side, share, rng)
    left, right = _cut(side, share, rng)
    images = images.clone()
    images[:, :, top:bottom, left:right] = images[second, :, top:bottom, left:right]
    return Mixed(images, targets, targets[second], 1 - (bottom - top) * (right - left) / side**2)


def _cut(side: int, share: float, rng: np.random.Generator) -> tuple[int, int]:
    """Where a rectangle of 1 - share of the area begins and ends along one side; its centre is anywhere in it."""
    half = int(side * math.sqrt(1 - share)) // 2
    centre = int(rng.integers(side))
    return max(0, centre - half), min(side, centre + half)
