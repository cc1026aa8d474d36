"""Which training images validate: hold-out or k folds, stratified on labels at group level."""

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from swath.core.description import Description


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

    def _key(self, text: str) -> str:
        """A key of the store, where divided images stay as they are: code that divides otherwise has another key."""
        return text if self.version == 1 else f"{text[:-1]},version={self.version})"


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
        return self._key(f"holdout({self.fraction!r},seed={self.seed})")  # no two fractions may share a key

    def problems(self) -> list[str]:
        problems = []
        if not (isinstance(self.fraction, int | float) and 0 < self.fraction < 1):
            problems.append(
                f"holdout({self.fraction!r}): give the share that validates, above 0 and below 1, e.g. 0.2."
            )
        if not isinstance(self.seed, int) or not 0 <= self.seed < 2**32:
            problems.append(f"holdout(seed={self.seed!r}): allowed is a whole number from 0 to {2**32 - 1}.")
        return problems

    def validation_folds(self, targets: NDArray[np.uint8], groups: NDArray[np.int64]) -> NDArray[np.int64]:
        chosen = stratified_half(targets, groups, self.fraction, self.seed)
        return np.where(chosen, 0, -1)


@dataclass(frozen=True)
class KFold(Split):
    """Every training image validates in exactly one of k folds, so out-of-fold predictions cover them all.

    Attributes:
        k: Number of folds, 2 to 100; each trains on the other k - 1.
        seed: Of the draw.
    """

    name: ClassVar[str] = "kfold"
    k: int = 5
    seed: int = 0

    @property
    def folds(self) -> int:
        return self.k

    def canonical(self) -> str:
        """`kfold(5,seed=0)`."""
        return self._key(f"kfold({self.k},seed={self.seed})")

    def problems(self) -> list[str]:
        problems = []
        if not isinstance(self.k, int) or isinstance(self.k, bool) or not 2 <= self.k <= 100:
            problems.append(f"kfold({self.k!r}): give a whole number of folds from 2 to 100, e.g. 5.")
        if not isinstance(self.seed, int) or not 0 <= self.seed < 2**32:
            problems.append(f"kfold(seed={self.seed!r}): allowed is a whole number from 0 to {2**32 - 1}.")
        return problems

    def validation_folds(self, targets: NDArray[np.uint8], groups: NDArray[np.int64]) -> NDArray[np.int64]:
        return stratified_folds(targets, groups, self.k, self.seed)


@dataclass(frozen=True)
class Full(Split):
    """No image validates: a refit trains on every training image."""

    name: ClassVar[str] = "full"

    def canonical(self) -> str:
        """`full()`."""
        return "full()"

    def validation_folds(self, targets: NDArray[np.uint8], groups: NDArray[np.int64]) -> NDArray[np.int64]:  # noqa: ARG002
        return np.full(len(targets), -1)


def stratified_folds(targets: NDArray[np.uint8], groups: NDArray[np.int64], k: int, seed: int) -> NDArray[np.int64]:
    """The fold of each image, 0 to k - 1: iteratively stratified over the labels of whole groups.

    Raises:
        ValueError: Fewer groups than folds.
    """
    from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

    carried, index = _carried(targets, groups)
    if len(carried) < k:
        raise ValueError(f"cannot split {len(carried)} group(s) of images in {k} folds")
    splitter = MultilabelStratifiedKFold(n_splits=k, shuffle=True, random_state=seed)
    folds = np.empty(len(carried), np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as below
        for number, (_, drawn) in enumerate(splitter.split(np.zeros(len(carried)), carried)):
            folds[drawn] = number
    rng = np.random.default_rng(seed)
    for empty in sorted(set(range(k)) - set(folds.tolist())):  # possible with hardly more groups than folds
        fullest = np.bincount(folds, minlength=k).argmax()
        folds[rng.choice(np.flatnonzero(folds == fullest))] = empty
    return folds[index]


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

    carried, index = _carried(targets, groups)
    groups_there = len(carried)
    if groups_there < 2:
        raise ValueError(f"cannot split {groups_there} group(s) of images in two")
    size = int(np.clip(round(fraction * groups_there), 1, groups_there - 1))
    splitter = MultilabelStratifiedShuffleSplit(n_splits=1, test_size=cast(Any, size), random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of rare labels; iterative stratification is for them
        _, drawn = next(splitter.split(np.zeros(groups_there), carried))
    chosen = np.zeros(groups_there, bool)
    chosen[drawn] = True
    if chosen.all() or not chosen.any():  # the library may leave a side empty when labels are rarer than 1/fraction
        one = np.random.default_rng(seed).integers(groups_there)
        chosen[one] = not chosen[one]
    return chosen[index]


def _carried(targets: NDArray[np.uint8], groups: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Labels that each group carries, uint8 [G, 2 or more], and for each image the row of its group."""
    names, index = np.unique(groups, return_inverse=True)
    carried = np.zeros((len(names), targets.shape[1]), np.uint8)
    np.maximum.at(carried, index, targets)
    if carried.shape[1] == 1:
        carried = np.hstack([carried, 1 - carried])  # the library takes two labels or more
    return carried, index.astype(np.int64)
