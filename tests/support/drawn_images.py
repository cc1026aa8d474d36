"""Drawn photographs: noise of every frequency, and a smooth one that a JPEG keeps."""

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def smooth(height: int = 60, width: int = 80) -> Pixels:
    """A picture that JPEG keeps well."""
    return cv2.resize(noise(6, 8), (width, height), interpolation=cv2.INTER_CUBIC)  # type: ignore[return-value]
