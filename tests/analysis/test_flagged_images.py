import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from swath.analysis.cells import cell_results
from swath.analysis.flagged_images import without_flagged
from swath.analysis.results import TaskResults


def test_the_other_images_are_scored_alone(scenes_task: TaskResults) -> None:
    cells = cell_results(scenes_task)
    ids = scenes_task.record.rows["id"].to_numpy()[scenes_task.validation[0]]
    found = without_flagged(scenes_task, cells, frozenset([*ids[::3], "in no part"]))
    assert (found.images, found.flagged) == (len(ids), len(ids[::3]))
    kept = np.arange(len(ids)) % 3 > 0
    targets = scenes_task.targets(0)[kept]
    for own, cell in zip(found.scores, cells, strict=True):
        expected = np.mean([average_precision_score(targets, t.probabilities[kept]) for t in cell.trials])
        assert own.cell is cell
        assert own.score == pytest.approx(expected, abs=1e-12)
        assert own.difference == pytest.approx(expected - cell.score, abs=1e-12)
    scores = [own.score for own in found.scores]
    assert found.same_order == (scores == sorted(scores, reverse=True))


def test_nothing_is_scored_where_every_image_is_flagged(scenes_task: TaskResults) -> None:
    found = without_flagged(scenes_task, cell_results(scenes_task), frozenset(scenes_task.record.rows["id"]))
    assert found.flagged == found.images
    assert found.scores == ()
