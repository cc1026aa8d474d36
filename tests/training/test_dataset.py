import threading
from collections.abc import Iterator
from itertools import chain

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from swath.config.ops import Resize
from swath.preprocess.cache.entry import EntryPlan, build_shard, finish
from swath.preprocess.cache.reader import CachedImages, open_entry
from swath.store.file_hashes import file_digest
from swath.store.storage import Storage
from swath.training.dataset import Batch, Part, ahead, in_order, shuffled

ENTRY = 60


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> CachedImages:
    """Sixty images of 8 x 8; every pixel of image i is i."""
    folder = tmp_path_factory.mktemp("images")
    for i in range(ENTRY):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((8, 8, 3), i, np.uint8))
    ids = tuple(map(str, range(ENTRY)))
    paths = tuple(str(folder / f"{i}.png") for i in ids)
    plan = EntryPlan("train", (Resize(8),), paths, ids, tuple(map(file_digest, paths)))
    cache = Storage(str(folder / "cache"))
    for number in range(len(plan.shards())):
        build_shard(cache, plan, number)
    assert finish(cache, plan) == {}
    return open_entry(cache, plan.key, None)


def part_of(images: CachedImages, rows: NDArray[np.int64]) -> Part:
    """The targets of row r are the bits of r, so a batch tells whether images and targets belong together."""
    return Part(images, rows, rows.astype(str), ((rows[:, None] >> np.arange(6)) & 1).astype(np.uint8))


def rows_of(batches: list[Batch]) -> list[list[int]]:
    """Row numbers by batch, read from the pixels, after a check against the targets."""
    found = []
    for pixels, targets in batches:
        assert pixels.dtype == np.uint8
        assert targets.dtype == np.float32
        assert pixels.shape == (len(targets), 8, 8, 3)
        assert (pixels == pixels[:, :1, :1, :1]).all()
        rows = pixels[:, 0, 0, 0].astype(int)
        np.testing.assert_array_equal(targets @ (1 << np.arange(6)), rows)
        found.append(rows.tolist())
    return found


@pytest.mark.parametrize("batch_size", [2, 7, 8, 59, 100])
@pytest.mark.parametrize("count", [1, 2, 9, 50])
def test_every_image_comes_once_and_no_batch_but_an_only_one_holds_a_single_image(
    images: CachedImages, count: int, batch_size: int
) -> None:
    rows = np.random.default_rng(count).permutation(ENTRY)[:count]
    batches = rows_of(list(shuffled(part_of(images, rows), batch_size, seed=1, epoch=1)))
    assert sorted(chain.from_iterable(batches)) == sorted(rows.tolist())
    sizes = [len(b) for b in batches]
    assert all(size == batch_size for size in sizes[:-1])
    assert count == 1 or min(sizes) >= 2
    assert sizes[-1] <= batch_size + 1


def test_a_trailing_image_joins_the_batch_before_it(images: CachedImages) -> None:
    part = part_of(images, np.arange(9))
    assert [len(b) for b in rows_of(list(shuffled(part, 4, 0, 1)))] == [4, 5]
    assert [len(b) for b in rows_of(list(shuffled(part, 8, 0, 1)))] == [9]
    assert [len(b) for b in rows_of(list(shuffled(part_of(images, np.arange(10)), 4, 0, 1)))] == [4, 4, 2]


def test_the_order_depends_on_seed_and_epoch_only(images: CachedImages) -> None:
    part = part_of(images, np.arange(50))

    def order(seed: int, epoch: int, batch_size: int = 8) -> list[int]:
        return list(chain.from_iterable(rows_of(list(shuffled(part, batch_size, seed, epoch)))))

    first = order(0, 3)
    np.random.default_rng().random(5)
    np.random.seed(1)
    assert order(0, 3) == first
    assert order(0, 3, batch_size=5) == first
    others = [order(0, 4), order(1, 3), order(3, 0), list(range(50))]
    assert all(sum(a == b for a, b in zip(first, other, strict=True)) < 10 for other in others)


def test_in_order_keeps_the_parts_order_and_every_image(images: CachedImages) -> None:
    rows = np.array([5, 3, 59, 0, 16, 15, 40])
    part = part_of(images, rows)
    assert rows_of(list(in_order(part, 3))) == [[5, 3, 59], [0, 16, 15], [40]]
    assert rows_of(list(in_order(part, 7))) == [rows.tolist()]
    assert len(part) == 7
    assert list(in_order(part_of(images, np.array([], np.int64)), 3)) == []


def test_batches_made_ahead_are_the_same_and_so_are_their_errors(images: CachedImages) -> None:
    part = part_of(images, np.arange(50))
    assert rows_of(list(ahead(shuffled(part, 8, 0, 1)))) == rows_of(list(shuffled(part, 8, 0, 1)))
    assert list(ahead(iter([]))) == []

    def damaged() -> Iterator[Batch]:
        yield next(in_order(part, 8))
        raise OSError("the disk is gone")

    found = ahead(damaged())
    assert rows_of([next(found)]) == [list(range(8))]
    with pytest.raises(OSError, match="the disk is gone"):
        next(found)
    left = ahead(in_order(part, 8))
    next(left)
    left.close()  # an epoch that ends in an error leaves no thread behind
    assert not [t for t in threading.enumerate() if "ThreadPoolExecutor" in t.name]
