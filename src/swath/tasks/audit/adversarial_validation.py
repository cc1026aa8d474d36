"""Adversarial validation: can a model tell test images from training images? Where it can, validation misleads."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from swath.tasks.audit.audited_task import AuditedTask
from swath.tasks.audit.findings import Finding
from swath.tasks.audit.scan import FEATURES, GRID, feature_matrix

MOST = 8000
"""Images of each side that are used at most."""
_LEAST = 30
_FOLDS = 5
_SERIOUS, _WARNING = 0.8, 0.6
_WHOLE = len(FEATURES) - 3 * GRID * GRID  # features of the whole picture, the ones worth naming


@dataclass(frozen=True)
class Adversarial:
    """How well a model tells the two apart.

    Attributes:
        auc: Area under the ROC curve over held-out predictions; 0.5 is chance.
        low: Lower end of its 95 % interval.
        high: Upper end.
        train: Training images used.
        test: Test images used.
        telling: The features of whole pictures that separate best on their own, each with its AUC (0.5 to 1).
        most: Row numbers of the training images that are most like test images, and of the test images least like
            training images, 6 each.
    """

    auc: float
    low: float
    high: float
    train: int
    test: int
    telling: tuple[tuple[str, float], ...]
    most: tuple[tuple[int, ...], tuple[int, ...]]


def adversarial_validation(task: AuditedTask, groups: NDArray[np.int64], seed: int = 0) -> Adversarial | None:
    """Train gradient boosting on colours and a 6x6 picture, predict held-out images.

    Groups of duplicates are held out together, so that recognising a picture does not count. The interval is
    DeLong's: over images, for this training of the model.

    Args:
        task: The task.
        groups: [N] group index of each row.
        seed: Of the draw, the folds and the model.

    Returns:
        None when one side has fewer than 30 images.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(seed)
    sides = [rows[task.sound[rows]] for rows in (task.train, task.test)]
    if min(map(len, sides)) < _LEAST:
        return None
    train, test = (rng.permutation(rows)[:MOST] for rows in sides)
    rows = np.concatenate([train, test])
    x = feature_matrix([task.scans[row] for row in rows])
    is_test = np.repeat([0, 1], [len(train), len(test)])
    model = HistGradientBoostingClassifier(max_iter=60, learning_rate=0.1, max_leaf_nodes=15, random_state=seed)
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed)
    with threadpool_limits(1):  # beside other work on the machine its threads wait for each other, 50 times as long
        predicted = cross_val_predict(model, x, is_test, groups=groups[rows], cv=folds, method="predict_proba")
    scores = np.asarray(predicted)[:, 1]
    auc, half_width = auc_interval(scores[is_test == 1], scores[is_test == 0])
    alone = [max(a, 1 - a) for a in (auc_interval(f[is_test == 1], f[is_test == 0])[0] for f in x.T[:_WHOLE])]
    telling = tuple((FEATURES[i], alone[i]) for i in np.argsort(alone)[::-1][:3])
    like_test = train[np.argsort(-scores[: len(train)], kind="stable")[:6]]
    unlike_train = test[np.argsort(-scores[len(train) :], kind="stable")[:6]]
    most = (tuple(map(int, like_test)), tuple(map(int, unlike_train)))
    return Adversarial(
        auc=auc,
        low=max(0.0, auc - half_width),
        high=min(1.0, auc + half_width),
        train=len(train),
        test=len(test),
        telling=telling,
        most=most,
    )


def auc_interval(positive: NDArray[np.floating], negative: NDArray[np.floating]) -> tuple[float, float]:
    """Area under the ROC curve and half the width of its 95 % interval (DeLong, DeLong, Clarke-Pearson 1988).

    Args:
        positive: Scores of the positives, two or more.
        negative: Scores of the negatives, two or more.
    """
    m, n = len(positive), len(negative)
    ranks = rankdata(np.concatenate([positive, negative]))
    above = (ranks[:m] - rankdata(positive)) / n  # share of the negatives below each positive, ties half
    below = 1 - (ranks[m:] - rankdata(negative)) / m
    variance = above.var(ddof=1) / m + below.var(ddof=1) / n
    return float(above.mean()), 1.96 * float(np.sqrt(variance))


def adversarial_findings(task: AuditedTask, result: Adversarial | None) -> list[Finding]:
    """A finding when train and test can be told apart by more than chance."""
    if result is None or result.low <= 0.5:
        return []
    telling = ", ".join(f"{name} (AUC {auc:.2f})" for name, auc in result.telling)
    return [
        Finding(
            kind="train_test_difference",
            severity="serious" if result.low > _SERIOUS else "warning" if result.low > _WARNING else "note",
            text=f"A simple model tells test images from training images with AUC {result.auc:.3f} "
            f"({result.low:.3f} to {result.high:.3f}; 0.5 is chance). Most telling on their own: {telling}.",
            count=result.test,
            unit="images",
            advice="A validation score does not predict the test score where the two differ. Find out why (another "
            "camera, place, size, codec), validate on the training images most like the test, or use a chain that "
            "makes them alike. The picture's first row is training images taken for test, the second test images.",
            examples=(),
            show=tuple(tuple(task.ids[row] for row in rows) for rows in result.most),
        )
    ]
