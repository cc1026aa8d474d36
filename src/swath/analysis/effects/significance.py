"""Corrections for many comparisons (Bonferroni, Benjamini-Hochberg) and the four verdicts."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from swath.analysis.effects.intervals import Estimate
from swath.analysis.effects.noise import LEVEL, Noise

Floats = NDArray[np.float64]
Verdict = Literal["better", "worse", "equivalent", "undecided", "no interval", "refused"]
ALPHA = 1 - LEVEL


def bonferroni(p: Sequence[float]) -> Floats:
    """P-values times the number of comparisons: at any level, the chance of one false verdict stays below it.

    Not Holm's, which gains power by stepping down: each comparison is tested for a difference and for equivalence. Of
    these two hypotheses at most one is true, so with a factor for the number of comparisons on both all verdicts
    together keep the level; two step-down families spend it twice.

    Args:
        p: Of one family; NaN for a comparison without one, which then is no member of the family.
    """
    given = np.asarray(p, np.float64)
    return np.minimum(1, given * max(1, int(np.isfinite(given).sum())))


def benjamini_hochberg(p: Sequence[float]) -> Floats:
    """Benjamini and Hochberg's (1995) q-values; NaN stays NaN and does not count."""
    given = np.asarray(p, np.float64)
    adjusted = np.full(given.shape, np.nan)
    finite = np.isfinite(given)
    if finite.any():
        adjusted[finite] = stats.false_discovery_control(given[finite])
    return adjusted


def price_of_looks(looks: int) -> float:
    """What p-values are multiplied by at so many looks: with seeds added after each, verdicts keep their level.

    The k-th look spends 1 / (k (k + 1)) of the level, for k > 1; all of these together spend a half of it, so however
    often one looks, at most 1.5 times the level is spent (a union bound). Looks share most of their data, so in fact it
    is little more than the level: .051 to .059 after ten looks in decision 0026.
    """
    return 1.0 if looks < 2 else float(looks * (looks + 1))


def equivalence_p(noise: Noise, difference: float, matters: float) -> float:
    """P-value of a difference of `matters` or more, in either direction: the larger of two one-sided tests.

    Schuirmann (1987). Below .05 the 90 % interval lies within -matters and +matters. NaN without an interval.
    """
    room = matters - abs(difference)
    two_sided = noise.p_value(room)
    return two_sided / 2 if room > 0 else 1 - two_sided / 2


def verdict(estimate: Estimate | None, p: float, equivalence: float) -> Verdict:
    """What may be said of a comparison, given its two p-values, each corrected within its family.

    A difference that is shown, and shown to be smaller than what matters, is `equivalent`.
    """
    if estimate is None:
        return "refused"
    if not math.isfinite(p):
        return "no interval"
    if equivalence < ALPHA:
        return "equivalent"
    if p < ALPHA:
        return "better" if estimate.difference > 0 else "worse"
    return "undecided"


def wording(said: Verdict, estimate: Estimate | None) -> str:
    """`undecided (-0.4 to +0.2 points)`, `better (+0.3 to +1.1 points)`."""
    words = verdict_words(said)
    return words if estimate is None or said == "no interval" else f"{words} ({interval_words(estimate)})"


def verdict_words(said: Verdict) -> str:
    """A verdict without its interval: `undecided`, `better`."""
    return {"refused": "not compared", "no interval": "no interval can be stated"}.get(said, said)


def interval_words(estimate: Estimate) -> str:
    """An interval in points: `-0.4 to +0.2 points`."""
    return f"{100 * estimate.low:+.1f} to {100 * estimate.high:+.1f} points"
