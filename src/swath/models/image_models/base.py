"""The interface of models that expensive ops use."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


class ImageModel(Protocol):
    """A loaded model. It lives in the process that loaded it; what travels is the op and the path of its file."""

    def __call__(self, images: Sequence[Image]) -> list[Any]:
        """Images uint8 [H, W, 3] (or [H, W, 1]) of any sizes to as many results, in order: images, or what is kept."""
        ...
