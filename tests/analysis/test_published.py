from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from swath.analysis.analyse import Analysis, analyse
from swath.analysis.published import published_scores
from swath.analysis.rank_correlation import rank_correlation
from swath.store.storage import Storage
from tests.support.fake_store import CHAINS, LOSSES, FakeTask, FakeTrial, write_study


@pytest.fixture
def analysis(tmp_path: Path) -> Analysis:
    """Four cells of two chains and two losses, of which the last was stopped."""
    trials = [FakeTrial(chain, loss=loss) for chain in CHAINS for loss in LOSSES]
    for trial, quality in zip(trials, (0.4, 0.9, 1.4, 2.0), strict=True):
        trial.quality = quality
    trials[3].state = "STOPPED"
    return analyse(write_study(Storage(str(tmp_path)), [FakeTask()], {"scenes": trials}).read().tasks[0])


def test_places_are_among_the_cells_that_both_lists_score(analysis: Analysis) -> None:
    labels = list(dict.fromkeys(t.cell for t in analysis.task.trials))
    on_record = dict(zip(labels, [(0.5, 0.7), (0.6, 0.7), (0.9,), (0.99,)], strict=True))
    found = published_scores({"of another task": (1.0,), **on_record}, analysis)
    assert [cell.cell for cell in found.cells] == labels
    assert [cell.place for cell in found.cells] == [3, 2, 1, None]
    assert [cell.published_place for cell in found.cells] == [2, 2, 1, None]  # by the private score; equals share
    assert [cell.score is None for cell in found.cells] == [False, False, False, True]
    assert found.cells[3].states == ("STOPPED",)
    own = {cell.cell: cell.score for cell in analysis.cells}
    expected = spearmanr([own[label] for label in labels[:3]], [0.7, 0.7, 0.9]).statistic  # type: ignore[attr-defined]
    assert found.compared == 3
    assert found.correlation == pytest.approx(expected)


def test_two_pairs_have_no_rank_correlation() -> None:
    assert np.isnan(rank_correlation([1, 2], [1, 2]))
    assert rank_correlation([1, 2, 3], [3, 4, 9]) == pytest.approx(1)
