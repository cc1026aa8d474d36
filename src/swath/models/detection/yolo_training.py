"""Training a detector with ultralytics, and the data set in the form that it reads."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from swath.core.errors import InputError
from swath.models.detection.coco import polygon_area
from swath.models.detection.transfer import Example, Target
from swath.models.detection.yolo import keep_threads, package, weights_problems
from swath.preprocess.image_files import read_image

YAML = "data.yaml"


@dataclass(frozen=True)
class Training:
    """How a detector is trained.

    Attributes:
        weights: A .pt file to start from, or an architecture (`yolov8n.yaml`) to train from scratch.
        epochs: Passes over the images, 1 or more.
        size_px: Side of the square that the network sees, a multiple of 32. Larger than the images is of use: a network
            that has learned on photographs knows no object of 20 pixels.
        batch: Images per step.
        lr: Learning rate of AdamW at its height.
        mosaic: Share of the images that are shown four in one, 0 to 1.
        seed: Of new weights, order and augmentation.
    """

    weights: str = "yolov8n.pt"
    epochs: int = 50
    size_px: int = 320
    batch: int = 16
    lr: float = 1e-3
    mosaic: float = 0.0
    seed: int = 0

    def problems(self) -> list[str]:
        """Sentences about values out of range."""
        problems = weights_problems(self.weights, yaml=True)
        for field, low, high in (("epochs", 1, 10_000), ("batch", 2, 4096), ("seed", 0, 2**32 - 1)):
            if not low <= getattr(self, field) <= high:
                problems.append(f"--{field} {getattr(self, field)}: allowed is a whole number from {low} to {high}.")
        if not 32 <= self.size_px <= 2048 or self.size_px % 32:
            problems.append(f"--size-px {self.size_px}: allowed is a multiple of 32 from 32 to 2048.")
        if not 0 < self.lr <= 1:
            problems.append(f"--lr {self.lr}: allowed is above 0 and at most 1.")
        if not 0 <= self.mosaic <= 1:
            problems.append(f"--mosaic {self.mosaic}: allowed is a share from 0 to 1.")
        return problems


def train(data: Path, work: Path, training: Training, contours: bool, device: str = "") -> Path:
    """Train a detector on a data set of `yolo_set`.

    Args:
        data: Its yaml.
        work: Empty folder for everything that is written.
        training: The settings.
        contours: Train a segmentation.
        device: As of `Detector`.

    Returns:
        The weights after the last epoch. Not the best ones: those would be chosen on the validation images.
    """
    import torch

    from swath.models.device import named_device

    yolo = package().YOLO
    task = "segment" if contours else "detect"
    model = yolo(training.weights, verbose=False)  # the task is the file's own: given here it would be believed
    if model.task != task:
        raise InputError(
            f"detector weights {training.weights!r}: its task is {model.task}, and --task {task} was asked for. "
            "Models that give contours have -seg in their names, e.g. yolov8n-seg.pt."
        )
    threads = torch.get_num_threads()
    keep_threads()
    try:
        model.train(
            data=str(data),
            epochs=training.epochs,
            imgsz=training.size_px,
            batch=training.batch,
            nbs=training.batch,  # no accumulation: one step per batch
            optimizer="AdamW",
            lr0=training.lr,
            mosaic=training.mosaic,
            close_mosaic=0,
            seed=training.seed,
            deterministic=True,
            val=False,
            plots=False,
            amp=False,  # on a GPU the check before it downloads a model
            workers=0,
            device=str(named_device(device)),
            project=str(work),
            name="run",
            exist_ok=True,
            verbose=False,
        )
    finally:
        torch.set_num_threads(threads)
    return work / "run" / "weights" / "last.pt"


def write_set(
    folder: Path, train: Sequence[Example], val: Sequence[Example], categories: Sequence[str], contours: bool
) -> Path:
    """Write both parts.

    Images are decoded as everywhere in swath and stored losslessly, so the trainer sees what the detector will.

    Args:
        folder: Where; must be empty.
        train: Images to train on.
        val: Images to measure on, one or more.
        categories: Names of the classes in order.
        contours: Labels are outlines instead of boxes.

    Returns:
        The yaml file.
    """
    for part, examples in (("train", train), ("val", val)):
        images, labels = folder / "images" / part, folder / "labels" / part
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for number, example in enumerate(examples):
            pixels = read_image(example.path)
            (images / f"{number:06d}.png").write_bytes(cv2.imencode(".png", pixels[:, :, ::-1])[1].tobytes())
            lines = [label_line(target, example.width, example.height, contours) for target in example.targets]
            (labels / f"{number:06d}.txt").write_text("".join(f"{line}\n" for line in lines))
    names = "".join(f"  {i}: {json.dumps(name)}\n" for i, name in enumerate(categories))
    path = folder / YAML
    path.write_text(f"path: {json.dumps(str(folder))}\ntrain: images/train\nval: images/val\nnames:\n{names}")
    return path


def label_line(target: Target, width: int, height: int, contour: bool = False) -> str:
    """`class x_centre y_centre width height`, or `class x y x y ...` of the largest outline; shares of the image.

    >>> label_line(Target(0, (16, 0, 48, 64)), 64, 64)
    '0 0.5 0.5 0.5 1'
    """
    if contour:
        outline = max(target.contour, key=polygon_area)
        numbers = (outline / (width, height)).ravel()
    else:
        left, top, right, bottom = np.array(target.box) / (width, height, width, height)
        numbers = np.array([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top])
    return " ".join([str(target.category), *(f"{n:.9g}" for n in numbers)])
