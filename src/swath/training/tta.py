"""Test-time augmentation: an image's logits as the mean over several views of it."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate


def mean_logits(net: nn.Module, images: Tensor, tta: str, sizes: tuple[int, ...]) -> Tensor:
    """Mean of the logits over all views, float32 [B, classes].

    Logits and not probabilities are averaged: logits are what is stored, and every link takes them.

    Args:
        net: The model.
        images: float [B, C, S, S], normalised.
        tta: `none`, `flip` (the image and its mirror image) or `d4` (the eight symmetries of the square).
        sizes: Sides in pixels that the images are resized to; () leaves them as they are.
    """
    total: Tensor | None = None
    count = 0
    for view in _views(images, tta, sizes):
        logits = net(view).float()
        total = logits if total is None else total + logits
        count += 1
    assert total is not None
    return total / count


def _views(images: Tensor, tta: str, sizes: tuple[int, ...]) -> Iterator[Tensor]:
    for size in sizes or (images.shape[-1],):
        yield from _symmetries(_resized(images, size), tta)


def _symmetries(images: Tensor, tta: str) -> Iterator[Tensor]:
    yield images
    if tta == "flip":
        yield images.flip(-1)
    if tta == "d4":
        for turns in range(4):
            turned = torch.rot90(images, turns, (-2, -1))
            if turns:
                yield turned
            yield turned.flip(-1)


def _resized(images: Tensor, size: int) -> Tensor:
    if images.shape[-1] == size:
        return images
    return interpolate(images, size=(size, size), mode="bilinear", antialias=True, align_corners=False)
