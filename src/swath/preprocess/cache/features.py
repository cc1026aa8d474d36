"""Feature entries: a float32 vector for each image of a cache entry, kept beside the images in the same form. No torch.

A frozen backbone gives an image the same features in every epoch, so trials that differ only in what comes after it
(loss, seed, regularisation, schedule) share one entry. It has the shards of its images: `cache/<key>/` of `.npy`
[n, F], a receipt beside each finished shard, and a manifest, written last.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from swath.config import chains
from swath.config import trial_spec as spec
from swath.config.recipe import Backbone
from swath.core.description import changed, digest
from swath.preprocess.cache import entry as caches
from swath.preprocess.cache.checksums import checksums, put
from swath.preprocess.cache.entry import EntryPlan
from swath.preprocess.cache.manifest import (
    Manifest,
    ShardReceipt,
    ShardRecord,
    is_built,
    read_receipts,
    whole_receipts,
    write_manifest,
    write_receipt,
)
from swath.preprocess.cache.reader import open_entry
from swath.store.storage import Storage

SCHEMA = 2
_USUAL_FEATURES = 2048  # of which only the model itself knows the number: enough for the disk to be judged


@dataclass(frozen=True)
class FeatureShard:
    """What a worker needs to know to compute one shard of a feature entry.

    Attributes:
        key: Of the feature entry.
        number: Of the shard.
        first: First row of the entry.
        count: Number of rows.
        images: Key of the images' entry.
        model: Hash of what decides the model.
        backbone: The model, with the place of its weights.
        in_chans: Channels of the images.
        image_size: Side of the images in pixels.
        threads: CPU threads of the computation.
        seed: Of the weights that are drawn.
    """

    key: str
    number: int
    first: int
    count: int
    images: str
    model: str
    backbone: Backbone
    in_chans: int
    image_size: int
    threads: int
    seed: int

    @property
    def name(self) -> str:
        """Of its files."""
        return f"shard-{self.number:05d}"


@dataclass(frozen=True)
class FeaturePlan:
    """What a feature entry will hold.

    Attributes:
        images: The cache entry of the images.
        backbone: The model, as it identifies a trial.
        weights: What the model starts from, as it identifies a trial.
        path: File or folder the model is built from, or "".
        threads: CPU threads of the computation.
        seed: Training seed, on which features depend only where weights are drawn.
    """

    images: EntryPlan
    backbone: Backbone
    weights: str
    path: str
    threads: int
    seed: int

    @property
    def in_chans(self) -> int:
        """Channels of the images."""
        return self.images.image_shape[2]

    @property
    def image_size(self) -> int:
        """Side of the images in pixels."""
        return self.images.image_shape[0]

    @cached_property
    def key(self) -> str:
        """Hash of what decides the features: the images and the model."""
        return digest({"schema": SCHEMA, "images": self.images.key, "model": self.model})

    @cached_property
    def model(self) -> str:
        """Hash of what decides the model without its head, the code versions included."""
        one_channel = self.in_chans == 1
        body = replace(self.backbone, weights="", drop_rate=None, drop_path_rate=None)
        body = body if one_channel else replace(body, stem="adapt")
        drawn = not body.pretrained or (one_channel and body.stem == "reinit")
        return digest(
            {
                "stage": spec.STAGES["backbones"],
                "input": [self.image_size, self.in_chans],
                "backbone": changed(body),
                "weights": self.weights,
                "threads": self.threads,
                "seed": self.seed if drawn else None,
            }
        )

    @property
    def bytes(self) -> int:
        """Size of the finished entry, about."""
        return len(self.images.ids) * _USUAL_FEATURES * 4

    def shards(self) -> list[FeatureShard]:
        """The shards, which are those of the images."""
        backbone = replace(self.backbone, weights=self.path)
        return [
            FeatureShard(
                key=self.key,
                number=number,
                first=rows.start,
                count=len(rows),
                images=self.images.key,
                model=self.model,
                backbone=backbone,
                in_chans=self.in_chans,
                image_size=self.image_size,
                threads=self.threads,
                seed=self.seed,
            )
            for number, rows in enumerate(self.images.shards())
        ]

    @property
    def label(self) -> str:
        """`features of resnet50, sharpen|resize(size_px=224)`."""
        return f"features of {self.backbone.canonical()}, {chains.ops_label(self.images.chain)}"

    def describe(self) -> str:
        """`features of resnet50, raw, train, 1,470 images at 224 px`."""
        return f"features of {self.backbone.canonical()}, {self.images.describe()}"


Extract = Callable[[FeatureShard, NDArray[np.uint8]], NDArray[np.float32]]
"""Images [N, S, S, C] to features [N, F] by the model of a shard."""


def missing_shards(cache: Storage, plan: FeaturePlan) -> list[FeatureShard]:
    """The shards without a receipt."""
    if is_built(cache, plan.key):
        return []
    names = set(cache.names(plan.key))
    return [s for s in plan.shards() if f"{s.name}.json" not in names]


def build_shard(cache: Storage, local: Path | None, shard: FeatureShard, extract: Extract) -> int:
    """Compute and store the features of one shard, whose images must be finished.

    Args:
        cache: Where entries are built.
        local: Node-local folder for copies of image entries; None maps them where they are.
        shard: Which one.
        extract: The models.

    Returns:
        Number of images.
    """
    rows = np.arange(shard.first, shard.first + shard.count)
    features = extract(shard, open_entry(cache, shard.images, local).take(rows))
    buffer = io.BytesIO()
    np.save(buffer, features)
    data = buffer.getvalue()
    put(cache, f"{shard.key}/{shard.name}.npy", data)
    receipt = ShardReceipt(
        rows=shard.count, crc32=tuple(checksums(features)), bytes=len(data), features=features.shape[1]
    )
    write_receipt(cache, shard.key, shard.name, receipt)
    return shard.count


def finish(cache: Storage, plan: FeaturePlan) -> None:
    """Write the manifest from the receipts.

    Raises:
        StoreError: A shard has no receipt.
    """
    names = [shard.name for shard in plan.shards()]
    receipts = whole_receipts(read_receipts(cache, plan.key, names, ShardReceipt), f"feature entry {plan.key}")
    manifest = Manifest(
        chain=plan.label,
        part=plan.images.part,
        ids=plan.images.ids,
        image_shape=(receipts[0].features if receipts else 0,),
        dtype="float32",
        shards=tuple(
            ShardRecord(name=name, rows=receipt.rows, crc32=receipt.crc32, bytes=receipt.bytes)
            for name, receipt in zip(names, receipts, strict=True)
        ),
        bad=caches.bad_images(cache, plan.images.key),
    )
    write_manifest(cache, plan.key, manifest)
