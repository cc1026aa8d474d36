import math
from pathlib import Path

import numpy as np
import pytest

from swath.analysis.analyse import Analysis, analyse
from swath.analysis.searches.summary import SearchResult
from swath.config.search import Optuna, Point, Random, Range
from swath.store.storage import Storage
from tests.support.fake_store import FakeTrial
from tests.support.searched import SPACE, searched_study


def quality(point: Point, trial: FakeTrial) -> float:
    """Best at a learning rate of .003; weight decay does nothing; sharpening helps."""
    peak = 1.6 - 0.35 * (math.log10(point["lr"]) + 2.5) ** 2
    return max(0.05, peak) + (0.4 if trial.preprocess != "raw" else 0.0)


def analysed(tmp_path: Path, **more) -> Analysis:
    given = {"train": 300, **more}
    return analyse(searched_study(Storage(str(tmp_path)), given.pop("quality", quality), **given).read().tasks[0])


def only(analysis: Analysis) -> SearchResult:
    (result,) = analysis.searches
    return result


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """A random search in two cells of a grid, two seeds."""
    cells = ({}, {"preprocess": "grayscale|sharpen"})
    return analysed(tmp_path_factory.mktemp("crossed"), points=12, cells=cells, seeds=(0, 1))


def test_points_are_no_levels_and_factors_are_compared_at_equal_points(crossed: Analysis):
    assert crossed.task.factors == {"preprocess": ("raw", "grayscale|sharpen")}
    (effect,) = crossed.effects.effects
    assert (effect.factor, len(effect.pairs), effect.blocks) == ("preprocess", 24, 12)
    by_fingerprint = {t.fingerprint: t for t in crossed.task.trials}
    for pair in effect.pairs:
        a, b = by_fingerprint[pair.level], by_fingerprint[pair.baseline]
        assert (a.factors["search"], a.seed) == (b.factors["search"], b.seed)
    assert (effect.verdict, crossed.effects.shares, crossed.effects.interactions) == ("better", None, ())
    assert crossed.baseline is None
    assert not any(cell.baseline for cell in crossed.cells)


def test_the_score_along_a_range_is_found_and_a_range_that_does_nothing_is_level(crossed: Analysis):
    result = only(crossed)
    along = {one.name: one for one in result.slices}
    lr = along["lr"]
    assert (lr.kind, lr.flat, along["weight_decay"].flat) == ("loguniform", False, True)
    assert 5e-4 < float(lr.values[int(np.argmax(lr.mean))]) < 2e-2
    assert lr.mean[0] < max(lr.mean) - 0.2
    assert along["weight_decay"].advice is None
    tried = [p.values["lr"] for p in result.points]
    assert (lr.values[0], lr.values[-1]) == pytest.approx((min(tried), max(tried)))
    names = list(result.importances)
    assert (names[0], names[-1]) == ("lr", "weight_decay")
    assert set(names) == {"lr", "weight_decay", "preprocess"}
    assert sum(result.importances.values()) == pytest.approx(1)
    assert result.images
    assert result.explained > 0.8
    assert {p.runs for p in result.points} == {2}


def test_best_so_far_goes_by_the_order_in_which_points_were_asked_for(crossed: Analysis):
    result = only(crossed)
    scores = {cell.cell: cell.score for cell in crossed.cells}
    for best in result.best:
        asked = [scores[p.cell] for p in crossed.task.searches[0].points if p.origin == best.origin]
        assert list(best.scores) == [max(asked[: n + 1]) for n in range(12)]
        assert best.best is not None
        assert (best.number, best.best.score) == (int(np.argmax(asked)) + 1, max(asked))
    assert [best.origin for best in result.best] == ["raw / resnet18 / bce", "grayscale|sharpen / resnet18 / bce"]


def test_with_few_points_nothing_is_modelled(tmp_path: Path):
    result = only(analysed(tmp_path, points=7))
    assert (len(result.points), result.modelled, result.slices, result.importances) == (7, 0, (), {})
    assert result.best[0].number > 0


def test_all_points_failed_but_one(tmp_path: Path):
    result = only(analysed(tmp_path, points=9, state=lambda number: "COMPLETE" if number == 4 else "FAILED"))
    assert (len(result.points), result.failed, result.stopped, result.waiting) == (1, 8, 0, 0)
    assert (result.best[0].number, result.modelled) == (5, 0)
    assert [math.isnan(s) for s in result.best[0].scores] == [True] * 4 + [False] * 5


def test_stopped_points_are_counted_and_in_no_number(tmp_path: Path):
    states = lambda number: "STOPPED" if number % 3 == 2 else None if number == 0 else "COMPLETE"  # noqa: E731
    result = only(analysed(tmp_path, points=15, state=states))
    assert (len(result.points), result.stopped, result.failed, result.waiting) == (9, 5, 0, 1)
    assert result.modelled == 9


def test_a_parameter_of_one_value_is_left_out(tmp_path: Path):
    asked = [{**point, "weight_decay": 0.05} for point in Random(10).ask(SPACE, [])]
    result = only(analysed(tmp_path, asked=asked))
    assert (result.constant, [one.name for one in result.slices]) == (("weight_decay",), ["lr"])
    assert result.importances == {"lr": 1.0}


def test_a_search_over_choices_alone(tmp_path: Path):
    space = {"loss": Range("choice", options=("bce", "focal", "two")), "pool": Range("choice", options=("a", "b", "c"))}
    result = only(
        analysed(tmp_path, points=9, space=space, quality=lambda p, t: [0.2, 1.5, 0.3][p["loss"]], seeds=(0, 1))
    )
    loss = next(one for one in result.slices if one.name == "loss")
    assert (loss.kind, loss.values) == ("choice", ("bce", "focal", "two"))
    assert (int(np.argmax(loss.mean)), loss.flat, loss.advice) == (1, False, None)
    assert next(iter(result.importances)) == "loss"


def test_whole_numbers_are_whole(tmp_path: Path):
    space = {"epochs": Range("integers", 1, 12)}
    result = only(analysed(tmp_path, points=12, space=space, quality=lambda p, t: 0.15 * p["epochs"]))
    (one,) = result.slices
    assert one.values == tuple(float(n) for n in range(1, 13))
    assert one.advice is not None
    assert one.advice.kind == "up"


def test_points_of_optuna_are_read_alike(tmp_path: Path):
    kind = Optuna(12)
    result = only(analysed(tmp_path, points=12, search=kind, asked=Random(12, seed=5).ask(SPACE, [])))
    assert (result.search, result.modelled) == ("optuna", 12)


def test_scores_that_are_noise_have_no_slices(tmp_path: Path):
    result = only(analysed(tmp_path, points=12, quality=lambda p, t: 0.5))
    assert result.modelled == 12
    assert result.slices == () or all(one.flat for one in result.slices)
    assert (result.importances == {}) == (result.slices == ())
