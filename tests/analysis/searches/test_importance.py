import numpy as np
import pytest

from swath.analysis.searches.importance import fanova


def test_shares_are_the_variances_of_a_known_sum():
    """Of a + b with independent fields the shares are var(a) and var(b) over their sum."""
    rng = np.random.default_rng(0)
    place, level, nothing = rng.random(256), rng.integers(0, 3, 256), rng.random(256)
    steps = np.array([0.0, 0.1, 0.15])
    scores = 0.4 * (1 - (1 - place) ** 3) + steps[level]
    rows = [
        {"lr": float(p), "loss": "abc"[k], "nothing": float(n)} for p, k, n in zip(place, level, nothing, strict=True)
    ]
    curve = 0.4 * (1 - (1 - np.linspace(0, 1, 2001)) ** 3)
    expected = np.array([curve.var(), steps.var()])
    found = fanova(rows, scores.tolist())
    assert [found["lr"], found["loss"]] == pytest.approx(expected / expected.sum(), abs=0.05)
    assert found["nothing"] < 0.01
    assert next(iter(found)) == "lr"
