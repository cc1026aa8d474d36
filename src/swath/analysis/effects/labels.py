"""Which labels a choice helps: effects label by label, exploratory, corrected over the labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swath.analysis.effects.differences import PairedDifferences, contrast
from swath.analysis.effects.intervals import Estimate, estimate
from swath.analysis.effects.significance import benjamini_hochberg
from swath.analysis.image_variance import FoldEvidence

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LabelEffect:
    """An effect on one label, or on all labels with few positives together. Differences are of scores, 0 to 1.

    Attributes:
        label: The label; "" for those with few positives.
        pooled: Number of labels in it.
        estimate: The mean paired difference in the label's own metric. Its image variance still holds what seeds
            err differently, so intervals are a little wide.
        q: Benjamini and Hochberg's over the labels of this comparison; NaN without an interval.
    """

    label: str
    pooled: int
    estimate: Estimate
    q: float


def label_effects(
    number: int, units: PairedDifferences, labels: Sequence[str], evidence: Sequence[FoldEvidence]
) -> list[LabelEffect]:
    """The effects of one comparison on each label, largest first.

    Args:
        number: Of the comparison among those that the evidence was gathered for.
        units: Its paired differences.
        labels: Names of the labels.
        evidence: Of every fold.
    """
    trials = units.weights.shape[1]
    values, few = np.full((trials, len(labels)), np.nan), np.full(trials, np.nan)
    for fold in evidence:
        values[fold.trials], few[fold.trials] = fold.labels, fold.rare_scores
    rare = set(evidence[0].rare.tolist())
    used = np.abs(units.weights).sum(axis=0) > 0
    variance = np.sum([fold.label_variance[number] for fold in evidence], axis=0)
    estimates: list[tuple[str, int, Estimate]] = []
    for c, name in enumerate(labels):
        if c not in rare and np.isfinite(values[used, c]).all():
            estimates.append((name, 1, _estimate(units, values[:, c], float(variance[c]))))
    if rare and np.isfinite(few[used]).all():
        mean = contrast(units)[None]
        pooled = float(np.sum([fold.rare_variance(mean[:, fold.trials])[0] for fold in evidence]))
        estimates.append(("", len(rare), _estimate(units, few, pooled)))
    q = benjamini_hochberg([e.p for _, _, e in estimates])
    effects = [LabelEffect(n, k, e, float(x)) for (n, k, e), x in zip(estimates, q, strict=True)]
    return sorted(effects, key=lambda e: -abs(e.estimate.difference))


def _estimate(units: PairedDifferences, values: Floats, image_variance: float) -> Estimate:
    mean = contrast(units)

    def variances(contrasts: Floats) -> Floats:
        # The variance of the mean alone is known label by label; taking nothing off for the seeds is the safe side.
        return np.where((contrasts == mean).all(axis=1), image_variance, 0.0)

    return estimate(units, np.nan_to_num(values), variances)
