import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from swath.analysis.cells import cell_results
from swath.analysis.mistakes import mistakes, precision_recall
from swath.analysis.results import TaskResults


def test_a_mistake_names_what_was_missed_and_what_was_wrong(scenes_task: TaskResults) -> None:
    cell = next(c for c in cell_results(scenes_task) if len(c.runs) == 2)
    p = (cell.trials[0].probabilities + cell.trials[1].probabilities) / 2
    targets, labels = scenes_task.targets(0), scenes_task.record.labels
    ids = list(scenes_task.record.rows["id"].to_numpy()[scenes_task.validation[0]])
    found = mistakes(scenes_task, cell)
    losses = [mistake.loss for mistake in found]
    assert losses == sorted(losses, reverse=True)
    for mistake in found:
        row = ids.index(mistake.id)
        assert mistake.loss == pytest.approx(-np.log(np.where(targets[row] > 0, p[row], 1 - p[row])).sum())
        said = {one.label: one.p for one in (*mistake.missed, *mistake.wrong)}
        wrong = [c for c in range(len(labels)) if (p[row, c] > 0.5) != bool(targets[row, c])]
        assert said == pytest.approx({labels[c]: p[row, c] for c in wrong})


def test_a_thinned_curve_keeps_its_ends_and_its_area(scenes_task: TaskResults) -> None:
    cell = cell_results(scenes_task)[0]
    curves = precision_recall(scenes_task, cell)
    assert [c.label for c in curves] == list(scenes_task.record.labels)
    for number, found in enumerate(curves):
        assert (found.recall[0], found.recall[-1]) == (0, 1)
        assert len(found.recall) <= 80
        area = np.sum(np.diff(found.recall) * found.precision[1:])
        expected = average_precision_score(scenes_task.targets(0)[:, number], cell.probabilities[:, number])
        assert area == pytest.approx(expected, abs=1e-3)
