"""Cached shards to batches. The order of images follows from (seed, epoch), so a resumed trial sees the same ones."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swath.preprocess.cache.reader import ImageRows

Batch = tuple[NDArray[np.uint8], NDArray[np.float32]]
Change = Callable[[NDArray[np.uint8], NDArray[np.int64]], NDArray[np.uint8]]
"""Images [B, S, S, C] and their positions in the part to changed images."""


@dataclass(frozen=True)
class Part:
    """The images of one part of a trial's data.

    Attributes:
        images: The cache entry they are in, or several joined.
        rows: [N] their rows in the entry.
        ids: [N] their ids.
        targets: uint8 [N, C].
    """

    images: ImageRows
    rows: NDArray[np.int64]
    ids: NDArray[np.str_]
    targets: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.rows)

    def between(self, start: int, end: int) -> "Part":
        """Some consecutive images of the part."""
        at = slice(start, end)
        return Part(self.images, self.rows[at], self.ids[at], self.targets[at])

    def batch(self, positions: NDArray[np.int64]) -> Batch:
        """Images uint8 [B, S, S, C] and targets float32 [B, classes]."""
        return self.images.take(self.rows[positions]), self.targets[positions].astype(np.float32)


def shuffled(
    part: Part,
    batch_size: int,
    seed: int,
    epoch: int,
    change: Change | None = None,
    needed: Callable[[NDArray[np.int64]], NDArray[np.int64]] | None = None,
) -> Iterator[Batch]:
    """Every image once, in an order that depends on (seed, epoch) only.

    Args:
        part: The images.
        batch_size: Of a batch, see `chunks`.
        seed: Training seed.
        epoch: From 1.
        change: What becomes of the images.
        needed: Which of a batch's positions in the part are wanted; None takes them all.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(part))
    for start, end in chunks(len(order), batch_size):
        positions = order[start:end] if needed is None else needed(order[start:end])
        images, targets = part.batch(positions)
        yield (images if change is None else change(images, positions)), targets


def chunks(images: int, size: int) -> list[tuple[int, int]]:
    """First and last (exclusive) position of each batch.

    A last batch of a single image joins the one before it: batch normalisation cannot train on one image.
    """
    starts = list(range(0, images, size))
    if len(starts) > 1 and images - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], images], strict=True))


def in_order(part: Part, batch_size: int) -> Iterator[Batch]:
    """Every image once, in the part's order."""
    for start in range(0, len(part), batch_size):
        yield part.batch(np.arange(start, min(start + batch_size, len(part))))


def ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches, each read and augmented in a thread while the one before it is in use."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch
