"""The image models of one process, each loaded once, at its first use."""

from swath.detection.crops import Cropper
from swath.ops import DetectCrop, Op
from swath.preprocess.sources import Model


class LoadedModels:
    """Loads the model of an op from its weight file, and keeps it."""

    def __init__(self) -> None:
        self._loaded: dict[tuple[Op, str], Model] = {}

    def __call__(self, op: Op, weight_file: str) -> Model:
        if isinstance(op, DetectCrop):
            return Cropper(op)
        from swath.image_models.load import load  # loads torch

        if (op, weight_file) not in self._loaded:
            self._loaded[op, weight_file] = load(op, weight_file)
        return self._loaded[op, weight_file]
