"""Annotating images with a large detector that knows the class already."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from swath.models.detection.boxes import Detection
from swath.models.detection.coco import Labelled
from swath.models.detection.contours import grabcut
from swath.models.detection.yolo import Detector
from swath.preprocess.image_files import Image, UnreadableImageError, read_image

# What to look for in the tasks whose images all show one kind of object; for others the user says.
CLASSES_OF_TASKS = {"dacon_birds": ("bird",), "synthetic_birds": ("bird",)}
_COLOURS = ((255, 64, 64), (64, 255, 64), (64, 160, 255), (255, 220, 0), (255, 64, 255), (0, 255, 255))


def label_images(
    detector: Detector,
    paths: Sequence[str],
    classes: Sequence[int],
    confidence: float,
    contours: bool,
    done: Callable[[int], None],
) -> tuple[list[Labelled], dict[str, str]]:
    """Look for objects in image files.

    Args:
        detector: Finds them.
        paths: Image files.
        classes: Numbers of the detector's classes to look for.
        confidence: Smallest score.
        contours: Draw contours by GrabCut where the detector gives boxes only.
        done: Called with the number of images after each.

    Returns:
        The images with what was found, and the files that cannot be read with the reason.
    """
    names = relative_names(paths)
    labelled, unreadable = [], {}
    for path, name in zip(paths, names, strict=True):
        try:
            image = read_image(path)
        except UnreadableImageError as error:
            unreadable[path] = str(error)
        else:
            detections = detector(image, confidence, classes)
            if contours:
                detections = [d if d.contour else replace(d, contour=grabcut(image, d.box)) for d in detections]
            labelled.append(Labelled(name, image.shape[1], image.shape[0], tuple(detections)))
        done(1)
    return labelled, unreadable


def relative_names(paths: Sequence[str]) -> list[str]:
    """Names of files below the folder that holds them all, with forward slashes."""
    folders = [os.path.dirname(path) for path in paths]  # noqa: PTH120 - text, not a question to the file system
    common = os.path.commonpath(folders) if folders else ""
    return [os.path.relpath(path, common).replace(os.sep, "/") for path in paths]


def sheet(pictures: Sequence[tuple[Image, Sequence[Detection]]], side_px: int = 192, columns: int = 8) -> Image:
    """A contact sheet of images with boxes, contours, classes and scores drawn on them: RGB uint8 [H, W, 3].

    Args:
        pictures: Images with what was found in them.
        side_px: Longer side of each image on the sheet.
        columns: Images in a row.
    """
    rows = -(-len(pictures) // columns)
    canvas = np.full((max(rows, 1) * side_px, columns * side_px, 3), 255, np.uint8)
    numbers = {label: i for i, label in enumerate(sorted({d.label for _, detections in pictures for d in detections}))}
    for position, (image, detections) in enumerate(pictures):
        scale = side_px / max(image.shape[:2])
        height, width = (max(1, round(length * scale)) for length in image.shape[:2])
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        for d in detections:
            colour = _COLOURS[numbers[d.label] % len(_COLOURS)]
            corners = [round(v * scale) for v in d.box]
            cv2.rectangle(small, (corners[0], corners[1]), (corners[2] - 1, corners[3] - 1), colour, 1)
            outlines = [np.round((p - 0.5) * scale).astype(np.int32) for p in d.contour]
            cv2.polylines(small, outlines, True, (255, 255, 255), 1, cv2.LINE_AA)
            text = (corners[0] + 2, min(max(corners[1] + 10, 10), height - 2))
            cv2.putText(small, f"{d.label} {d.score:.2f}", text, cv2.FONT_HERSHEY_PLAIN, 0.7, colour, 1, cv2.LINE_AA)
        row, column = divmod(position, columns)
        canvas[row * side_px : row * side_px + height, column * side_px : column * side_px + width] = small
    return canvas


def write_sheet(path: Path, labelled: Sequence[Labelled], paths: Sequence[str], limit: int = 48) -> None:
    """Draw some of the labelled images, spread over all that have objects (all images where none has)."""
    places = dict(zip(relative_names(paths), paths, strict=True))
    shown = [image for image in labelled if image.found] or list(labelled)
    shown = [shown[i] for i in np.linspace(0, len(shown) - 1, min(limit, len(shown))).astype(int)] if shown else []
    picture = sheet([(read_image(places[image.name]), image.found) for image in shown])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", picture[:, :, ::-1])[1].tobytes())
