"""Average precision to choose by: of many candidates on the same images, quickly.

On many images scores are binned by their odds, 32 bins to a factor of two: no sorting, within .002 of the exact value,
and counts of parts of the images add up, so that every fold of a cross-fit is scored from one reading. What is
reported of a choice is exact (`swath.core.metrics.average_precision`).
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
SORTED = 1000
"""Images up to which sorting costs less than binning."""
_DROPPED_BITS = 18  # of the 23 of a float32's mantissa; leaves 32 bins to a factor of two
_OCTAVES = 16  # odds from 2^-16 to 2^16
_BINS = 2 * _OCTAVES * 32
_HIGHEST = (int(np.float32(1).view(np.int32)) >> _DROPPED_BITS) + _BINS // 2 - 1


def sorted_average_precision(targets: NDArray[np.uint8], p: NDArray[np.floating]) -> Floats:
    """[C] average precision of probabilities [N, C], equal ones ranked in the images' order."""
    order = np.argsort(-p, axis=0, kind="stable")
    gains = np.take_along_axis(targets, order, axis=0)
    precision = gains.cumsum(axis=0) / np.arange(1, len(p) + 1)[:, None]
    positives = gains.sum(axis=0)
    return np.where(positives > 0, (precision * gains).sum(axis=0) / np.maximum(positives, 1), np.nan)


def binned_average_precision(targets: NDArray[np.uint8], p: NDArray[np.floating]) -> Floats:
    """[C] average precision of probabilities [N, C], those of one bin taken as equal."""
    return average_precision_of(*counts(np.flatnonzero(targets), p))


def counts(positives: NDArray[np.int64], p: NDArray[np.floating], block: NDArray[np.int64] | None = None) -> Counts:
    """Images and positives in each bin, the bin of the highest scores first.

    Args:
        positives: Where the flattened [N, C] targets are 1.
        p: Probabilities [N, C].
        block: [N] number of the block of images that each is counted in; None counts all in one.

    Returns:
        [2, C, bins], or [2, blocks, C, bins].
    """
    classes = p.shape[1]
    odds = np.subtract(1, p, dtype=np.float32)
    np.divide(p, np.maximum(odds, np.float32(2.0**-_OCTAVES), out=odds), out=odds, casting="same_kind")
    bins = odds.view(np.int32)
    bins >>= _DROPPED_BITS
    np.clip(np.subtract(_HIGHEST, bins, out=bins), 0, _BINS - 1, out=bins)
    bins += np.arange(classes, dtype=np.int32) * np.int32(_BINS)
    shape: tuple[int, ...] = (classes, _BINS)
    if block is not None:
        bins += (block * (classes * _BINS)).astype(np.int32)[:, None]
        shape = (int(block.max()) + 1, *shape)
    flat, size = bins.reshape(-1), int(np.prod(shape))
    return np.stack([np.bincount(at, minlength=size).reshape(shape) for at in (flat, flat[positives])])


def average_precision_of(retrieved: Counts, gains: Counts) -> Floats:
    """[..., C] average precision from the images and the positives in each bin, [..., C, bins]."""
    found = gains.cumsum(axis=-1)
    precision = found / np.maximum(retrieved.cumsum(axis=-1), 1)
    positives = found[..., -1]
    return np.where(positives > 0, (precision * gains).sum(axis=-1) / np.maximum(positives, 1), np.nan)
