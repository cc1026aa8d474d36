"""The error of a mean of differences: its variances, and the half-widths and p-values they give.

Each variance has the quantile of its own kind of knowledge: Student's t with the degrees of freedom it is told from,
many for the images, few for seeds and folds. Decisions 0012 and 0026 say what was measured.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import optimize
from scipy.special import stdtrit

Source = Literal["seeds", "folds", "residual", "none"]
LEVEL = 0.95
MANY = 1e9  # degrees of freedom at which Student's t is the normal distribution
_LEAST = -150.0  # logarithm of the smallest p that is distinguished from 0


@dataclass(frozen=True)
class Noise:
    """What is known of the error of a mean of differences. Variances are of scores, 0 to 1.

    Attributes:
        image_variance: By the choice of validation images, as far as `seed_variance` does not hold it.
        seed_variance: What was told from deviations; NaN with source `none`. Of `folds` it holds the images as well.
        df: Degrees of freedom of `seed_variance`; 0 where it is NaN.
        source: What the deviations are between: `seeds` of one cell, `folds`, `residual` of main effects, or `none`.
        image_df: Degrees of freedom of `image_variance`: few where few images or groups make most of it.
    """

    image_variance: float
    seed_variance: float
    df: float
    source: Source
    image_df: float = MANY

    @property
    def is_known(self) -> bool:
        """False where nothing can be said of chance."""
        return self.df > 0 and bool(np.isfinite(self.image_variance + self.seed_variance))

    @property
    def variance(self) -> float:
        """Of the mean, all in all."""
        if self.source == "folds":
            return max(self.image_variance, self.seed_variance)
        return self.image_variance + self.seed_variance

    def half_width(self, level: float = LEVEL) -> float:
        """Half the interval's width; NaN where nothing can be said of chance."""
        return self._half(0.5 - level / 2) if self.is_known else float("nan")

    def p_value(self, difference: float) -> float:
        """The p at which the interval of level 1 - p just reaches 0; NaN where nothing can be said of chance."""
        if not self.is_known:
            return float("nan")
        size = abs(difference)
        if size == 0 or self.variance == 0:
            return 1.0 if size == 0 else 0.0

        def excess(log_p: float) -> float:
            return self._half(np.exp(log_p) / 2) - size

        if excess(_LEAST) < 0:
            return 0.0
        return float(np.exp(optimize.brentq(excess, _LEAST, 0.0)))  # type: ignore[arg-type]

    def _half(self, tail: float) -> float:
        by_images = -stdtrit(self.image_df, tail) * np.sqrt(self.image_variance) if self.image_variance else 0.0
        by_seeds = -stdtrit(self.df, tail) * np.sqrt(self.seed_variance) if self.seed_variance else 0.0
        if np.isnan(by_seeds + by_images):  # stdtrit fails for few degrees of freedom and the smallest tails
            return float("inf")
        # Folds have images of their own, so what differs between them is images and all the rest: the wider of the two
        # holds. Elsewhere both add up; sqrt(t^2 V_img + t'^2 V_seed) is never below its level (Banerjee 1960).
        return float(max(by_images, by_seeds) if self.source == "folds" else np.hypot(by_images, by_seeds))
