"""Fitting the detector of one fold: on its training part only, measured on its validation part."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from swath.core.errors import InputError
from swath.models.detection.boxes import iou
from swath.models.detection.transfer import Example
from swath.models.detection.yolo import Detector
from swath.models.detection.yolo_training import Training, train, write_set
from swath.preprocess.image_files import read_image

CONFIDENCE = 0.25
"""Smallest score that counts when a detector is measured: the default of `ops.DetectCrop`."""


@dataclass(frozen=True)
class FoldJob:
    """One detector to fit.

    Attributes:
        fold: Its fold.
        train: Images of the fold's training part.
        val: Images of its validation part, for the measurement only; may be ().
        categories: Names of the classes.
        contours: Train a segmentation.
        training: The settings.
        threads: CPU threads.
        gpus: Of the process that fits it, as in `swath.models.device.device_of`.
    """

    fold: int
    train: tuple[Example, ...]
    val: tuple[Example, ...]
    categories: tuple[str, ...]
    contours: bool
    training: Training
    threads: int = 1
    gpus: float | None = None


@dataclass(frozen=True)
class FoldResult:
    """A fitted detector.

    Attributes:
        fold: Its fold.
        weights: Content of its file.
        found: Share of the validation images in which it finds something.
        iou: Mean IoU of its most confident box with the annotation that fits best; 0 where it finds nothing.
    """

    fold: int
    weights: bytes
    found: float
    iou: float


def fold_job(
    fold: int,
    examples: Mapping[str, Example],
    folds: Mapping[str, int],
    categories: Sequence[str],
    contours: bool,
    training: Training,
    threads: int = 1,
) -> FoldJob:
    """What a fold's detector may see and what it is measured on.

    Args:
        fold: The fold.
        examples: Row id to annotated image.
        folds: Row id to the fold that validates on it, -1 for none.
        categories: Names of the classes.
        contours: Train a segmentation.
        training: The settings.
        threads: CPU threads.

    Raises:
        InputError: There is no annotated image to train on.
    """
    train, val = (tuple(e for row, e in examples.items() if (folds[row] == fold) == held) for held in (False, True))
    if not any(e.targets for e in train):
        raise InputError(
            f"fold {fold} has no annotated training image. Label more of them (a lower --confidence finds more), or "
            "check that the annotations are of this task."
        )
    # Images without objects may be trained on; nothing can be measured on them.
    val = tuple(e for e in val if e.targets)
    return FoldJob(
        fold=fold,
        train=train,
        val=val,
        categories=tuple(categories),
        contours=contours,
        training=training,
        threads=threads,
    )


def fit_fold(job: FoldJob) -> FoldResult:
    """Write the data set to this machine's temporary folder, train, measure."""
    import torch

    from swath.models.device import device_of

    torch.set_num_threads(job.threads)
    device = str(device_of(job.gpus))
    with tempfile.TemporaryDirectory(prefix="swath-detector-") as temporary:
        folder = Path(temporary)
        data = write_set(folder / "set", job.train, job.val or job.train[:1], job.categories, job.contours)
        weights = train(data, folder / "work", job.training, job.contours, device)
        found_share, fit = measure(Detector(str(weights), device), job.val)
        return FoldResult(job.fold, weights.read_bytes(), found_share, fit)


def measure(detector: Detector, examples: Sequence[Example]) -> tuple[float, float]:
    """Share of images in which something is found, and mean IoU of the most confident box (0 where nothing is)."""
    fits = []
    for example in examples:
        detections = detector(read_image(example.path), CONFIDENCE)
        fits.append(max(iou(detections[0].box, target.box) for target in example.targets) if detections else None)
    if not fits:
        return 0.0, 0.0
    return sum(f is not None for f in fits) / len(fits), sum(f or 0.0 for f in fits) / len(fits)
