"""Results of expensive ops, kept as PNG and found by the content of the image they were made from. No Ray, no torch.

A step is an expensive op with all that comes before it in its chain. Its folder `cache/<key>/` holds packs of results
(`pack-<hash>.parquet`: digest of the image file, PNG) and a receipt beside each pack, written after it. Any chain that
begins with the step starts from them, whatever table, part or split its images belong to; packs only ever get more.

Before a `DetectCrop` stands a step of its `Detect`, whose results are objects as JSON: all its modes crop by them.
"""

import io
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from swath.config.chains import ops_label
from swath.config.ops import Detect, DetectCrop, Hires, Op
from swath.core.description import digest
from swath.core.errors import DamagedError
from swath.preprocess.cache.checksums import Written, put
from swath.preprocess.cache.manifest import PackReceipt, read_receipts, write_receipt
from swath.preprocess.chain_identity import NO_WEIGHTS, Models, Weights, identity
from swath.preprocess.image_files import Image, UnreadableImageError, as_rgb, decode, planned_content
from swath.preprocess.transforms import apply
from swath.store.parquet import read_table
from swath.store.storage import Storage

SCHEMA = 1
PACK_IMAGES = 32
"""Results in a pack: what a killed worker loses at most, half a minute of a slow model on a CPU."""
_PACKS_HELD = 4  # packs whose PNGs a reader keeps: neighbouring rows lie in neighbouring packs


@dataclass(frozen=True)
class Step:
    """An expensive op and the ops before it.

    Attributes:
        chain: Those ops, the expensive one last. `Hires` is left out: it says which files, not what is done to them.
        weights: Of each op.
        start: How many of the ops the step before this one has done.
    """

    chain: tuple[Op, ...]
    weights: tuple[Weights, ...]
    start: int

    @cached_property
    def key(self) -> str:
        """Hash of the ops with code versions and weights; which images there are results of is no part of it."""
        return digest({"schema": SCHEMA, "step": identity(self.chain, self.weights)})

    @property
    def model(self) -> tuple[Op, str]:
        """The expensive op and its weight file."""
        return self.chain[-1], self.weights[-1].file

    @property
    def finds(self) -> bool:
        """True if its results are objects in images, which the next step crops by, and no images."""
        return isinstance(self.chain[-1], Detect)

    @property
    def needs_model(self) -> bool:
        """False where the step before has done what takes a model."""
        return not isinstance(self.chain[-1], DetectCrop)

    def growth(self) -> float:
        """Pixels of a result for each pixel of the image file, at most."""
        return float(np.prod([op.growth() for op in self.chain]))


def steps_of(chain: Sequence[Op], weights: Sequence[Weights]) -> list[Step]:
    """The steps of a chain, in order; none for a chain without expensive ops."""
    pairs = [(op, weights[i] if weights else NO_WEIGHTS) for i, op in enumerate(chain) if not isinstance(op, Hires)]
    ops, op_weights = tuple(op for op, _ in pairs), tuple(weight for _, weight in pairs)
    steps, start = [], 0
    for i, op in enumerate(ops):
        if isinstance(op, DetectCrop):
            steps.append(Step((*ops[:i], op.detect()), op_weights[: i + 1], start))
        if op.expensive:
            steps.append(Step(ops[: i + 1], op_weights[: i + 1], start))
            start = i + 1
    return steps


@dataclass(frozen=True)
class StepResults:
    """What there is of a step.

    Attributes:
        key: Of the step.
        packs: Name to what was written.
        pack_of: Digest of an image file to the pack its result is in.
        bad: Digest of an image file that cannot be decoded to the reason.
        notes: Digest of an image file to what the model remarked on it ("nothing detected: the full image").
    """

    key: str
    packs: dict[str, Written]
    pack_of: dict[str, str]
    bad: dict[str, str]
    notes: dict[str, str]

    def __contains__(self, image: str) -> bool:
        return image in self.pack_of or image in self.bad


def read_results(cache: Storage, key: str) -> StepResults:
    """What there is of a step now: all its receipts."""
    names = [n.removesuffix(".json") for n in cache.names(key) if n.startswith("pack-") and n.endswith(".json")]
    results = StepResults(key, packs={}, pack_of={}, bad={}, notes={})
    for name, receipt in zip(names, read_receipts(cache, key, names, PackReceipt), strict=True):
        if receipt is None:  # removed a moment ago
            continue
        results.packs[name] = Written(f"{name}.parquet", receipt.bytes, receipt.crc32)
        results.pack_of.update(dict.fromkeys(receipt.images, name))
        results.bad.update(receipt.bad)
        results.notes.update(receipt.notes)
    return results


class ResultsReader:
    """Results of a step, decoded.

    Args:
        cache: Where they are.
        results: What there is.
    """

    def __init__(self, cache: Storage, results: StepResults) -> None:
        self._cache = cache
        self._results = results
        self._held: OrderedDict[str, dict[str, bytes]] = OrderedDict()

    def image(self, image: str) -> Image:
        """The result of the image file with this digest.

        Raises:
            UnreadableImageError: The image file could not be decoded.
            DamagedError: The pack is not what was written.
        """
        return from_png(self.content(image))

    def content(self, image: str) -> bytes:
        """The same as it is kept; raises the same."""
        if image in self._results.bad:
            raise UnreadableImageError(self._results.bad[image])
        name = self._results.pack_of[image]
        if name not in self._held:
            self._held[name] = self._read(name)
            if len(self._held) > _PACKS_HELD:
                self._held.popitem(last=False)
        return self._held[name][image]

    def _read(self, name: str) -> dict[str, bytes]:
        key, written = self._results.key, self._results.packs[name]
        data = self._cache.read_or_none(f"{key}/{written.name}")
        if data is None or not written.is_in(data):
            self._cache.delete(f"{key}/{name}.json")
            raise DamagedError(f"{written.name} of {key} in {self._cache.root} is not what was written")
        table = read_table(data)
        return dict(zip(*(column.to_pylist() for column in table.columns), strict=True))


@dataclass(frozen=True)
class PackWork:
    """Results of a step that are to be made, in packs.

    Attributes:
        step: The step.
        images: Path and digest of each image file.
        before: Results of the step that its images come from; None starts from the files.
        found: Objects in those images, where the step crops by them.
    """

    step: Step
    images: tuple[tuple[str, str], ...]
    before: StepResults | None
    found: StepResults | None = None

    @property
    def key(self) -> str:
        """Of the step."""
        return self.step.key

    @property
    def needs_model(self) -> bool:
        """True if the step has one of its own."""
        return self.step.needs_model

    def describe(self) -> str:
        """`superres(x4plus,4), 1,470 images`."""
        return f"{ops_label(self.step.chain)}, {len(self.images):,} images"

    def pieces(self) -> list[range]:
        """Positions of the images in each pack."""
        count = len(self.images)
        return [range(i, min(i + PACK_IMAGES, count)) for i in range(0, count, PACK_IMAGES)]

    def build(self, cache: Storage, number: int, models: Models) -> int:
        """Make one pack.

        Returns:
            Number of images.

        Raises:
            StoreError: An image changed or went away, or a pack of the step before is damaged.
        """
        cv2.setNumThreads(1)  # parallelism is over packs
        pack = [self.images[i] for i in self.pieces()[number]]
        prepared, bad = self._prepared(cache, pack)
        results, notes = self._results(cache, prepared, models)
        earlier = self.before.notes if self.before else {}  # a chain's remarks are those of all its models
        notes = {image: earlier[image] for image in prepared if image in earlier} | notes
        buffer = io.BytesIO()
        kind = "found" if self.step.finds else "png"
        columns = {"digest": list(prepared), kind: results}
        table = pa.table(columns, schema=pa.schema([("digest", pa.string()), (kind, pa.binary())]))
        pq.write_table(table, buffer, compression="none", use_dictionary=False, write_statistics=False)
        data = buffer.getvalue()
        name = f"pack-{digest([image for _, image in pack])}"
        put(cache, f"{self.key}/{name}.parquet", data)
        receipt = PackReceipt(images=tuple(prepared), bad=bad, notes=notes, bytes=len(data), crc32=zlib.crc32(data))
        write_receipt(cache, self.key, name, receipt)
        return len(pack)

    def _results(
        self, cache: Storage, prepared: dict[str, Image], models: Models
    ) -> tuple[list[bytes], dict[str, str]]:
        """What the model makes of the images, as it is kept, and its remarks."""
        if not prepared:
            return [], {}
        model = models(*self.step.model)
        images = [as_rgb(image) for image in prepared.values()]
        if self.step.finds:
            return model(images), {}
        objects = ResultsReader(cache, self.found) if self.found else None
        results = model(images, [objects.content(image) for image in prepared]) if objects else model(images)
        remarks = getattr(model, "notes", None) or [""] * len(results)
        pngs = [to_png(as_before(r, before)) for r, before in zip(results, prepared.values(), strict=True)]
        return pngs, {image: note for image, note in zip(prepared, remarks, strict=True) if note}

    def _prepared(self, cache: Storage, pack: list[tuple[str, str]]) -> tuple[dict[str, Image], dict[str, str]]:
        """Images before the expensive op, by digest; and why others cannot be had."""
        reader = ResultsReader(cache, self.before) if self.before else None
        images, bad = {}, {}
        for path, image in pack:
            try:
                start = reader.image(image) if reader else decode(planned_content(path, image))
                images[image] = apply(start, self.step.chain[self.step.start : -1])
            except UnreadableImageError as error:
                bad[image] = str(error)
        return images, bad

    def images_in(self, numbers: Sequence[int]) -> int:
        """Number of images in some of the packs."""
        pieces = self.pieces()
        return sum(len(pieces[number]) for number in numbers)


def as_before(result: Image, before: Image) -> Image:
    """Gray again where the model was given a gray image as RGB."""
    if before.shape[2] == result.shape[2]:
        return result
    return cast(Image, cv2.cvtColor(result, cv2.COLOR_RGB2GRAY)[:, :, None])


def to_png(image: Image) -> bytes:
    """Lossless; the lightest compression, whose files are hardly larger and several times as fast."""
    pixels = image if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def from_png(data: bytes) -> Image:
    """What `to_png` was given."""
    pixels = cast(Image, cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))
    return cast(Image, pixels[:, :, None] if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
