"""Random targets and scores of labels from common to rare."""

import numpy as np
from numpy.typing import NDArray


def draw(n: int, classes: int, seed: int, levels: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Targets with rare labels and scores that know a little; `levels` > 0 makes ties."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((n, classes)) < np.geomspace(0.6, 0.05, classes)).astype(np.uint8)
    targets[0] = 1  # every label has a positive
    scores = np.clip(0.3 * targets + 0.7 * rng.random((n, classes)), 0, 1)
    return targets, np.round(scores * levels) / levels if levels else scores
