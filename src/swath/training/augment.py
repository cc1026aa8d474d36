"""Augmentation descriptions to what they do to pixels: uint8 arrays on the CPU, one image after the other.

The draws for an image follow from (seed, epoch, position of the image in its part): neither the batch it comes in
nor what was trained before changes them.
"""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from swath.config import augment
from swath.core.registry import Registry

if TYPE_CHECKING:  # loads for seconds, and only where images are changed
    from albumentations.core.composition import TransformType

Pixels = NDArray[np.uint8]
Change = Callable[[Pixels, int], Pixels]
"""An image [S, S, C] and a seed to a changed image."""
_KEY = 0xA06  # tells these draws apart from others that follow from the seed and the epoch


class Augmenter:
    """Augments the images of a training part.

    Args:
        ops: The augmentations, in order.
        size_px: Side of the result; what is larger after the last op loses its borders.
        images: Number of images in the part.
        seed: Training seed.
    """

    def __init__(self, ops: tuple[augment.Augmentation, ...], size_px: int, images: int, seed: int) -> None:
        self._changes = _changes(ops, size_px)
        self._size_px = size_px
        self._images = images
        self._seed = seed

    def of_epoch(self, epoch: int) -> Callable[[Pixels, NDArray[np.int64]], Pixels]:
        """The change of one epoch: of images [B, S, S, C] and their positions in the part."""
        if not self._changes:
            return lambda images, _: centre(images, self._size_px)
        seeds = np.random.SeedSequence([self._seed, epoch, _KEY]).generate_state(self._images)

        def augmented(images: Pixels, positions: NDArray[np.int64]) -> Pixels:
            return np.stack([self._one(image, int(seeds[at])) for image, at in zip(images, positions, strict=True)])

        return augmented

    def _one(self, image: Pixels, seed: int) -> Pixels:
        for change in self._changes:
            image = change(image, seed)
        return centre(image, self._size_px)


def centre(images: Pixels, size_px: int) -> Pixels:
    """The central square of images [..., S, S, C]; they stay as they are when they are no larger, or are features."""
    if images.ndim < 3 or images.shape[-2] <= size_px:
        return images
    start = (images.shape[-2] - size_px) // 2
    return images[..., start : start + size_px, start : start + size_px, :]


def _changes(ops: tuple[augment.Augmentation, ...], size_px: int) -> list[Change]:
    """One change for each run of neighbours that albumentations can do at once, and for each other op."""
    changes: list[Change] = []
    run: list[TransformType] = []
    for op in ops:
        made = CHANGES[op.name](op, size_px)
        if isinstance(made, list):
            run += made
            continue
        changes += [_composed(run)] if run else []
        changes.append(made)
        run = []
    return changes + ([_composed(run)] if run else [])


def _composed(transforms: "list[TransformType]") -> Change:
    from albumentations import Compose

    compose = Compose(transforms)

    def change(image: Pixels, seed: int) -> Pixels:
        # One stream for all: set_random_seed would give every transform the same, so that flips go together.
        compose.set_random_state(np.random.default_rng(seed), random.Random(seed))
        return compose(image=image)["image"]

    return change


def _hflip(op: augment.HorizontalFlip, size_px: int) -> "list[TransformType]":
    import albumentations

    return [albumentations.HorizontalFlip(p=op.p)]


def _vflip(op: augment.VerticalFlip, size_px: int) -> "list[TransformType]":
    import albumentations

    return [albumentations.VerticalFlip(p=op.p)]


def _transpose(op: augment.Transpose, size_px: int) -> "list[TransformType]":
    import albumentations

    return [albumentations.Transpose(p=op.p)]


def _rotate90(op: augment.Rotate90, size_px: int) -> "list[TransformType]":
    import albumentations

    return [albumentations.RandomRotate90(p=op.p)]


def _color_jitter(op: augment.ColorJitter, size_px: int) -> "list[TransformType]":
    import albumentations

    def around_one(amount: float) -> tuple[float, float]:
        return (max(0.0, 1 - amount), 1 + amount)

    return [
        albumentations.ColorJitter(
            brightness=around_one(op.brightness),
            contrast=around_one(op.contrast),
            saturation=around_one(op.saturation),
            hue=(-op.hue, op.hue),
            p=op.p,
        )
    ]


def _random_resized_crop(op: augment.RandomResizedCrop, size_px: int) -> "list[TransformType]":
    import albumentations

    return [
        albumentations.RandomResizedCrop(
            size=(size_px, size_px), scale=op.scale, ratio=op.ratio, area_for_downscale="image"
        )
    ]


def _random_crop(op: augment.RandomCrop, size_px: int) -> "list[TransformType]":
    import albumentations
    import cv2

    pad = [albumentations.Pad(op.padding_px, border_mode=cv2.BORDER_REFLECT_101)] if op.padding_px else []
    return [*pad, albumentations.RandomCrop(size_px, size_px)]


def _coarse_dropout(op: augment.CoarseDropout, size_px: int) -> "list[TransformType]":
    import albumentations

    side = (op.size / 2, op.size)
    return [
        albumentations.CoarseDropout(
            num_holes_range=(1, op.holes), hole_height_range=side, hole_width_range=side, fill=0, p=op.p
        )
    ]


def _rand_augment(op: augment.RandAugment, size_px: int) -> Change:
    import torch
    from torchvision.transforms import v2

    transform = v2.RandAugment(op.num_ops, op.magnitude)

    def change(image: Pixels, seed: int) -> Pixels:
        # It draws from torch's generator of the CPU, which dropout there uses too: seeded for this image, and put
        # back. torch.manual_seed would seed the GPUs' generators as well.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            changed = transform(torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))))
        return changed.numpy().transpose(1, 2, 0)

    return change


CHANGES: Registry[Callable[[Any, int], Any]] = Registry(
    "augmentation",
    {
        "hflip": _hflip,
        "vflip": _vflip,
        "transpose": _transpose,
        "rotate90": _rotate90,
        "color_jitter": _color_jitter,
        "random_resized_crop": _random_resized_crop,
        "random_crop": _random_crop,
        "coarse_dropout": _coarse_dropout,
        "rand_augment": _rand_augment,
    },
)
"""Description and the recipe's image_size to a transform of albumentations, or to a Change."""
