import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from swath.analysis.ensembles.cross_fit import ensembles
from swath.analysis.ensembles.diversity import diversity, parts
from swath.analysis.ensembles.pool import Pool


def macro_ap(targets, p):
    return np.mean([average_precision_score(targets[:, c], p[:, c]) for c in range(targets.shape[1])])


def test_what_a_member_adds_is_the_score_without_it(scenes_task):
    found = next(e for e in ensembles(Pool.of(scenes_task)) if e.name == "top3")
    targets = scenes_task.targets(0)
    p = [run.probabilities for run in found.members]
    by_member = {(part.cell, part.seed): part for part in parts(scenes_task, found)}
    for at, run in enumerate(found.members):
        rest = np.mean([q for i, q in enumerate(p) if i != at], axis=0)
        part = by_member[run.cell, run.seed]
        assert part.adds == pytest.approx(100 * (macro_ap(targets, np.mean(p, axis=0)) - macro_ap(targets, rest)))
        assert part.score == pytest.approx(macro_ap(targets, p[at]))


def test_diversity_is_over_runs_equal_in_all_else(scenes_task):
    pool = Pool.of(scenes_task)
    targets = pool.targets
    found = {d.factor: d for d in diversity(pool)}
    assert set(found) == {"preprocess", "backbone", "loss", "seed"}
    gains, errors = [], []
    runs = {(r.cell, r.seed): r.probabilities for r in pool.runs}
    for (cell, seed), p in runs.items():
        other = runs.get((cell, 1))
        if seed == 0 and other is not None:
            gains.append(
                100 * (macro_ap(targets, (p + other) / 2) - (macro_ap(targets, p) + macro_ap(targets, other)) / 2)
            )
            errors.append(np.corrcoef((p - targets).ravel(), (other - targets).ravel())[0, 1])
    assert found["seed"].pairs == len(gains)
    assert found["seed"].gain == pytest.approx(np.mean(gains))
    assert found["seed"].correlation == pytest.approx(np.mean(errors))
