"""Finding the most confident object: the model behind `ops.Detect`."""

from collections.abc import Sequence

from swath.config import ops
from swath.models.detection.boxes import to_json
from swath.models.detection.yolo import Detector
from swath.models.image_models.base import Image
from swath.preprocess.image_files import as_rgb


class Finder:
    """The model behind `ops.Detect`.

    Args:
        detector: Finds objects.
        op: Which of them count.
    """

    def __init__(self, detector: Detector, op: ops.Detect) -> None:
        self._detector = detector
        self._op = op
        self._classes = detector.numbers(op.classes)

    def __call__(self, images: Sequence[Image]) -> list[bytes]:
        """Images uint8 [H, W, C] of any sizes, each looked at by itself, to the object in each (`boxes.to_json`)."""
        looked = (self._detector(as_rgb(image), self._op.confidence, self._classes) for image in images)
        return [to_json(detections[0] if detections else None) for detections in looked]


def load(op: ops.Detect, weight_file: str, device: str) -> Finder:
    """The model of `op`, from its detector's file.

    Raises:
        InputError: Ultralytics or the file is missing, the file is no detector, or it does not know the classes.
    """
    return Finder(Detector(weight_file, device), op)
