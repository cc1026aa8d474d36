import numpy as np

from swath.analysis.costs import front


def test_the_front_is_what_nothing_beats():
    rng = np.random.default_rng(0)
    for _ in range(50):
        x, y = rng.integers(1, 6, (2, 12)).astype(float)
        beaten = [
            any(x[j] <= x[i] and y[j] >= y[i] and (x[j] < x[i] or y[j] > y[i]) for j in range(12)) for i in range(12)
        ]
        found = front(x, y)
        assert sorted(found) == [i for i in range(12) if not beaten[i]]
        assert (np.diff(x[found]) >= 0).all()
