"""Mixing of training images within a batch, as descriptions: `mix=(mix.CutMix(),)`.

Of several one is drawn for each batch, all equally likely. What they do is in `swath.training.mix`.
"""

from dataclasses import dataclass
from typing import ClassVar

from swath.core.description import Description
from swath.core.registry import missing_attribute, unknown
from swath.core.validation import number, probability


@dataclass(frozen=True)
class Mix(Description):
    """Two images of a batch become one, and so do their labels.

    Attributes:
        alpha: The share of the first image is drawn from Beta(alpha, alpha) for each batch; 0.01 to 100. 1 is uniform.
        p: Probability that a batch is mixed at all, 0 to 1.
    """

    alpha: float = 1.0
    p: float = 1.0

    def problems(self) -> list[str]:
        return [*number(self, "alpha", 0.01, 100), *probability(self, "p")]


@dataclass(frozen=True)
class CutMix(Mix):
    """A rectangle of the second image replaces that of the first (Yun et al. 2019, arXiv 1905.04899).

    The first image's share of the label is 1 - area of the rectangle as far as it lies in the image / image area.
    """

    name: ClassVar[str] = "cutmix"


@dataclass(frozen=True)
class Mixup(Mix):
    """The weighted mean of both images (Zhang et al. 2018, arXiv 1710.09412)."""

    name: ClassVar[str] = "mixup"


MIXES: dict[str, type[Mix]] = {"CutMix": CutMix, "Mixup": Mixup}


def mix_problems(given: object) -> list[str]:
    """Sentences about a value that is no tuple of mixes, and about those out of range."""
    if not isinstance(given, tuple):
        return [f"Recipe(mix={given!r}): give a tuple, e.g. (mix.CutMix(),), or () for none."]
    problems = []
    for one in given:
        problems += one.problems() if isinstance(one, Mix) else [unknown("mix", one, MIXES) + " Write mix.CutMix()."]
    return problems


__getattr__ = missing_attribute("mix", __name__, MIXES)
