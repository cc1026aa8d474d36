"""Detect, then crop: the model behind `ops.DetectCrop`."""

from collections.abc import Sequence

import numpy as np

from swath import ops
from swath.detection.crops import crop
from swath.detection.yolo import Detector
from swath.image_models.base import MODELS, Image

MISS = "nothing detected: the full image"


class DetectAndCrop:
    """The model behind `ops.DetectCrop`.

    Args:
        detector: Finds the objects.
        op: How they are cropped.

    Attributes:
        notes: For each image of the last call a remark for the manifest, "" for none.
    """

    def __init__(self, detector: Detector, op: ops.DetectCrop) -> None:
        self._detector = detector
        self._op = op
        self._classes = detector.numbers(op.classes)
        self.notes: list[str] = []

    def __call__(self, images: Sequence[Image]) -> list[Image]:
        """Images uint8 [H, W, C] of any sizes; each is looked at by itself."""
        results = []
        self.notes = []
        for image in images:
            found = self._detector(_rgb(image), self._op.confidence, self._classes)
            results.append(crop(image, found[0], self._op) if found else image)
            self.notes.append("" if found else MISS)
        return results


def _rgb(image: Image) -> Image:
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image


@MODELS.register("detect_crop")
def load(op: ops.DetectCrop, weight_file: str, device: str) -> DetectAndCrop:
    """The model of `op`, from its detector's file.

    Raises:
        InputError: Ultralytics or the file is missing, the file is no detector, or it does not know the classes.
    """
    return DetectAndCrop(Detector(weight_file, device), op)
