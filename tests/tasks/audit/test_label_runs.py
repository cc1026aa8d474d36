import numpy as np
import pytest
from numpy.typing import NDArray

from swath.tasks.audit.label_runs import filled_runs


def scenes(n: int, labels: int, seed: int) -> NDArray[np.uint8]:
    """Labels of scenes of 40 categories, each with its own, in some pictures more of all: nothing is independent."""
    rng = np.random.default_rng(seed)
    chances = np.exp(rng.normal(-3.2, 1.2, labels))
    chances[rng.choice(labels, 4, replace=False)] = (0.65, 0.5, 0.4, 0.3)
    category = np.clip(chances * rng.gamma(1, 1, (40, labels)), 0, 0.9)
    for own in category:
        own[rng.choice(labels, 5, replace=False)] = rng.uniform(0.4, 0.95, 5)
    richness = rng.gamma(4, 0.25, (n, 1))
    return (rng.random((n, labels)) < np.clip(category[rng.integers(40, size=n)] * richness, 0, 0.97)).astype(np.uint8)


@pytest.mark.parametrize("seed", range(3))
def test_three_rows_in_a_hundred_are_found(seed: int) -> None:
    targets, rng = scenes(2000, 60, seed), np.random.default_rng(100 + seed)
    planted = {}
    for row in rng.choice(2000, 60, replace=False):
        length = int(rng.integers(8, 31))
        first = int(rng.integers(0, 60 - length + 1))
        targets[row, first : first + length] = 1
        planted[int(row)] = (first, first + length - 1)
    found = {run.row: run for run in filled_runs(targets)}
    assert len(set(found) & set(planted)) >= 0.95 * len(planted)
    assert len(set(found) - set(planted)) <= 0.05 * len(found)
    for row in set(found) & set(planted):
        assert found[row].first <= planted[row][0]  # a label that was there may lengthen the run
        assert found[row].last >= planted[row][1]


@pytest.mark.parametrize("labels", [14, 30, 60])
def test_labels_that_go_together_are_no_filled_runs(labels: int) -> None:
    assert len(filled_runs(scenes(2000, labels, 7))) <= 1


def test_labels_that_often_stand_side_by_side_are_none() -> None:
    targets = scenes(2000, 40, 1)
    rows = np.random.default_rng(0).choice(2000, 300, replace=False)
    targets[rows, 10:18] = 1  # a scene of its own: eight neighbours that always come together
    assert not set(rows.tolist()) & {run.row for run in filled_runs(targets)}


def test_small_tables_are_left_alone() -> None:
    assert filled_runs(np.ones((10, 20), np.uint8)) == []
    assert filled_runs(np.ones((100, 4), np.uint8)) == []
