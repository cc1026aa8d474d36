"""What finished cells cost, and which of them are worth it."""

import numpy as np
from numpy.typing import NDArray

from swath.analysis.analyse import Analysis
from swath.analysis.cells import Floats


def costs(analysis: Analysis) -> dict[str, Floats]:
    """What each finished cell costs, by kind: NaN where it was not measured.

    Device-seconds of all its trials, parameters of its model, milliseconds to predict an image.
    """
    cells = analysis.cells
    return {
        "device_s": np.array([cell.device_s for cell in cells]),
        "parameters": np.array([cell.trials[0].last("parameters") for cell in cells]),
        "ms_per_image": np.array([cell.ms_per_image for cell in cells]),
    }


def front(x: Floats, y: Floats) -> NDArray[np.int64]:
    """Pareto front: the points for which no other has both a lower or equal x and a higher or equal y, x ascending."""
    beaten = [((x <= a) & (y >= b) & ((x < a) | (y > b))).any() for a, b in zip(x, y, strict=True)]
    kept = np.flatnonzero(~np.array(beaten, bool))
    return kept[np.lexsort((y[kept], x[kept]))]
