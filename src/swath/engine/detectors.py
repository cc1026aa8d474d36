"""Detectors fitted for each fold, by Ray tasks or one after the other in this process, into one folder."""

import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from swath.config.splits import Split
from swath.config.sweep import TrialResources
from swath.core.errors import raise_if_any
from swath.engine.ray_backend.detectors import fit_on_ray
from swath.models.detection import checkpoints as folder
from swath.models.detection import coco
from swath.models.detection.checkpoints import DetectorRecord, FoldRecord
from swath.models.detection.finetune import FoldJob, FoldResult, fit_fold, fold_job
from swath.models.detection.transfer import Example, Row, missing_contours, transfer
from swath.models.detection.yolo_training import Training
from swath.store.file_hashes import file_sha256
from swath.store.storage import write_atomic
from swath.tasks.prepare import TaskPlan

Say = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What `swath detect finetune` was asked for.

    Attributes:
        annotations: The json file.
        out: Folder for the detectors; must not hold any yet.
        training: The settings.
        contours: Fit a segmentation.
        background: Train on images without annotations, too, as empty ones.
        inline: No Ray.
        resources: Of one fitting.
    """

    annotations: Path
    out: Path
    training: Training
    contours: bool
    background: bool
    inline: bool
    resources: TrialResources


def finetune(task: TaskPlan, split: Split, rows: Sequence[Row], request: Request, say: Say) -> DetectorRecord:
    """Read the annotations, fit a detector for each fold, write the folder; its record last.

    Args:
        task: As a sweep uses it.
        split: The sweep's.
        rows: The task's training images.
        request: Files and settings.
        say: Called with lines for the user.

    Raises:
        InputError: Lists what is wrong with the settings, the annotations or the images.
    """
    problems = [*request.training.problems(), *request.resources.problems()]
    if (request.out / folder.RECORD).exists():
        problems.append(f"--out: {request.out} holds detectors already. Remove the folder, or name another.")
    raise_if_any(problems)
    examples, categories = read_examples(rows, request, say)
    folds = {row.id: row.fold for row in rows}
    jobs = [
        fold_job(fold, examples, folds, categories, request.contours, request.training, request.resources.cpus)
        for fold in range(split.folds)
    ]
    records: dict[int, FoldRecord] = {}

    def fitted(result: FoldResult) -> None:
        record = _write_fold(request.out, jobs[result.fold], result)
        records[result.fold] = record
        say(
            f"fold {result.fold}: fitted on {record.images:,} images; finds something in {record.val_found:.0%} of "
            f"{record.val_images:,} validation images, mean IoU {record.val_iou:.3f}"
        )

    fit_all(jobs, request, fitted)
    base = Path(request.training.weights)
    record = DetectorRecord(
        data=task.data,
        task=task.record.label,
        split=split.canonical(),
        contours=request.contours,
        classes=categories,
        base=base.name,
        base_sha256=file_sha256(base) if base.is_file() else "",
        annotations_sha256=file_sha256(request.annotations),
        settings={**asdict(request.training), "weights": base.name, "background": request.background},
        versions={name: importlib.metadata.version(name) for name in ("ultralytics", "torch")},
        folds=tuple(records[fold] for fold in sorted(records)),
    )
    folder.write(request.out, record)
    return record


def read_examples(rows: Sequence[Row], request: Request, say: Say) -> tuple[dict[str, Example], tuple[str, ...]]:
    """Annotated low-resolution images by row id, and the names of the classes."""
    names = coco.image_names((row.id, (row.low, row.high)) for row in rows)
    annotations = coco.read(request.annotations, names)
    examples = transfer(
        annotations.items, {row.id: row.low for row in rows}, {row.id: row.high for row in rows}, annotations.categories
    )
    lost = [row for row, example in examples.items() if not example.targets]
    kept = {row: example for row, example in examples.items() if example.targets}
    if request.contours:
        missing_contours(list(kept.values()))
    if request.background:
        kept |= {row.id: Example(row.low, 1, 1, ()) for row in rows if row.id not in examples}
    objects = sum(len(e.targets) for e in kept.values())
    say(
        f"{objects:,} objects in {len(examples) - len(lost):,} of {len(rows):,} training images"
        + (f"; {len(lost)} images whose objects are under a pixel are left out" if lost else "")
        + (f"; {annotations.foreign} annotations are of other images" if annotations.foreign else "")
        + (f"; {annotations.crowds} stand for crowds and are left out" if annotations.crowds else "")
    )
    return kept, annotations.categories


def _write_fold(out: Path, job: FoldJob, result: FoldResult) -> FoldRecord:
    name = folder.fold_file(result.fold)
    write_atomic(out / name, result.weights)
    return FoldRecord(
        file=name,
        sha256=file_sha256(out / name),
        images=len(job.train),
        objects=sum(len(e.targets) for e in job.train),
        val_images=len(job.val),
        val_found=round(result.found, 4),
        val_iou=round(result.iou, 4),
    )


def fit_all(jobs: Sequence[FoldJob], request: Request, fitted: Callable[[FoldResult], None]) -> None:
    """Fit every job; `fitted` is called with each result as it comes."""
    if request.inline:
        for job in jobs:
            fitted(fit_fold(replace(job, gpus=request.resources.gpus)))
        return
    from swath.engine.ray_backend.engine import RayEngine

    with RayEngine(request.resources) as engine:
        fit_on_ray(jobs, engine.per_trial, fitted)
