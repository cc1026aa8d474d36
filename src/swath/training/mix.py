"""Mixing the images of a step: drawn for all of them, carried out on the device for some at a time."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from swath.config.mix import CutMix, Mix

_KEY = 0x317  # tells these draws apart from others that follow from the seed and the epoch

ToDevice = Callable[[NDArray[Any], NDArray[np.float32]], tuple[Tensor, Tensor]]
"""Images and targets as they come from the cache, to what the model takes, on its device."""


@dataclass(frozen=True)
class Mixed:
    """Images that are mixtures of two.

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


@dataclass(frozen=True)
class Mixture:
    """How the images of a step are mixed.

    Attributes:
        second: [B] for each image the one that is mixed into it.
        share: Of the first images' labels, 0 to 1; of their pixels, too, where there is no patch.
        patch: Rows and columns that come from the second images, or None.
    """

    second: NDArray[np.int64]
    share: float
    patch: tuple[slice, slice] | None

    def of(self, images: Tensor, targets: Tensor, second: Tensor, others: Tensor) -> Mixed:
        """Mixtures of first and second images [B, C, S, S] with their targets [B, classes]."""
        if self.patch is None:
            return Mixed(self.share * images + (1 - self.share) * second, targets, others, self.share)
        images = images.clone()
        images[:, :, *self.patch] = second[:, :, *self.patch]
        return Mixed(images, targets, others, self.share)


@dataclass(frozen=True)
class Step:
    """The images of one step, as they come from the cache: what lies on the device is a part of them at a time.

    Attributes:
        images: uint8 [B, S, S, C], or features float32 [B, F].
        targets: float32 [B, classes].
        mixture: How they are mixed; None leaves them as they are.
    """

    images: NDArray[Any]
    targets: NDArray[np.float32]
    mixture: Mixture | None

    def part(self, start: int, end: int, to_device: ToDevice) -> Mixed:
        """Some of the images, mixed with any others of the step."""
        images, targets = to_device(self.images[start:end], self.targets[start:end])
        if self.mixture is None:
            return Mixed(images, targets)
        at = self.mixture.second[start:end]
        return self.mixture.of(images, targets, *to_device(self.images[at], self.targets[at]))


def draw_mixture(mixes: tuple[Mix, ...], images: int, side: int, seed: int, epoch: int, step: int) -> Mixture | None:
    """What one of the mixes does to a step; every draw follows from (seed, epoch, step).

    Args:
        mixes: One of them is drawn; none changes nothing.
        images: Number of images in the step.
        side: Of the images, in pixels.
        seed: Training seed.
        epoch: From 1.
        step: From 1.
    """
    if not mixes:
        return None
    rng = np.random.default_rng([seed, epoch, step, _KEY])
    mix = mixes[rng.integers(len(mixes))]
    if rng.random() >= mix.p:
        return None
    share = float(rng.beta(mix.alpha, mix.alpha))
    second = rng.permutation(images)
    if not isinstance(mix, CutMix):
        return Mixture(second, share, None)
    top, bottom = _cut(side, share, rng)
    left, right = _cut(side, share, rng)
    patch = slice(top, bottom), slice(left, right)
    return Mixture(second, 1 - (bottom - top) * (right - left) / side**2, patch)


def _cut(side: int, share: float, rng: np.random.Generator) -> tuple[int, int]:
    """Where a rectangle of 1 - share of the area begins and ends along one side; its centre is anywhere in it."""
    half = int(side * math.sqrt(1 - share)) // 2
    centre = int(rng.integers(side))
    return max(0, centre - half), min(side, centre + half)
