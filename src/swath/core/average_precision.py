"""Average precision (AP): every formula for it, exact, weighted, with derivatives, and quick.

AP is the sum over thresholds of precision times gain in recall (Manning, Raghavan and Schütze 2008, section 8.4), as
in `sklearn.metrics.average_precision_score`. Which function for what, with its cost for each label of N images:

| function | computes | equal scores | used by | cost |
|---|---|---|---|---|
| `average_precision` | AP | one threshold | metrics of a trial | one sort |
| `average_precision`, weighted | AP of B weightings | one threshold | rare labels | one stable sort, B N sums |
| `precision_recall_areas` | AP, and PR-AUC by trapezoids | one threshold | scores of a trial | one sort |
| `average_precision_with_derivatives` | AP, and its derivatives | one threshold | influence values | one sort |
| `ranked_average_precision` | AP | a threshold each, as the images come | ensembles, few images | one stable sort |
| `average_precision_from_counts` | AP, about .001 off | one threshold a bin | ensembles, many images | no sort |

The first is the first part of the third. The others stay apart because they give other numbers, or other last bits:

- Weights are summed only at thresholds that retrieve a positive, in the images' order where scores are equal. The sum
  has fewer terms than the unweighted one, and floating-point sums of other terms round otherwise.
- With derivatives, positives are divided by images first and multiplied by true positives then. AP rounds otherwise,
  and derivatives, from which it is subtracted, may.
- Ranks and bins are other thresholds: other values wherever scores are equal, or fall into one bin.

Targets are 0 or 1, [N, C], scores [N, C] of any float type, larger for more likely. A label without positives has no
AP: NaN, and so on no images at all. A score that is NaN ranks last, as a threshold of its own; bins
have no place for it.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]
Counts = NDArray[np.int64]
Targets = NDArray[np.uint8]
Scores = NDArray[np.floating]
Numbers = NDArray[np.integer | np.floating]
RANKED_UP_TO = 1000
"""Images up to which `ranked_average_precision` is quicker than `bin_counts`."""
_DROPPED_BITS = 18  # of the 23 of a float32's mantissa; leaves 32 bins to a factor of two
_OCTAVES = 16  # odds from 2^-16 to 2^16
_BINS = 2 * _OCTAVES * 32
_HIGHEST = (int(np.float32(1).view(np.int32)) >> _DROPPED_BITS) + _BINS // 2 - 1


def average_precision(targets: Targets, scores: Scores, weights: Floats | None = None) -> Floats:
    """Average precision of each label: the sum over distinct scores of precision times gain in recall.

    Equal scores form one threshold, as in `sklearn.metrics.average_precision_score`.

    Args:
        targets: [N, C], 0 or 1.
        scores: [N, C], larger means more likely.
        weights: [B, N] image weights of at least 0, for B weightings at once; None weighs every image 1.

    Returns:
        0 to 1, [B, C] with weights, [C] without; NaN where a label has no positive weight.

    Raises:
        ValueError: The shapes do not fit.
    """
    if weights is None:
        return precision_recall_areas(targets, scores)[0]
    if weights.shape[1:] != targets.shape[:1]:
        raise ValueError(f"weights {weights.shape} are not of the {len(targets)} images: give [B, {len(targets)}]")
    # Image-major, so that the sums over images run along contiguous rows of replicates.
    w = np.ascontiguousarray(weights.T)
    return np.stack([_weighted(y, s, w) for y, s in _label_by_label(targets, scores)], axis=1)


def precision_recall_areas(targets: Targets, scores: Scores) -> tuple[Floats, Floats]:
    """Two areas under the precision-recall curve of each label, from one sort: by steps and by trapezoids.

    Steps are average precision. Trapezoids start from precision 1 at recall 0, as the area (`auc`) of scikit-learn's
    `precision_recall_curve` does; straight lines between points are too high (Davis and Goadrich 2006).

    Args:
        targets: [N, C], 0 or 1.
        scores: [N, C], larger means more likely.

    Returns:
        Both [C], 0 to 1; NaN where a label has no positives.

    Raises:
        ValueError: The two differ in shape.
    """
    areas = np.full((targets.shape[1], 2), np.nan)
    for c, (y, s) in enumerate(_label_by_label(targets, scores)):
        if y.any():
            areas[c] = _areas(y, s)
    steps, trapezoids = areas.T
    return steps, trapezoids


def average_precision_with_derivatives(targets: Targets, scores: Scores) -> tuple[Floats, Float32s]:
    """Average precision of each label and its derivatives in the images' weights, at equal weights.

    With image weights w the precision at a positive i is A_i / B_i, the weight of the positives and of all images that
    score at least as high, and AP = sum_i w_i A_i / B_i / P over the P positives. Hence, at w = 1, image j has
    [y_j (A_j / B_j - AP) + sum over positives i scored no higher than j of (y_j - A_i / B_i) / B_i] / P.

    Args:
        targets: [N, C], 0 or 1.
        scores: [N, C], larger means more likely.

    Returns:
        Values [C], 0 to 1, NaN for a label without positives, and derivatives float32 [C, N], 0 for such a label.

    Raises:
        ValueError: The two differ in shape.
    """
    values, derivative = np.full(targets.shape[1], np.nan), np.zeros(targets.T.shape, np.float32)
    for c, (y, s) in enumerate(_label_by_label(targets, scores)):
        if y.any():
            values[c] = _differentiate(y, s, derivative[c])
    return values, derivative


def ranked_average_precision(targets: Targets, scores: Scores) -> Floats:
    """Average precision of each label with every image a threshold, equal scores ranked in the images' order.

    That of scikit-learn where no scores are equal: the mean over positives of the precision at their ranks.

    Args:
        targets: [N, C], 0 or 1.
        scores: [N, C], larger means more likely.

    Returns:
        [C], 0 to 1; NaN where a label has no positives.

    Raises:
        ValueError: The two differ in shape.
    """
    _check_shapes(targets, scores)
    order = np.argsort(-scores, axis=0, kind="stable")
    gains = np.take_along_axis(targets, order, axis=0)
    precision = gains.cumsum(axis=0) / np.arange(1, len(scores) + 1)[:, None]
    return _sum_of_steps(precision, gains, gains.sum(axis=0), axis=0)


def average_precision_from_counts(images: Counts, positives: Counts) -> Floats:
    """Average precision of each label from a histogram of its scores, those of one bin taken as equal.

    With the bins of `bin_counts`, over 100 random draws of four labels: .0007 from the exact value in the median, at
    most .004 with 1,001 images, .002 with 2,000, .001 with 10,000.

    Args:
        images: [..., C, bins] images in each bin, the bin of the highest scores first, as `bin_counts` has them.
        positives: [..., C, bins] positives among these.

    Returns:
        [..., C], 0 to 1; NaN where a label has no positives.
    """
    true_positives = positives.cumsum(axis=-1)
    precision = true_positives / np.maximum(images.cumsum(axis=-1), 1)
    return _sum_of_steps(precision, positives, true_positives[..., -1], axis=-1)


def bin_counts(positives: NDArray[np.int64], p: Scores, block: NDArray[np.int64] | None = None) -> Counts:
    """Images and positives in each bin of the odds, 32 bins to a factor of two, the bin of the highest odds first.

    Counts of parts of the images add up, so that every fold of a cross-fit is scored from one reading.

    Args:
        positives: Where the flattened [N, C] targets are 1.
        p: Probabilities [N, C], none of them NaN; odds beyond 2^-16 and 2^16 share the outermost bins.
        block: [N] number of the block of images that each is counted in, from 0; None counts all in one.

    Returns:
        [2, C, bins], or [2, blocks, C, bins].
    """
    classes = p.shape[1]
    odds = np.subtract(1, p, dtype=np.float32)
    np.divide(p, np.maximum(odds, np.float32(2.0**-_OCTAVES), out=odds), out=odds, casting="same_kind")
    # The bits of a positive float grow with it, and its leading ones are those of its logarithm, piecewise linear.
    bins = odds.view(np.int32)
    bins >>= _DROPPED_BITS
    np.clip(np.subtract(_HIGHEST, bins, out=bins), 0, _BINS - 1, out=bins)
    bins += np.arange(classes, dtype=np.int32) * np.int32(_BINS)
    shape: tuple[int, ...] = (classes, _BINS)
    if block is not None:
        bins += (block * (classes * _BINS)).astype(np.int32)[:, None]
        shape = (int(block.max()) + 1, *shape)
    flat, size = bins.reshape(-1), int(np.prod(shape))
    return np.stack([np.bincount(at, minlength=size).reshape(shape) for at in (flat, flat[positives])])


def _check_shapes(targets: Targets, scores: Scores) -> None:
    if targets.shape != scores.shape:
        raise ValueError(f"targets {targets.shape} and scores {scores.shape} differ in shape: give both as [N, C]")


def _label_by_label(targets: Targets, scores: Scores) -> Iterator[tuple[Targets, Scores]]:
    """Targets [N] and scores [N] of each label, contiguous: the arrays of one label stay in the processor's cache."""
    _check_shapes(targets, scores)
    return zip(np.ascontiguousarray(targets.T), np.ascontiguousarray(scores.T), strict=True)


def _thresholds(s: Scores, kind: Literal["quicksort", "stable"]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Images [N] by falling score, and [K] the place in this order of the last image of each distinct score.

    Where nothing depends on the order of images of equal score, the sort need not be stable and is quicker.
    """
    order = np.argsort(-s, kind=kind)
    ranked = s[order]
    return order, np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(s) - 1)


def _sum_of_steps(precision: Floats, gains: Numbers, positives: Numbers, axis: int) -> Floats:
    """AP: precision at each threshold times the positives that it adds, over all positives; NaN without any."""
    scored = positives > 0
    return np.where(scored, (precision * gains).sum(axis=axis) / np.where(scored, positives, 1), np.nan)


def _areas(y: Targets, s: Scores) -> tuple[float, float]:
    """Area by steps and by trapezoids of one label with positives."""
    order, ends = _thresholds(s, "quicksort")
    true_positives = np.cumsum(y[order], dtype=np.int64)[ends]
    precision, gains = true_positives / (ends + 1), np.diff(true_positives, prepend=0)
    between = (precision + np.append(1.0, precision[:-1])) / 2
    positives = true_positives[-1]
    # As in _sum_of_steps, which takes longer over one label than its sort where images are few.
    return float((precision * gains).sum() / positives), float((between * gains).sum() / positives)


def _weighted(y: Targets, s: Scores, w: Floats) -> Floats:
    """[B] for weights [N, B]. Only thresholds that retrieve a positive gain recall, so only they are summed up to."""
    from scipy.sparse import csr_matrix  # only reports need it, and it slows `import swath` down

    # Stable, as sums of weights round by their order.
    order, ends = _thresholds(s, "stable")
    positive = np.flatnonzero(y[order])
    if not len(positive):
        return np.full(w.shape[1], np.nan)
    hit, first = np.unique(np.searchsorted(ends, positive), return_index=True)
    stops = ends[hit] + 1

    def sums(rows: NDArray[np.intp], bounds: NDArray[np.intp]) -> Floats:
        return csr_matrix((np.ones(len(rows)), rows, bounds), shape=(len(stops), len(s))) @ w

    retrieved = np.cumsum(sums(order[: stops[-1]], np.append(0, stops)), axis=0)
    gains = sums(order[positive], np.append(first, len(positive)))
    true_positives = np.cumsum(gains, axis=0)
    precision = true_positives / np.where(retrieved > 0, retrieved, 1)
    return _sum_of_steps(precision, gains, true_positives[-1], axis=0)


def _differentiate(y: Targets, s: Scores, derivative: Float32s) -> float:
    """Average precision of one label with positives; its derivatives are written into an array [N]."""
    order, ends = _thresholds(s, "quicksort")
    hits = y[order]
    # Images of equal score form a block; all sums are over blocks.
    true_positives = np.cumsum(hits, dtype=np.int64)[ends]
    gains = np.diff(true_positives, prepend=0) / (ends + 1)
    precision = true_positives / (ends + 1)
    positives = float(true_positives[-1])
    value = float((gains * true_positives).sum()) / positives
    # With F_k positives and n_k images down to block k, precision_k = F_k / n_k and AP = sum_k g_k F_k / P, where
    # g_k = (positives in block k) / n_k. The positives scored no higher than an image of block b are those of the
    # blocks k >= b, so the sum of the docstring is y_j sum_{k>=b} g_k - sum_{k>=b} g_k precision_k: two running sums
    # from the end, and one sort in all.
    gain = np.cumsum(gains[::-1])[::-1]
    loss = np.cumsum((gains * precision)[::-1])[::-1]
    block = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=-1))
    derivative[order] = ((hits * (precision - value + gain)[block] - loss[block]) / positives).astype(np.float32)
    return value
