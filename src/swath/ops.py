"""Preprocessing ops as descriptions. A chain is a tuple of them: `(ops.Grayscale(), ops.Sharpen())`.

What each op does to pixels is in `swath.preprocess.apply`; this module needs the standard library only.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from swath.description import Description
from swath.registry import missing_attribute, unknown

INTERPOLATIONS = ("auto", "nearest", "linear", "cubic", "area", "lanczos")
ASPECTS = ("stretch", "pad", "crop")


@dataclass(frozen=True)
class Op(Description):
    """One step from image to image, uint8 in and out."""


@dataclass(frozen=True)
class Grayscale(Op):
    """Luma of ITU-R BT.601 (OpenCV's RGB2GRAY).

    `channels=1` feeds the model one channel (the first convolution is adapted, see `Backbone.stem`);
    `channels=3` repeats it, which tells the loss of colour apart from the loss of the pretrained stem.
    """

    name: ClassVar[str] = "grayscale"
    channels: Literal[1, 3] = 1

    def problems(self) -> list[str]:
        if self.channels in (1, 3):
            return []
        return [f"Grayscale(channels={self.channels!r}): allowed are 1 (one-channel input) and 3 (gray repeated)."]


@dataclass(frozen=True)
class Sharpen(Op):
    """The 3x3 kernel [0 -1 0; -1 5 -1; 0 -1 0] through `cv2.filter2D` on uint8 (saturating, border reflect-101)."""

    name: ClassVar[str] = "sharpen"


@dataclass(frozen=True)
class Resize(Op):
    """To `size_px` x `size_px`; the last op of every chain, added when a chain does not end in one.

    Attributes:
        size_px: Side of the result in pixels; 0 stands for the recipe's `image_size`.
        interpolation: One of auto, nearest, linear, cubic, area, lanczos. `auto` averages areas where the image
            shrinks and is cubic where it grows.
        aspect: `stretch` ignores the aspect ratio, `pad` keeps it and fills with black, `crop` keeps it and cuts
            the centre.
    """

    name: ClassVar[str] = "resize"
    size_px: int = 0
    interpolation: str = "auto"
    aspect: str = "stretch"

    def problems(self) -> list[str]:
        found = []
        if not isinstance(self.size_px, int) or not (self.size_px == 0 or 8 <= self.size_px <= 4096):
            found.append(f"Resize(size_px={self.size_px!r}): give a whole number of pixels from 8 to 4096.")
        if self.interpolation not in INTERPOLATIONS:
            found.append(unknown("interpolation of Resize", self.interpolation, INTERPOLATIONS))
        if self.aspect not in ASPECTS:
            found.append(unknown("aspect of Resize", self.aspect, ASPECTS))
        return found


OPS: dict[str, type[Op]] = {"Grayscale": Grayscale, "Sharpen": Sharpen, "Resize": Resize}


def finished(chain: Sequence[Op], size_px: int) -> tuple[Op, ...]:
    """The chain with its resize: the last op, at a known size.

    >>> [op.canonical() for op in finished((Sharpen(),), 64)]
    ['sharpen', 'resize(size_px=64)']
    """
    ops = tuple(chain)
    last = ops[-1] if ops and isinstance(ops[-1], Resize) else None
    body = ops[:-1] if last else ops
    resize = last or Resize()
    return (*body, replace(resize, size_px=resize.size_px or size_px))


def size_px(chain: Sequence[Op], image_size: int) -> int:
    """Side of the chain's result in pixels, for a recipe's `image_size`."""
    last = chain[-1] if chain else None
    return (last.size_px if isinstance(last, Resize) else 0) or image_size


def label(chain: Sequence[Op]) -> str:
    """Readable form, used on leaderboards: `raw`, `sharpen`, `grayscale|sharpen`."""
    return "|".join(op.canonical() if isinstance(op, Op) else repr(op) for op in chain if op != Resize()) or "raw"


def channels(chain: Sequence[Op]) -> int:
    """Channels of the chain's result: 1 or 3."""
    grays = [op.channels for op in chain if isinstance(op, Grayscale)]
    return grays[-1] if grays else 3


def chain_problems(chain: object) -> list[str]:
    """Sentences about what is not an op, ops out of range, and a resize that is not last."""
    if not isinstance(chain, tuple):
        return [f"preprocess={chain!r}: give a tuple of ops, e.g. (ops.Sharpen(),) or () for raw."]
    found = []
    for op in chain:
        if isinstance(op, Op):
            found += op.problems()
        else:
            found.append(unknown("op", op, OPS) + " Write it as a value, e.g. ops.Sharpen().")
    if any(isinstance(op, Resize) for op in chain[:-1]):
        found.append(f"preprocess={label(chain)}: Resize must be the last op of its chain.")
    return found


__getattr__ = missing_attribute("op", __name__, OPS)
