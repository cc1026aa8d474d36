"""Augmentations of training images as descriptions: `augment=(augment.HorizontalFlip(), augment.Transpose())`.

They act on single uint8 images in the order given, with draws that follow from (seed, epoch, image). What each does
to pixels is in `swath.training.augment`; this module needs the standard library only.
"""

from dataclasses import dataclass
from typing import ClassVar

from swath.core.description import Description
from swath.core.registry import missing_attribute, unknown
from swath.core.validation import number, probability, span, whole


@dataclass(frozen=True)
class Augmentation(Description):
    """One random change of a training image, uint8 in and out."""


@dataclass(frozen=True)
class _Sometimes(Augmentation):
    """A change that is made with probability `p`, 0 to 1, and has no other parameter."""

    p: float = 0.5

    def problems(self) -> list[str]:
        return probability(self, "p")


@dataclass(frozen=True)
class HorizontalFlip(_Sometimes):
    """Left becomes right, with probability `p`."""

    name: ClassVar[str] = "hflip"


@dataclass(frozen=True)
class VerticalFlip(_Sometimes):
    """Top becomes bottom, with probability `p`."""

    name: ClassVar[str] = "vflip"


@dataclass(frozen=True)
class Transpose(_Sometimes):
    """Rows become columns, with probability `p`.

    With both flips at one half each, all eight symmetries of the square are equally likely.
    """

    name: ClassVar[str] = "transpose"


@dataclass(frozen=True)
class Rotate90(_Sometimes):
    """With probability `p` turned by 0, 90, 180 or 270 degrees, equally likely."""

    name: ClassVar[str] = "rotate90"
    p: float = 1.0


@dataclass(frozen=True)
class ColorJitter(Augmentation):
    """Brightness, contrast, saturation and hue changed at random, in random order (torchvision's ColorJitter).

    Attributes:
        brightness: Factor from [1 - x, 1 + x], x 0 or more; below 0 is cut off.
        contrast: The same for contrast.
        saturation: The same for saturation; gray images have none.
        hue: Shift from [-x, x] of the colour circle, x 0 to 0.5.
        p: Probability, 0 to 1.
    """

    name: ClassVar[str] = "color_jitter"
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = 0.05
    p: float = 0.5

    def problems(self) -> list[str]:
        factors = ("brightness", "contrast", "saturation")
        problems = [problem for field in factors for problem in number(self, field, 0, 10)]
        return [*problems, *number(self, "hue", 0, 0.5), *probability(self, "p")]


@dataclass(frozen=True)
class RandAugment(Augmentation):
    """RandAugment, Cubuk et al. 2020 (arXiv 1909.13719), as in torchvision: random geometry and colour operations.

    Attributes:
        num_ops: Operations on each image, 1 to 10.
        magnitude: Their strength, 0 to 30.
    """

    name: ClassVar[str] = "rand_augment"
    num_ops: int = 2
    magnitude: int = 9

    def problems(self) -> list[str]:
        return [*whole(self, "num_ops", 1, 10), *whole(self, "magnitude", 0, 30)]


@dataclass(frozen=True)
class RandomResizedCrop(Augmentation):
    """A part of random area and aspect ratio, resized to the recipe's `image_size` (Szegedy et al. 2015).

    Attributes:
        scale: Lowest and highest share of the image's area, above 0 up to 1.
        ratio: Lowest and highest width over height, 0.1 to 10.
    """

    name: ClassVar[str] = "random_resized_crop"
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (0.75, 4 / 3)

    def problems(self) -> list[str]:
        return [*span(self, "scale", 0.01, 1), *span(self, "ratio", 0.1, 10)]


@dataclass(frozen=True)
class RandomCrop(Augmentation):
    """A random square of the recipe's `image_size`, at the scale of the image.

    Needs room: either the chain's result is larger than `image_size` (`Resize(size_px=...)`), or `padding_px`.

    Attributes:
        padding_px: Pixels that are mirrored onto every side first, 0 to 512.
    """

    name: ClassVar[str] = "random_crop"
    padding_px: int = 0

    def problems(self) -> list[str]:
        return whole(self, "padding_px", 0, 512)


@dataclass(frozen=True)
class CoarseDropout(Augmentation):
    """Black rectangles (DeVries and Taylor 2017, arXiv 1708.04552; Zhong et al. 2017, arXiv 1708.04896).

    Attributes:
        holes: Most rectangles in an image, 1 to 100; at least one.
        size: Largest side of a rectangle as a share of the image's, above 0 up to 1; the smallest is half of it.
        p: Probability, 0 to 1.
    """

    name: ClassVar[str] = "coarse_dropout"
    holes: int = 1
    size: float = 0.3
    p: float = 0.5

    def problems(self) -> list[str]:
        return [*whole(self, "holes", 1, 100), *number(self, "size", 0.01, 1), *probability(self, "p")]


AUGMENTATIONS: dict[str, type[Augmentation]] = {
    kind.__name__: kind
    for kind in (
        HorizontalFlip,
        VerticalFlip,
        Transpose,
        Rotate90,
        ColorJitter,
        RandAugment,
        RandomResizedCrop,
        RandomCrop,
        CoarseDropout,
    )
}


def augment_problems(given: object) -> list[str]:
    """Sentences about a value that is no tuple of augmentations, and about those out of range."""
    if not isinstance(given, tuple):
        return [f"Recipe(augment={given!r}): give a tuple, e.g. (augment.HorizontalFlip(),), or () for none."]
    problems = []
    for op in given:
        if isinstance(op, Augmentation):
            problems += op.problems()
        else:
            problems.append(unknown("augmentation", op, AUGMENTATIONS) + " Write it as a value of swath.augment.")
    return problems


__getattr__ = missing_attribute("augmentation", __name__, AUGMENTATIONS)
