"""A folder of fine-tuned detectors: `fold0.pt`, `fold1.pt`, ... and `detector.json`, written last."""

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swath.config.ops import DetectCrop
from swath.core.errors import InputError, StoreError
from swath.core.registry import unknown
from swath.store.file_hashes import file_sha256
from swath.store.json_files import SCHEMA, from_bytes, write_record
from swath.store.storage import Storage

INSTALL = "pip install 'swath[detect]'"
RECORD = "detector.json"


@dataclass(frozen=True)
class FoldRecord:
    """One fold's detector.

    Attributes:
        file: Name of its file.
        sha256: Of its content.
        images: Number of images that it was trained on.
        objects: Number of objects in them.
        val_images: Number of annotated images of the fold's validation part; they chose nothing.
        val_found: Share of them in which it finds something.
        val_iou: Mean IoU of its most confident box with the annotation that fits best; 0 where it finds nothing.
    """

    file: str
    sha256: str
    images: int
    objects: int
    val_images: int
    val_found: float
    val_iou: float


@dataclass(frozen=True)
class DetectorRecord:
    """What a folder of detectors was fitted on.

    Attributes:
        data: Data fingerprint of the task.
        task: Its label.
        split: Canonical form of the split.
        contours: The detectors give contours.
        classes: Names of their classes.
        base: What the training started from.
        base_sha256: Of that file; "" for an architecture without weights.
        annotations_sha256: Of the annotations.
        settings: Of the training.
        versions: Of the packages.
        folds: Record of each fold.
        schema: Of the record; see `swath.store.json_files`.
    """

    data: str
    task: str
    split: str
    contours: bool
    classes: tuple[str, ...]
    base: str
    base_sha256: str
    annotations_sha256: str
    settings: dict[str, Any]
    versions: dict[str, str]
    folds: tuple[FoldRecord, ...]
    schema: int = SCHEMA


def fold_file(fold: int) -> str:
    """Name of a fold's file, as `ops.DetectCrop.weight_file` expects it."""
    return f"fold{fold}.pt"


def write(folder: Path, record: DetectorRecord) -> None:
    """Write the record; the detectors must be there."""
    write_record(Storage(str(folder)), RECORD, record)


def read(folder: Path) -> DetectorRecord:
    """The record of a folder.

    Raises:
        InputError: There is none, or its file cannot be opened.
        DamagedRecordError: It is damaged.
        StoreError: It is of a newer swath.
    """
    path = folder / RECORD
    try:
        return from_bytes(path.read_bytes(), DetectorRecord, str(path), "make it again with `swath detect finetune`")
    except FileNotFoundError:
        reason = f"there is no {RECORD} in it, so it is unfinished or no such folder"
    except OSError as error:
        reason = f"its {RECORD} cannot be read ({type(error).__name__}: {error})"
    raise InputError(f"detector {str(folder)!r}: {reason}. Make it with `swath detect finetune`.")


def crop_problems(uses: Iterable[tuple[DetectCrop, str, str]]) -> list[str]:
    """What a sweep's DetectCrop ops lack, before anything is started: the package, files, the right ones.

    Args:
        uses: Op, data fingerprint and canonical form of the split.
    """
    unique_uses = dict.fromkeys(uses)
    problems = []
    if unique_uses and importlib.util.find_spec("ultralytics") is None:
        problems.append(f"DetectCrop needs the package ultralytics (AGPL-3.0), which is not installed: {INSTALL}")
    for detector, data, split in dict.fromkeys((op.detector, data, split) for op, data, split in unique_uses):
        problems += detector_problems(detector, data, split)
    for op in dict.fromkeys(op for op, _, _ in unique_uses):
        problems += _class_problems(op)
    return problems


def _class_problems(op: DetectCrop) -> list[str]:
    """Sentences about classes that the detector lacks; `detector_problems` says so where it has no sound record."""
    try:
        known = read(Path(op.detector)).classes if op.classes else ()
    except (InputError, StoreError):
        return []
    return [unknown(f"class of the detector {op.detector}", c, known) for c in op.classes if c not in known]


def detector_problems(detector: str, data: str, split: str) -> list[str]:
    """Sentences when a detector must not crop the images of a task and split.

    Args:
        detector: A folder of detectors, or one file, which is taken to know none of the images.
        data: Data fingerprint of the task.
        split: Canonical form of the split.
    """
    path = Path(detector)
    if path.is_file():
        return []
    if not path.is_dir():
        return [
            f"DetectCrop(detector={detector!r}): there is no such file or folder. Make a folder of detectors with "
            "`swath detect label` and `swath detect finetune`, or give one .pt file."
        ]
    try:
        record = read(path)
    except InputError as error:
        return list(error.problems)
    except StoreError as error:
        return [f"DetectCrop(detector={detector!r}): {error}"]
    problems = []
    if record.split != split:
        problems.append(
            f"DetectCrop(detector={detector!r}): its detectors were fitted on the split {record.split}, and the sweep "
            f"validates by {split}: they have seen validation images. Fine-tune another folder for this split."
        )
    if record.data != data:
        problems.append(
            f"DetectCrop(detector={detector!r}): its detectors were fitted on other data ({record.task}, "
            f"{record.data}) than the sweep's ({data}), or on another share of it (--smoke, max_train_images). "
            "Fine-tune a folder for these."
        )
    return problems + [
        f"DetectCrop(detector={detector!r}): {fold.file} is not the file that was fitted. Restore it, or "
        "fine-tune again."
        for fold in record.folds
        if not (path / fold.file).is_file() or file_sha256(path / fold.file) != fold.sha256
    ]
