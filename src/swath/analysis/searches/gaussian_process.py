"""A Gaussian process over the points of a search, its length scales and noise averaged over what the points allow.

Score = smooth function of the point + noise. The kernel is a product over the fields: Matern 5/2 in a number (0 to 1 on
its own scale), the same in "equal or not" for a category. With 8 to 50 points the most likely length scales are far
from certain, and bands that take them as known are too narrow (those of scikit-learn cover 52 to 78 % with 8 points, 67
to 88 % with 12); so draws of them are weighted by their likelihood, in rounds that move to where it is high. The
signal's variance is integrated out exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

Floats = NDArray[np.float64]
_ROUNDS, _DRAWS, _KEPT = 3, 160, 48
_PRIOR_SCALE = (np.log(0.5), 0.8)  # logarithm of a length scale, in parts of the range: mean, standard deviation
_PRIOR_NOISE = (np.log(0.1), 1.5)  # logarithm of noise variance over signal variance
_SHAPE, _RATE = 1.0, 3.0  # inverse gamma prior of the signal's variance, the scores standardised; 3: wide at the ends
_LEVEL = 4.0  # variance of the common level over the signal's: next to unknown


@dataclass(frozen=True, eq=False)
class _Fit:
    """The process at one draw of length scales and noise.

    Attributes:
        scales: [D] length scale of each field.
        cholesky: [N, N] lower factor of the kernel with noise, over the signal's variance.
        weights: [N] inverse kernel times standardised scores.
        variance: Scale of the predictive t distribution: estimate of the signal's variance.
        log_likelihood: Marginal, up to a constant.
    """

    scales: Floats
    cholesky: Floats
    weights: Floats
    variance: float
    log_likelihood: float


class GaussianProcess:
    """Fitted to points and scores.

    Args:
        points: [N, D] numbers from 0 to 1; of a category its index.
        categorical: [D] True for a category.
        scores: [N] scores, not all equal.
        repeats: [N] how many runs each score is the mean of.
        seed: Of all draws.
    """

    def __init__(
        self, points: Floats, categorical: Sequence[bool], scores: Floats, repeats: Floats, seed: int = 0
    ) -> None:
        self._points, self._categorical = points, tuple(categorical)
        self._mean, self._sd = float(scores.mean()), float(scores.std())
        self._y = (scores - self._mean) / self._sd
        self._noise = repeats.mean() / repeats
        self._distances = [
            _distance(points[:, d], points[:, d], discrete) for d, discrete in enumerate(self._categorical)
        ]
        self._rng = np.random.default_rng(seed)
        self._fits = self._sampled()

    def explained(self) -> float:
        """Share of the variance of the scores that predictions of points left out one at a time explain; 0 at least."""
        left_out = np.mean([self._left_out(fit) for fit in self._fits], axis=0)
        return max(0.0, 1 - float(((self._y - left_out) ** 2).sum() / ((self._y - self._y.mean()) ** 2).sum()))

    def predicted(self, at: Floats) -> Floats:
        """Expected score at points [M, D]."""
        crosses = [self._cross(fit, at, range(at.shape[1])) + _LEVEL for fit in self._fits]
        means = [cross @ fit.weights for cross, fit in zip(crosses, self._fits, strict=True)]
        return self._mean + self._sd * np.mean(means, axis=0)

    def slice(self, field: int, at: Floats, others: Floats, moves: Floats) -> Floats:
        """Draws [B, G] of the mean score over the other fields, at G values of one field.

        Args:
            field: Number of the field.
            at: [G] its values.
            others: [M, D] points over which the other fields are averaged.
            moves: [B, N] draws of an error that the scores have in common; 0 for none.
        """
        parts = np.array_split(moves / self._sd, len(self._fits))
        drawn = [self._drawn(fit, field, at, others, part) for fit, part in zip(self._fits, parts, strict=True)]
        return self._mean + self._sd * np.concatenate(drawn)

    def _drawn(self, fit: _Fit, field: int, at: Floats, others: Floats, moves: Floats) -> Floats:
        discrete, scale = self._categorical[field], fit.scales[field]
        rest = [d for d in range(len(fit.scales)) if d != field]
        # The kernel is a product, so its mean over the other fields is that of their part alone.
        beside, among = self._cross(fit, others, rest).mean(axis=0), self._kernel(fit, others, others, rest).mean()
        cross = _matern(_distance(at, self._points[:, field], discrete), scale) * beside + _LEVEL
        prior = _matern(_distance(at, at, discrete), scale) * among + _LEVEL
        half = solve_triangular(fit.cholesky, cross.T, lower=True)
        covariance = fit.variance * (prior - half.T @ half)
        root = np.linalg.cholesky(covariance + 1e-9 * np.trace(prior) * np.eye(len(at)))
        df = 2 * _SHAPE + len(self._y)
        widths = np.sqrt(df / self._rng.chisquare(df, (len(moves), 1)))
        chance = widths * (self._rng.standard_normal((len(moves), len(at))) @ root.T)
        # The slice is linear in the scores, so an error in them moves it by the same weights.
        moved = solve_triangular(fit.cholesky, moves.T, lower=True).T @ half
        return cross @ fit.weights + chance + moved

    def _cross(self, fit: _Fit, at: Floats, fields: Sequence[int]) -> Floats:
        return self._kernel(fit, at, self._points, fields)

    def _kernel(self, fit: _Fit, a: Floats, b: Floats, fields: Sequence[int]) -> Floats:
        """[A, B] product over some fields."""
        kernel = np.ones((len(a), len(b)))
        for d in fields:
            kernel *= _matern(_distance(a[:, d], b[:, d], self._categorical[d]), fit.scales[d])
        return kernel

    def _left_out(self, fit: _Fit) -> Floats:
        inverse = solve_triangular(fit.cholesky, np.eye(len(self._y)), lower=True)
        return self._y - fit.weights / (inverse**2).sum(axis=0)

    def _sampled(self) -> list[_Fit]:
        """Fits at draws from the posterior of length scales and noise (population Monte Carlo)."""
        d = len(self._categorical)
        prior = np.array([_PRIOR_SCALE] * d + [_PRIOR_NOISE])
        mean, root = prior[:, 0], np.diag(prior[:, 1])
        fits: list[_Fit] = []
        weights = np.zeros(0)
        for _ in range(_ROUNDS):
            z = self._rng.standard_normal((_DRAWS, d + 1))
            drawn = mean + z @ root.T
            fits = [self._fit(one) for one in drawn]
            log_prior = -0.5 * (((drawn - prior[:, 0]) / prior[:, 1]) ** 2).sum(axis=1)
            log_proposal = -0.5 * (z**2).sum(axis=1)
            logs = np.array([fit.log_likelihood for fit in fits]) + log_prior - log_proposal
            weights = np.exp(logs - logs.max())
            weights /= weights.sum()
            mean = weights @ drawn
            spread = (drawn - mean).T @ (weights[:, None] * (drawn - mean))
            # A little wider than what was found, so that no region is lost for good.
            root = np.linalg.cholesky(1.5 * spread + 0.02 * np.diag(prior[:, 1] ** 2))
        chosen = self._rng.choice(len(fits), _KEPT, p=weights)
        return [fits[i] for i in chosen]

    def _fit(self, logs: Floats) -> _Fit:
        scales, noise = np.exp(logs[:-1]), float(np.exp(logs[-1]))
        kernel = np.full((len(self._y), len(self._y)), 1.0)
        for distance, scale in zip(self._distances, scales, strict=True):
            kernel *= _matern(distance, scale)
        noisy = kernel + _LEVEL + np.diag(noise * self._noise + 1e-8)
        cholesky = np.asarray(np.linalg.cholesky(noisy), np.float64)
        half = solve_triangular(cholesky, self._y, lower=True)
        left, shape = _RATE + 0.5 * float(half @ half), _SHAPE + 0.5 * len(self._y)
        return _Fit(
            scales,
            cholesky,
            solve_triangular(cholesky.T, half, lower=False),
            left / shape,
            -float(np.log(np.diag(cholesky)).sum()) - shape * float(np.log(left)),
        )


def _distance(a: Floats, b: Floats, categorical: bool) -> Floats:
    difference = a[:, None] - b[None, :]
    return (difference != 0).astype(np.float64) if categorical else np.abs(difference)


def _matern(distance: Floats, scale: float) -> Floats:
    x = np.sqrt(5.0) / scale * distance
    return (1 + x + x**2 / 3) * np.exp(-x)
