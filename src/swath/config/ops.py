"""Preprocessing ops as descriptions. A chain (`swath.config.chains`) is a tuple: `(ops.Grayscale(), ops.Sharpen())`.

What each op does to pixels is in `swath.preprocess.transforms`; this module needs the standard library only.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

from swath.config import releases
from swath.core.description import Description
from swath.core.registry import missing_attribute, unknown

INTERPOLATIONS = ("auto", "nearest", "linear", "cubic", "area", "lanczos")
ASPECTS = ("stretch", "pad", "crop")
CROPS = ("contour", "pad", "keep_ratio", "stretch")
BACKENDS = ("spandrel", "realesrgan")
SUPERRES_PRECISIONS = ("fp32", "fp16")


@dataclass(frozen=True)
class Op(Description):
    """One step from image to image, uint8 in and out.

    `expensive` ops need a model (`swath.models.image_models`); their results are kept, and chains start from them.
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

    def without_file(self) -> "Op":
        """The op without the place of its model file: that file's content identifies it instead."""
        return self

    def growth(self) -> float:
        """Pixels of the result for each pixel of the image, at most; what a disk must hold is estimated with it."""
        return 1.0


@dataclass(frozen=True)
class Hires(Op):
    """Start from the high-resolution version of an image (`hires_path` of the task's table); first op of its chain."""

    name: ClassVar[str] = "hires"


@dataclass(frozen=True)
class Both(Op):
    """Every training image twice, in low and in high resolution: "more data". First op of a train chain only.

    The two go through the rest of the chain alike. They have the same targets and share a group, so neither is ever
    trained on while the other validates; an epoch has twice the steps.
    """

    name: ClassVar[str] = "both"


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
        precision: Of the network, on every device: `fp32`; or `fp16`, several times as fast on a GPU, slow on a CPU,
            other pixels by a few 1/255.
    """

    name: ClassVar[str] = "superres"
    expensive: ClassVar[bool] = True
    scale: Literal[2, 4] = 4
    model: Literal["x4plus", "compact"] = "x4plus"
    weights: str = ""
    backend: Literal["spandrel", "realesrgan"] = "spandrel"
    precision: Literal["fp32", "fp16"] = "fp32"

    def canonical(self) -> str:
        """`superres(x4plus,2)`; a weight file by its name, and a backend or precision that is not the default."""
        file = _file_name(self.weights)
        notes = [str(self.model), str(self.scale)]
        notes += [f"weights={file}"] if file else []
        notes += [str(self.backend)] if self.backend != "spandrel" else []
        notes += [str(self.precision)] if self.precision != "fp32" else []
        return f"superres({','.join(notes)})"

    def weight_file(self, fold: int) -> str:
        return self.weights

    def weight_sha256(self) -> str:
        return "" if self.weights else releases.SUPERRES[self.model].sha256

    def growth(self) -> float:
        return self.scale**2

    def without_file(self) -> Op:
        return replace(self, weights="")

    def problems(self) -> list[str]:
        problems = []
        if isinstance(self.scale, bool) or self.scale not in (2, 4):
            swapped = isinstance(self.scale, str) and self.scale in releases.SUPERRES
            hint = f" The scale comes first: SuperRes(model={self.scale!r})." if swapped else ""
            problems.append(f"SuperRes(scale={self.scale!r}): allowed are 2 and 4.{hint}")
        if self.model not in releases.SUPERRES:
            problems.append(unknown("model of SuperRes", self.model, releases.SUPERRES))
        if not isinstance(self.weights, str):
            problems.append(f"SuperRes(weights={self.weights!r}): give the path of a model file as text.")
        if self.backend not in BACKENDS:
            problems.append(unknown("backend of SuperRes", self.backend, BACKENDS))
        if self.precision not in SUPERRES_PRECISIONS:
            problems.append(unknown("precision of SuperRes", self.precision, SUPERRES_PRECISIONS))
        return problems


@dataclass(frozen=True)
class Unsharp(Op):
    """Unsharp mask: `image + amount * (image - blurred)`, rounded and clipped to 0..255.

    `blurred` is `cv2.GaussianBlur` in float32 with sigma `radius`, kernel of 2 * ceil(3 * radius) + 1 pixels, border
    reflect-101. Where |image - blurred| is under `threshold` a channel's value stays as it is.

    Attributes:
        radius: Standard deviation of the blur in pixels, above 0 to 50.
        amount: How much of the difference is added, above 0 to 10; 1 doubles the detail.
        threshold: Smallest difference, 0 to 255, that is sharpened; 0 sharpens everything.
    """

    name: ClassVar[str] = "unsharp"
    radius: float = 1.0
    amount: float = 1.0
    threshold: float = 0.0

    def problems(self) -> list[str]:
        return _range_problems(self, radius=(0, 50, False), amount=(0, 10, False), threshold=(0, 255, True))


@dataclass(frozen=True)
class Clahe(Op):
    """Contrast-limited adaptive histogram equalisation (`cv2.createCLAHE`), of L in 8-bit CIELAB for colour images.

    Attributes:
        clip_limit: Height at which a tile's histogram is clipped, in multiples of its mean, above 0 to 100.
        tiles: The image is divided into `tiles` x `tiles`, 1 to 64.
    """

    name: ClassVar[str] = "clahe"
    clip_limit: float = 2.0
    tiles: int = 8

    def problems(self) -> list[str]:
        problems = _range_problems(self, clip_limit=(0, 100, False))
        if isinstance(self.tiles, bool) or not isinstance(self.tiles, int) or not 1 <= self.tiles <= 64:
            problems.append(f"Clahe(tiles={self.tiles!r}): give a whole number from 1 to 64.")
        return problems


def _range_problems(op: Op, **ranges: tuple[float, float, bool]) -> list[str]:
    """A sentence for each field that is no number from low to high; the flag says whether low itself is allowed."""
    problems = []
    for field, (low, high, closed) in ranges.items():
        value = getattr(op, field)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not low <= value <= high or (value == low and not closed):
            start = f"{low:g}" if closed else f"above {low:g}"
            problems.append(f"{type(op).__name__}({field}={value!r}): give a number from {start} to {high:g}.")
    return problems


@dataclass(frozen=True)
class Detect(Op):
    """Find the most confident object: what a `DetectCrop` begins with, done once for all its modes.

    No preprocessing of its own, for its results are objects; `swath.preprocess.cache.intermediates` puts it before
    each `DetectCrop`.

    Attributes:
        detector: As in `DetectCrop`, and the other fields too.
        confidence: Smallest score of a detection.
        classes: Names of the classes to look for; () is all.
    """

    name: ClassVar[str] = "detect"
    expensive: ClassVar[bool] = True
    detector: str = ""
    confidence: float = 0.25
    classes: tuple[str, ...] = ()

    def canonical(self) -> str:
        """`detect(birds)`: the detector's name, and what differs from the defaults."""
        other = Description.canonical(replace(self, detector="")).removeprefix(self.name).strip("()")
        return f"{self.name}({','.join(filter(None, (_file_name(self.detector), other)))})"

    def weight_file(self, fold: int) -> str:
        return _detector_file(self.detector, fold)

    def without_file(self) -> Op:
        return replace(self, detector="")

    def growth(self) -> float:
        return 0.0

    def problems(self) -> list[str]:
        return [f"{self.canonical()} finds objects and makes no images: write ops.DetectCrop(mode, detector)."]


def _file_name(path: str) -> str:
    """The last part of a path, whatever system wrote it."""
    return str(path).replace(chr(92), "/").rstrip("/").rsplit("/", 1)[-1]


def _detector_file(detector: str, fold: int) -> str:
    return str(Path(detector) / f"fold{fold}.pt") if Path(detector).is_dir() else detector


@dataclass(frozen=True)
class DetectCrop(Op):
    """Cut out, or mask, the most confident object that a detector finds; without one the image stays as it is.

    Attributes:
        mode: `contour` keeps the frame and fills what is outside the object's contour (GrabCut inside the box where
            the detector gives boxes only); `pad` puts the crop at its own size in the centre of a filled canvas as
            large as the image; `keep_ratio` enlarges the crop to the image's longer side and fills up to the square;
            `stretch` resizes it to that square.
        detector: A folder of detectors, one for each fold (`swath detect finetune`), or one .pt file for all. The
            content of the file, not its place, is part of the identity.
        fill: RGB of what is filled, 0 to 255 each; the neutral value is the gray that YOLO pads with.
        confidence: Smallest score of a detection, above 0 to 1.
        margin: Added to the box on each side, as a share of its own width or height, 0 to 2; not in mode `contour`.
        interpolation: Of `keep_ratio` and `stretch`, as in `Resize`.
        classes: Names of the classes to look for; () is all that the detector knows.
    """

    name: ClassVar[str] = "detect_crop"
    expensive: ClassVar[bool] = True
    mode: Literal["contour", "pad", "keep_ratio", "stretch"] = "pad"
    detector: str = ""
    fill: tuple[int, int, int] = (114, 114, 114)
    confidence: float = 0.25
    margin: float = 0.0
    interpolation: str = "auto"
    classes: tuple[str, ...] = ()

    def canonical(self) -> str:
        """`detect_crop(pad,birds)`: the mode, the detector's name, and what differs from the defaults."""
        rest = replace(self, mode="pad", detector="")
        other = Description.canonical(rest).removeprefix(self.name).strip("()")
        return f"{self.name}({','.join(filter(None, (str(self.mode), _file_name(self.detector), other)))})"

    def detect(self) -> Detect:
        """What of it is the detector's."""
        return Detect(self.detector, self.confidence, self.classes)

    def weight_file(self, fold: int) -> str:
        return _detector_file(self.detector, fold)

    def without_file(self) -> Op:
        return replace(self, detector="")

    def problems(self) -> list[str]:
        problems = []
        if self.mode not in CROPS:
            problems.append(unknown("mode of DetectCrop", self.mode, CROPS))
        if not isinstance(self.detector, str) or not self.detector:
            problems.append(
                f"DetectCrop(detector={self.detector!r}): give the folder that `swath detect finetune` has written, "
                "or a .pt file."
            )
        sound = isinstance(self.fill, tuple) and len(self.fill) == 3
        if not sound or not all(isinstance(v, int) and 0 <= v <= 255 for v in self.fill):
            problems.append(
                f"DetectCrop(fill={self.fill!r}): give red, green and blue, 0 to 255, e.g. (114, 114, 114)."
            )
        if not (isinstance(self.confidence, int | float) and 0 < self.confidence <= 1):
            problems.append(f"DetectCrop(confidence={self.confidence!r}): allowed is above 0 and at most 1.")
        if not (isinstance(self.margin, int | float) and 0 <= self.margin <= 2):
            problems.append(f"DetectCrop(margin={self.margin!r}): allowed is a share of the box from 0 to 2.")
        elif self.margin and self.mode == "contour":
            problems.append("DetectCrop(mode='contour', margin=...): a contour has no margin; drop one of them.")
        if self.interpolation not in INTERPOLATIONS:
            problems.append(unknown("interpolation of DetectCrop", self.interpolation, INTERPOLATIONS))
        if not isinstance(self.classes, tuple) or not all(isinstance(c, str) for c in self.classes):
            problems.append(f"DetectCrop(classes={self.classes!r}): give a tuple of names, e.g. ('bird',).")
        return problems


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
        problems = []
        if not isinstance(self.size_px, int) or not (self.size_px == 0 or 8 <= self.size_px <= 4096):
            problems.append(f"Resize(size_px={self.size_px!r}): give a whole number of pixels from 8 to 4096.")
        if self.interpolation not in INTERPOLATIONS:
            problems.append(unknown("interpolation of Resize", self.interpolation, INTERPOLATIONS))
        if self.aspect not in ASPECTS:
            problems.append(unknown("aspect of Resize", self.aspect, ASPECTS))
        return problems


OPS: dict[str, type[Op]] = {
    op.__name__: op for op in (Hires, Both, Grayscale, Sharpen, Unsharp, Clahe, Shrink, SuperRes, DetectCrop, Resize)
}

__getattr__ = missing_attribute("op", __name__, OPS)
