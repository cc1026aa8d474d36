"""Which training images validate: hold-out, stratified on labels at group level."""

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from swath.description import Description


@dataclass(frozen=True)
class Split(Description):
    """Base of the splits. A trial's training seed never changes a split."""

    @property
    def folds(self) -> int:
        """Number of folds; a hold-out has one."""
        return 1

    def validation_folds(self, targets: NDArray[np.uint8], groups: NDArray[np.int64]) -> NDArray[np.int64]:
        """For each training image the fold that validates on it, -1 where none does.

        Args:
            targets: [N, C], 0 or 1.
            groups: [N] group index from 0; images of one group get the same answer.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Holdout(Split):
    """One validation part.

    Attributes:
        fraction: Share of the groups that validate, above 0 and below 1.
        seed: Of the draw.
    """

    name: ClassVar[str] = "holdout"
    fraction: float = 0.2
    seed: int = 0

    def canonical(self) -> str:
        """`holdout(0.2,seed=0)`."""
        return f"holdout({self.fraction!r},seed={self.seed})"  # a key of the store: no two fractions may share it

    def problems(self) -> list[str]:
        found = []
        if not (isinstance(self.fraction, int | float) and 0 < self.fraction < 1):
            found.append(f"holdout({self.fraction!r}): give the share that validates, above 0 and below 1, e.g. 0.2.")
        if not isinstance(self.seed, int) or not 0 <= self.seed < 2**32:
            found.append(f"holdout(seed={self.seed!r}): allowed is a whole number from 0 to {2**32 - 1}.")
        return found

    def validation_folds(self, targets: NDArray[np.uint8], groups: NDArray[np.int64]) -> NDArray[np.int64]:
        chosen = stratified_half(targets, groups, self.fraction, self.seed)
        return np.where(chosen, 0, -1)


def stratified_half(
    targets: NDArray[np.uint8], groups: NDArray[np.int64], fraction: float, seed: int
) -> NDArray[np.bool_]:
    """A share of the images, iteratively stratified (Sechidis et al. 2011) over the labels of whole groups.

    A group carries a label when any of its images does; groups are what is drawn, so none is ever divided.

    Returns:
        bool [N], True for the drawn images; at least one group falls on each side.

    Raises:
        ValueError: Fewer than two groups.
    """
    from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit

    names, index = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"cannot split {len(names)} group(s) of images in two")
    carried = np.zeros((len(names), targets.shape[1]), np.uint8)
    np.maximum.at(carried, index, targets)
    if carried.shape[1] == 1:
        carried = np.hstack([carried, 1 - carried])  # the library takes two labels or more
    size = int(np.clip(round(fraction * len(names)), 1, len(names) - 1))
    splitter = MultilabelStratifiedShuffleSplit(n_splits=1, test_size=cast(Any, size), random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of rare labels; iterative stratification is for them
        _, drawn = next(splitter.split(np.zeros(len(names)), carried))
    chosen = np.zeros(len(names), bool)
    chosen[drawn] = True
    if chosen.all() or not chosen.any():  # the library may leave a side empty when labels are rarer than 1/fraction
        one = np.random.default_rng(seed).integers(len(names))
        chosen[one] = not chosen[one]
    return chosen[index]
