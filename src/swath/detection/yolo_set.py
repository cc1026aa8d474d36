"""A data set in the layout that YOLO trainers read: images, a text file of labels for each, a yaml."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from swath.detection.coco import polygon_area
from swath.detection.transfer import Example, Target
from swath.preprocess.apply import read_image

YAML = "data.yaml"


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
