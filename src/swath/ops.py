"""Preprocessing ops as descriptions. A chain is a tuple of them: `(ops.Grayscale(), ops.Sharpen())`.

What each op does to pixels is in `swath.preprocess.apply`; this module needs the standard library only.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from swath import releases
from swath.description import Description
from swath.registry import missing_attribute, unknown

INTERPOLATIONS = ("auto", "nearest", "linear", "cubic", "area", "lanczos")
ASPECTS = ("stretch", "pad", "crop")
BACKENDS = ("spandrel", "realesrgan")


@dataclass(frozen=True)
class Op(Description):
    """One step from image to image, uint8 in and out.

    `expensive` ops need a model (`swath.image_models`); their results are kept, and chains start from them.
    """

    expensive: ClassVar[bool] = False

    def weight_file(self, fold: int) -> str:
        """Path of the model file this op needs on that fold; "" for none, or for the official release."""
        return ""

    def weight_sha256(self) -> str:
        """Hash of the official release that stands in when there is no weight file; "" where there is none.

        The op's identity holds this, or the SHA-256 of the weight file's content: a file given by path and the same
        file downloaded are one op.
        """
        return ""


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
class Shrink(Op):
    """Areas averaged until the longer side has `longest_px` pixels; a smaller image stays as it is.

    `--smoke` puts it before super-resolution, whose cost grows with the number of pixels.

    Attributes:
        longest_px: Most pixels of the longer side of the result, 1 to 4096.
    """

    name: ClassVar[str] = "shrink"
    longest_px: int = 64

    def canonical(self) -> str:
        return f"shrink({self.longest_px})"

    def problems(self) -> list[str]:
        if isinstance(self.longest_px, int) and 1 <= self.longest_px <= 4096:
            return []
        return [f"Shrink(longest_px={self.longest_px!r}): give a whole number of pixels from 1 to 4096."]


@dataclass(frozen=True)
class SuperRes(Op):
    """Super-resolution by Real-ESRGAN (Wang et al., ICCVW 2021, arXiv:2107.10833).

    Attributes:
        scale: 4, or 2: the network's x4 result with blocks of 2x2 pixels averaged (OpenCV's INTER_AREA).
        model: `x4plus`, an RRDBNet for photographs (64 MB, 16.7 million parameters), or `compact`, the
            SRVGGNetCompact realesr-animevideov3 (2.4 MB, some thirty times faster, smoother).
        weights: A file (.pth, .safetensors) for that architecture; "" is the official release, downloaded once
            and checked. Its content, not its place, is part of the identity.
        backend: `spandrel`, or `realesrgan`: the original package (extra `realesrgan`), which gives the same pixels.
    """

    name: ClassVar[str] = "superres"
    expensive: ClassVar[bool] = True
    scale: Literal[2, 4] = 4
    model: Literal["x4plus", "compact"] = "x4plus"
    weights: str = ""
    backend: Literal["spandrel", "realesrgan"] = "spandrel"

    def canonical(self) -> str:
        """`superres(x4plus,2)`; a weight file by its name, a backend other than spandrel by its."""
        file = str(self.weights).replace(chr(92), "/").rsplit("/", 1)[-1]
        notes = [str(self.model), str(self.scale)]
        notes += [f"weights={file}"] if file else []
        notes += [str(self.backend)] if self.backend != "spandrel" else []
        return f"superres({','.join(notes)})"

    def weight_file(self, fold: int) -> str:
        return self.weights

    def weight_sha256(self) -> str:
        return "" if self.weights else releases.SUPERRES[self.model].sha256

    def problems(self) -> list[str]:
        found = []
        if isinstance(self.scale, bool) or self.scale not in (2, 4):
            swapped = isinstance(self.scale, str) and self.scale in releases.SUPERRES
            hint = f" The scale comes first: SuperRes(model={self.scale!r})." if swapped else ""
            found.append(f"SuperRes(scale={self.scale!r}): allowed are 2 and 4.{hint}")
        if self.model not in releases.SUPERRES:
            found.append(unknown("model of SuperRes", self.model, releases.SUPERRES))
        if not isinstance(self.weights, str):
            found.append(f"SuperRes(weights={self.weights!r}): give the path of a model file as text.")
        if self.backend not in BACKENDS:
            found.append(unknown("backend of SuperRes", self.backend, BACKENDS))
        return found


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


OPS: dict[str, type[Op]] = {op.__name__: op for op in (Grayscale, Sharpen, Shrink, SuperRes, Resize)}


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
