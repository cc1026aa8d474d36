"""Preprocessed images as fixed-size uint8 shards: the key, building a shard, the manifest. No Ray.

An entry is one chain applied to rows of one part (train or test) of a task's table. It is a folder `cache/<key>/` of
`.npy` shards [n, S, S, C], a receipt beside each finished shard, and a manifest, written last. Builders may run on
any machine and in any order; a killed build leaves its finished shards, and the next build does the rest.
"""

import io
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from swath.config import chains
from swath.config.ops import Op, Resize
from swath.core.description import digest
from swath.preprocess.cache.checksums import checksums, put
from swath.preprocess.cache.intermediates import ResultsReader, Step, StepResults, steps_of
from swath.preprocess.cache.manifest import (
    Manifest,
    ShardReceipt,
    ShardRecord,
    is_built,
    read_manifest,
    read_receipts,
    whole_receipts,
    write_manifest,
    write_receipt,
)
from swath.preprocess.chain_identity import Models, Weights, identity
from swath.preprocess.image_files import Image, UnreadableImageError, decode, planned_content
from swath.preprocess.transforms import apply
from swath.store.storage import Storage

SCHEMA = 3
SHARD_BYTES = 32 * 2**20


@dataclass(frozen=True)
class EntryPlan:
    """What an entry will hold.

    Attributes:
        part: `train` or `test`, for display.
        chain: The ops, the resize last.
        paths: Image files in table order.
        ids: Their ids.
        digests: Their content hashes (`contents.bytes_digest`); "" for a file that cannot be read.
        weights: Weight file of each op; () when none has any.
    """

    part: str
    chain: tuple[Op, ...]
    paths: tuple[str, ...]
    ids: tuple[str, ...]
    digests: tuple[str, ...]
    weights: tuple[Weights, ...] = ()

    @cached_property
    def key(self) -> str:
        """Hash of the chain with code versions and weights, the ids and the content of the images."""
        rows = digest([list(self.ids), list(self.digests)], 64)
        return digest({"schema": SCHEMA, "chain": identity(self.chain, self.weights), "rows": rows})

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(S, S, C)."""
        resize = self.chain[-1]
        if not isinstance(resize, Resize) or not resize.size_px:
            raise ValueError(f"chain {chains.ops_label(self.chain)} does not end in a resize of known size")
        return resize.size_px, resize.size_px, chains.channels(self.chain)

    @property
    def image_bytes(self) -> int:
        """Size of one preprocessed image."""
        return int(np.prod(self.image_shape))

    @property
    def bytes(self) -> int:
        """Size of the finished entry."""
        return len(self.ids) * self.image_bytes

    @property
    def shard_rows(self) -> int:
        """Images in a shard: about 32 MB, at most 1024 and at least 16."""
        return int(np.clip(SHARD_BYTES // self.image_bytes, 16, 1024))

    def images_in(self, numbers: Sequence[int]) -> int:
        """Number of images in some of the shards."""
        shards = self.shards()
        return sum(len(shards[number]) for number in numbers)

    def shards(self) -> list[range]:
        """The rows of each shard."""
        return [range(i, min(i + self.shard_rows, len(self.ids))) for i in range(0, len(self.ids), self.shard_rows)]

    def steps(self) -> list[Step]:
        """The chain's expensive ops, whose results are kept apart."""
        return steps_of(self.chain, self.weights)

    def describe(self) -> str:
        """`sharpen, train, 1,470 images at 64 px`; with `(lanczos, pad)` where the resize is not the default one."""
        size = self.image_shape[0]
        return f"{chains.ops_label(self.chain[:-1])}, {self.part}, {len(self.ids):,} images at {size} px{self._how()}"

    def _how(self) -> str:
        """What of the resize is not as by default."""
        resize, usual = self.chain[-1], Resize()
        assert isinstance(resize, Resize)
        pairs = ((resize.interpolation, usual.interpolation), (resize.aspect, usual.aspect))
        changed = [value for value, default in pairs if value != default]
        return f" ({', '.join(changed)})" if changed else ""


def _shard(number: int) -> str:
    return f"shard-{number:05d}"


def missing_shards(cache: Storage, plan: EntryPlan) -> list[int]:
    """Numbers of the shards without a receipt."""
    if is_built(cache, plan.key):
        return []
    names = set(cache.names(plan.key))
    return [i for i in range(len(plan.shards())) if f"{_shard(i)}.json" not in names]


@dataclass(frozen=True)
class ShardWork:
    """Shards of an entry that are to be built.

    Attributes:
        plan: The entry.
        before: Results of the chain's last expensive op; None starts from the image files.
    """

    plan: EntryPlan
    before: StepResults | None = None

    @property
    def key(self) -> str:
        """Of the entry."""
        return self.plan.key

    @property
    def needs_model(self) -> bool:
        """False: what comes after the last expensive op is cheap."""
        return False

    def describe(self) -> str:
        """As the entry."""
        return self.plan.describe()

    def images_in(self, numbers: Sequence[int]) -> int:
        """Number of images in some of the shards."""
        return self.plan.images_in(numbers)

    def build(self, cache: Storage, number: int, models: Models | None = None) -> int:  # noqa: ARG002
        """Build one shard; see `build_shard`."""
        return build_shard(cache, self.plan, number, self.before)


def build_shard(cache: Storage, plan: EntryPlan, number: int, before: StepResults | None = None) -> int:
    """Decode, preprocess and store one shard; a row that cannot be decoded is zero and named in the receipt.

    Args:
        cache: Where entries are built.
        plan: The entry.
        number: Of the shard.
        before: Results of the chain's last expensive op, where it has one.

    Returns:
        Number of images.

    Raises:
        StoreError: An image changed, or went away, since the plan was made; or the disk is full.
        DamagedError: A result of the expensive op is not what was written.
    """
    cv2.setNumThreads(1)  # parallelism is over shards; OpenCV's own threads would fight for the same cores
    rows = plan.shards()[number]
    images, file = _empty_npy(len(rows), plan.image_shape)
    bad: dict[str, str] = {}
    reader = ResultsReader(cache, before) if before else None
    done = max((i + 1 for i, op in enumerate(plan.chain) if op.expensive), default=0)
    for position, row in enumerate(rows):
        try:
            start = _start(plan, row, reader)
            images[position] = apply(start, plan.chain[done:])
        except UnreadableImageError as error:
            bad[plan.ids[row]] = str(error)
    data = file.data
    put(cache, f"{plan.key}/{_shard(number)}.npy", data)
    remarks = (
        Counter(before.notes[d] for d in (plan.digests[row] for row in rows) if d in before.notes) if before else {}
    )
    receipt = ShardReceipt(
        rows=len(rows), crc32=tuple(checksums(images)), bytes=len(data), bad=bad, notes=dict(remarks)
    )
    write_receipt(cache, plan.key, _shard(number), receipt)
    return len(rows)


def _empty_npy(rows: int, shape: tuple[int, ...]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Zero images [rows, *shape], and the `.npy` file that holds them: the same memory, header before.

    Fresh memory is a third of a shard's cost: `np.save` into a buffer takes three times as much.
    """
    header = io.BytesIO()
    form = {"descr": "|u1", "fortran_order": False, "shape": (rows, *shape)}
    np.lib.format.write_array_header_1_0(header, form)
    file = np.zeros(header.tell() + rows * math.prod(shape), np.uint8)
    file[: header.tell()] = np.frombuffer(header.getvalue(), np.uint8)
    return file[header.tell() :].reshape(rows, *shape), file


def _start(plan: EntryPlan, row: int, reader: ResultsReader | None) -> Image:
    if reader is None:
        return decode(planned_content(plan.paths[row], plan.digests[row]))
    if not plan.digests[row]:
        raise UnreadableImageError("could not be read")
    return reader.image(plan.digests[row])


def images_of(plan: EntryPlan, numbers: Sequence[int]) -> dict[str, str]:
    """Digest and path of the readable images in some of the shards, in row order."""
    shards = plan.shards()
    rows = [row for number in numbers for row in shards[number]]
    return {plan.digests[row]: plan.paths[row] for row in rows if plan.digests[row]}


def sweep_temporary(cache: Storage, key: str) -> None:
    """Remove the shards and packs a killed builder was writing; only for the one process that builds the key."""
    if cache.folder:
        for path in cache.file(key).glob(".[sp]*.tmp"):
            path.unlink(missing_ok=True)


def finish(cache: Storage, plan: EntryPlan) -> dict[str, str]:
    """Write the manifest from the receipts.

    Returns:
        Ids of the images that could not be decoded, and why.

    Raises:
        StoreError: A shard has no receipt.
    """
    names = [_shard(number) for number in range(len(plan.shards()))]
    receipts = whole_receipts(read_receipts(cache, plan.key, names, ShardReceipt), f"cache entry {plan.key}")
    manifest = Manifest(
        chain=chains.ops_label(plan.chain),
        part=plan.part,
        ids=plan.ids,
        image_shape=plan.image_shape,
        dtype="uint8",
        shards=tuple(
            ShardRecord(name=name, rows=receipt.rows, crc32=receipt.crc32, bytes=receipt.bytes)
            for name, receipt in zip(names, receipts, strict=True)
        ),
        bad={id_: reason for receipt in receipts for id_, reason in receipt.bad.items()},
        notes=dict(sum((Counter(receipt.notes) for receipt in receipts), Counter())),
    )
    write_manifest(cache, plan.key, manifest)
    return manifest.bad


def bad_images(cache: Storage, key: str) -> dict[str, str]:
    """Ids of an entry's images that could not be decoded, and why; {} while it is not finished."""
    manifest = read_manifest(cache, key)
    return manifest.bad if manifest else {}
