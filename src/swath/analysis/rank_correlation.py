"""Do two lists of scores order the same things in the same way?"""

from collections.abc import Sequence

from scipy.stats import spearmanr

_LEAST = 3  # pairs below which a rank correlation says nothing


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Spearman's, -1 to 1; NaN for fewer than three pairs, and where one list has one value only."""
    return float(spearmanr(a, b).statistic) if len(a) >= _LEAST else float("nan")  # type: ignore[attr-defined]
