import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score

from swath.analysis.ensembles.candidates import CandidateSubset
from swath.analysis.ensembles.rules import (
    BAGS,
    PATIENCE,
    PICKS,
    EnsembleWeights,
    best,
    best_by_rank,
    best_per_level,
    everyone,
    greedy,
    greedy_counts,
    ranks,
    top,
    weighted,
)


def macro_ap(targets, p):
    return np.mean([average_precision_score(targets[:, c], p[:, c]) for c in range(targets.shape[1])])


def make_view(candidates=6, images=300, classes=4, metric="map", seed=0):
    """Candidates of growing quality whose errors are partly shared."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((images, classes)) < np.linspace(0.1, 0.5, classes)).astype(np.uint8)
    shared = rng.normal(size=targets.shape)
    logits = [
        (targets - 0.5) * (0.6 + 0.25 * k) + 0.6 * shared + rng.normal(size=targets.shape) for k in range(candidates)
    ]
    p = (1 / (1 + np.exp(-2 * np.array(logits)))).astype(np.float32)
    factors = tuple({"backbone": "ab"[k % 2]} for k in range(candidates))
    return CandidateSubset(metric, "multilabel", factors, p, targets, np.zeros(images, np.int64))


def test_order_top_best_and_levels():
    view = make_view()
    exact = [macro_ap(view.targets, p) for p in view.probabilities]
    order = np.argsort(exact)[::-1]
    assert view.order.tolist() == order.tolist()
    assert top(view, 3) == EnsembleWeights(tuple(order[:3]), (1 / 3,) * 3)
    assert everyone(view).members == tuple(order)
    sizes = [1, 2, 3, 5]
    by_size = {k: macro_ap(view.targets, view.probabilities[order[:k]].mean(axis=0)) for k in sizes}
    assert len(best(view).members) == max(by_size, key=lambda k: by_size[k])
    assert best_by_rank(view).average == "ranks"
    firsts = [next(i for i in order if i % 2 == level) for level in (0, 1)]
    assert sorted(best_per_level(view, "backbone").members) == sorted(firsts)


def test_weights_are_those_of_least_brier_score():
    view = make_view(candidates=4)
    mix = weighted(view)
    p, targets = view.probabilities.astype(np.float64), view.targets

    def brier(w):
        return ((np.tensordot(w, p, axes=1) - targets) ** 2).mean()

    reference = minimize(
        brier,
        np.full(4, 0.25),
        method="SLSQP",
        bounds=[(0, 1)] * 4,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    found = np.zeros(4)
    found[list(mix.members)] = mix.weights
    assert found.sum() == pytest.approx(1)
    assert brier(found) == pytest.approx(reference.fun, rel=1e-5)
    assert found == pytest.approx(reference.x, abs=5e-3)


def naive_greedy(view):
    """Caruana et al. 2004 with a sorted start, written out: pick the best addition, keep the best prefix."""
    order = list(view.order)
    starts = [view.score(view.probabilities[order[:k]].mean(axis=0)) for k in range(1, min(5, len(order)) + 1)]
    picks = order[: int(np.argmax(starts)) + 1]
    history = [(max(starts), len(picks))]
    while len(picks) < PICKS and len(picks) - max(history, key=lambda pair: (pair[0], -pair[1]))[1] < PATIENCE:
        scores = [view.score(view.probabilities[[*picks, m]].mean(axis=0)) for m in order]
        picks.append(order[int(np.argmax(scores))])
        history.append((max(scores), len(picks)))
    length = max(history, key=lambda pair: (pair[0], -pair[1]))[1]
    return np.bincount(picks[:length], minlength=len(order))


def test_greedy_picks_like_a_plain_loop_and_beats_the_best_single():
    view = make_view(metric="macro_f1")
    counts = greedy_counts(view)
    assert counts.tolist() == naive_greedy(view).tolist()
    mix = greedy(view)
    assert sum(mix.weights) == pytest.approx(1)
    combined = np.tensordot(np.array(mix.weights), view.probabilities[list(mix.members)], axes=1)
    assert view.score(combined) >= view.scores.max()


def test_greedy_with_many_candidates_is_bagged_and_bounded():
    view = make_view(candidates=30, images=120)
    counts = greedy_counts(view)
    assert counts.sum() <= BAGS * PICKS
    assert np.count_nonzero(counts) <= 24
    assert np.array_equal(counts, greedy_counts(view))


def test_thinning_keeps_an_even_share_of_the_images():
    view = make_view(images=300)
    thin = view.thinned(400)
    assert len(thin.targets) == 100
    assert thin.probabilities.shape == (6, 100, 4)
    assert view.thinned(1200) is view


def test_scores_are_means_over_folds():
    view = make_view(metric="macro_f1")
    folds = np.repeat([0, 1], [100, 200])
    split = CandidateSubset("macro_f1", "multilabel", view.factors, view.probabilities, view.targets, folds)
    parts = [
        CandidateSubset("macro_f1", "multilabel", view.factors, view.probabilities[:, m], view.targets[m], folds[m])
        for m in (folds == 0, folds == 1)
    ]
    p = view.probabilities[0]
    assert split.score(p) == pytest.approx(np.mean([parts[0].score(p[:100]), parts[1].score(p[100:])]))


def test_ranks_and_mixes_are_weighted_means():
    p = make_view(candidates=3).probabilities.astype(np.float64)
    assert np.allclose(ranks(p[0])[:, 1], rankdata(p[0][:, 1]) / 300)
    assert np.allclose(EnsembleWeights((2, 0), (0.25, 0.75)).apply(p), 0.25 * p[2] + 0.75 * p[0])
    assert np.allclose(EnsembleWeights((1,), (1.0,), "ranks").apply(p), ranks(p[1]))
