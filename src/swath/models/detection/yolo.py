"""Ultralytics (AGPL-3.0, the extra `detect`), kept silent and offline: its import, and detecting with its models."""

import importlib.util
import logging
import os
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swath.core.errors import InputError, raise_if_any
from swath.core.registry import unknown
from swath.models.detection.boxes import Detection
from swath.models.detection.checkpoints import INSTALL
from swath.preprocess.image_files import Image
from swath.store.paths import tool_folder

SILENT = ("sync", "clearml", "comet", "dvc", "mlflow", "raytune", "tensorboard", "wandb", "vscode_msg")
"""Ultralytics' own settings that report somewhere: to it, to trackers, to a Ray Tune that it believes it runs under."""
FONTS = ("Arial.ttf", "Arial.Unicode.ttf")
"""Looked for before every training, and downloaded when they are not there, plots or not."""


@cache
def package() -> Any:
    """Ultralytics, imported so that it reports nothing, asks nobody, installs nothing and writes only below /tmp.

    Raises:
        InputError: It is not installed.
    """
    if importlib.util.find_spec("ultralytics") is None:
        raise InputError(f"detection needs the package ultralytics (AGPL-3.0), which is not installed: {INSTALL}")
    os.environ.setdefault("YOLO_CONFIG_DIR", str(tool_folder("yolo")))  # it would write into the home folder
    import matplotlib as mpl
    import ultralytics
    from ultralytics import utils

    utils.LOGGER.setLevel(logging.ERROR)  # it may have been imported before, and speaks then
    for key in SILENT:
        dict.__setitem__(utils.SETTINGS, key, False)  # in this process; its own setter would write a file of the user's
    font = Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
    for name in FONTS:
        if not (utils.USER_CONFIG_DIR / name).exists():
            shutil.copyfile(font, utils.USER_CONFIG_DIR / name)
    return ultralytics


def keep_threads() -> None:
    """Make ultralytics keep torch's number of threads: it sets its own whenever it starts on a CPU."""
    import torch
    from ultralytics.utils import torch_utils

    torch_utils.NUM_THREADS = torch.get_num_threads()  # pyright: ignore[reportPrivateImportUsage]


def weights_problems(weights: str, yaml: bool) -> list[str]:
    """A sentence when a model file is not there. Ultralytics would download it, swath does not.

    Args:
        weights: A path; or the name of one of ultralytics' own architectures, `yolov8n.yaml`.
        yaml: An architecture without weights will do.
    """
    if Path(weights).is_file() or (yaml and weights.endswith(".yaml") and "/" not in weights):
        return []
    named = Path(weights).name
    scratch = " or an architecture to train from scratch, e.g. yolov8n.yaml" if yaml else ""
    return [
        f"detector weights {weights!r}: there is no such file. Give the path of one{scratch}. Ultralytics' own are at "
        f"https://github.com/ultralytics/assets/releases/download/v8.4.0/{named} (AGPL-3.0)."
    ]


class Detector:
    """A loaded detector.

    Args:
        weights: A .pt file, or one of ultralytics' exports such as .tflite.
        device: `cpu`, `cuda:0`, ...; "" is a GPU where there is one.

    Raises:
        InputError: The package or the file is not there, or the file is no detector.
    """

    def __init__(self, weights: str, device: str = "") -> None:
        yolo = package().YOLO
        problems = weights_problems(weights, yaml=False)
        if problems:
            raise InputError(problems)
        from swath.models.device import named_device, prepare

        self._device = named_device(device)
        prepare(self._device, deterministic=False)
        try:
            # A .pt file knows its task; of an export ultralytics would guess it, with a warning.
            task = None if weights.endswith(".pt") else "segment" if "-seg" in Path(weights).stem else "detect"
            self._model = yolo(weights, task=task, verbose=False)
            keep_threads()
            self.classes: tuple[str, ...] = tuple(self._model.names[i] for i in sorted(self._model.names))
            self.contours = self._model.task == "segment"
        except Exception as error:  # unpicklers, backends and ultralytics each raise their own
            reason = str(error).partition("\n")[0][:200]
            raise InputError(
                f"detector weights {weights!r} cannot be loaded: {type(error).__name__}: {reason}."
            ) from error
        if self._model.task not in ("detect", "segment"):
            raise InputError(
                f"detector weights {weights!r}: its task is {self._model.task}; wanted is a detect or segment model."
            )

    def numbers(self, classes: Sequence[str]) -> list[int]:
        """Numbers of classes given by name or number.

        Raises:
            InputError: Lists those the detector does not know.
        """
        known = {**{name: i for i, name in enumerate(self.classes)}, **{str(i): i for i in range(len(self.classes))}}
        raise_if_any(unknown("class of the detector", c, self.classes) for c in classes if c not in known)
        return [known[c] for c in classes]

    def __call__(self, image: Image, confidence: float, classes: Sequence[int] = ()) -> list[Detection]:
        """Objects in one image, the most confident first.

        One image at a time: in a batch ultralytics pads all to one shape, and what is found would depend on the others.

        Args:
            image: RGB uint8 [H, W, 3].
            confidence: Smallest score, 0 to 1.
            classes: Numbers of the classes wanted; () is all.
        """
        result = self._model.predict(
            np.ascontiguousarray(image[:, :, ::-1]),  # as OpenCV reads: BGR
            conf=confidence,
            classes=list(classes) or None,
            device=self._device,
            retina_masks=True,
            verbose=False,
        )[0]
        boxes = result.boxes
        outlines = result.masks.xy if result.masks is not None else [None] * len(boxes)
        detections = [
            Detection((box[0], box[1], box[2], box[3]), score, self.classes[int(number)], _contour(outline))
            for box, score, number, outline in zip(
                boxes.xyxy.tolist(), boxes.conf.tolist(), boxes.cls.tolist(), outlines, strict=True
            )
            if box[2] > box[0] and box[3] > box[1]
        ]
        return sorted(detections, key=lambda d: (-d.score, d.box))


def _contour(outline: NDArray[np.float32] | None) -> tuple[NDArray[np.float64], ...]:
    return () if outline is None or len(outline) < 3 else (np.asarray(outline, np.float64) + 0.5,)
