"""Paired differences between trials, the unit of all that is said of effects."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PairedDifferences:
    """Paired differences between trials, each a replicate of some cell of the grid.

    Attributes:
        weights: [U, T] what each trial counts in each difference: +1 and -1 of a pair.
        cells: [U] number of the combination of the other factors' levels.
        levels: [U, F] their level numbers, for the factors that vary among these differences.
        folds: [U] fold.
        strata: [U] number of the backbone, or of the pair of backbones, behind a difference.
        streams: [U] number of the random numbers behind a difference; those of one number may err together.
    """

    weights: Floats
    cells: NDArray[np.int64]
    levels: NDArray[np.int64]
    folds: NDArray[np.int64]
    strata: NDArray[np.int64]
    streams: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def blocks(self) -> NDArray[np.int64]:
        """[U] number of the cell and fold of each difference; those of one block differ by the seed alone."""
        return np.unique(np.stack([self.cells, self.folds], axis=1), axis=0, return_inverse=True)[1].reshape(-1)

    @property
    def shares(self) -> Floats:
        """[U] what each difference counts in the mean: blocks alike, and within a block its seeds alike."""
        blocks = self.blocks
        sizes = np.bincount(blocks)
        return 1 / (len(sizes) * sizes[blocks])

    @property
    def independent(self) -> bool:
        """True where no two differences share random numbers."""
        return len(np.unique(self.streams)) == len(self)


def contrast(units: PairedDifferences) -> Floats:
    """[T] the mean of the differences as weights of the trials."""
    return units.shares @ units.weights
