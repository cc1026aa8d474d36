"""Two sweeps side by side, against a paired analysis by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score

from swath.analysis.compare import TaskComparison, compare
from swath.analysis.load import read_results
from swath.cli import main as cli
from swath.core.errors import InputError
from swath.report.markdown.compare import compare_sweeps
from swath.store import tasks as tasks_
from swath.store.storage import Storage
from tests.support.fake_store import SPLIT, FakeTask, FakeTrial, write_fake_sweep

SEEDS = (0, 1, 2)
LOW = {"raw": 0.5, "grayscale|sharpen": 0.8}


def side(moves: dict[str, float], seeds=SEEDS, **more) -> list[FakeTrial]:
    """Two cells; other epochs or seeds give other noise."""
    return [FakeTrial(p, seed=s, quality=LOW[p] + moves.get(p, 0.0), **more) for s in seeds for p in LOW]


def written(path: Path, name: str, trials: list[FakeTrial], task: FakeTask | None = None) -> Storage:
    storage = Storage(str(path))
    write_fake_sweep(storage, {"scenes": trials}, [task or FakeTask(train=600)], name=name, rule="")
    return storage


def found(a: Storage, b: Storage, names=("before", "after")) -> TaskComparison:
    (task,) = compare(read_results(a, names[0]), read_results(b, names[1]))
    return task


def test_moves_are_mean_paired_differences_with_the_effects_intervals(tmp_path: Path) -> None:
    a = written(tmp_path / "a", "before", side({}))
    b = written(tmp_path / "b", "after", side({"raw": 0.6}, epochs=8))
    task = found(a, b)
    one, other = (read_results(s, n).tasks[0] for s, n in ((a, "before"), (b, "after")))
    by_cell = {}
    for cell in {t.cell for t in one.trials}:
        score = [
            np.array([average_precision_score(r.targets(0), t.probabilities) for t in r.trials if t.cell == cell])
            for r in (one, other)
        ]
        by_cell[cell] = score[1] - score[0]
        moved = next(m for m in task.cells if m.cell == cell)
        assert (moved.before, moved.after) == pytest.approx((score[0].mean(), score[1].mean()), abs=1e-9)
        assert moved.estimate.difference == pytest.approx(by_cell[cell].mean(), abs=1e-9)
        assert moved.estimate.seed_variance == pytest.approx(by_cell[cell].var(ddof=1) / 3)
        by_images = stats.t.ppf(0.975, moved.estimate.image_df) ** 2 * moved.estimate.image_variance
        half = stats.t.ppf(0.975, 2) ** 2 * moved.estimate.seed_variance + by_images
        assert moved.estimate.high - moved.estimate.difference == pytest.approx(np.sqrt(half), rel=1e-3)
    assert task.overall is not None
    assert task.overall.difference == pytest.approx(np.mean(list(by_cell.values())), abs=1e-9)
    assert [(m.cell.split(" ")[0], m.verdict) for m in task.cells] == [
        ("raw", "better"),
        ("grayscale|sharpen", "undecided"),
    ]
    assert ("epochs", "4", "8") in task.changed
    assert task.images == 300


def test_noise_alone_is_rarely_called_a_move(tmp_path: Path) -> None:
    called = 0
    for draw in range(10):
        a = written(tmp_path / f"a{draw}", "before", side({}, extra={"draw": str(draw)}), FakeTask(train=160))
        b = written(tmp_path / f"b{draw}", "after", side({}, extra={"draw": str(draw)}, epochs=5), FakeTask(train=160))
        called += any(m.verdict in ("better", "worse") for m in found(a, b).cells)
    assert called <= 3  # family-wise 5 %: more than three of ten happens once in a thousand times


def test_shared_trials_are_the_same_and_one_seed_gets_no_interval(tmp_path: Path) -> None:
    store = written(tmp_path, "before", side({}, seeds=(0,)))
    changed = [t if t.preprocess == "raw" else replace(t, epochs=6, quality=1.5) for t in side({}, seeds=(0,))]
    written(tmp_path, "after", [*changed, FakeTrial(loss="focal")])
    task = found(store, store)
    by_cell = {m.cell.split(" ")[0]: m for m in task.cells}
    assert by_cell["raw"].same
    assert by_cell["raw"].estimate.difference == 0
    assert not by_cell["grayscale|sharpen"].same
    assert by_cell["grayscale|sharpen"].verdict == "no interval"
    assert task.unmatched == (("raw / resnet18 / focal", "only in B"),)
    text = compare_sweeps((store, "before"), (store, "after"))
    assert "the same predictions" in text
    assert "only in B: `raw / resnet18 / focal`" in text


def test_cells_without_a_common_seed_are_paired_in_order_and_it_is_said(tmp_path: Path) -> None:
    a = written(tmp_path / "a", "before", side({}))
    b = written(tmp_path / "b", "after", side({}, seeds=(7, 8, 9)))
    task = found(a, b)
    assert [m.estimate.units for m in task.cells] == [3, 3]
    assert "no seed in common in 2 cells" in task.notes[0]


def test_other_data_or_splits_cannot_be_compared_and_the_reason_is_given(tmp_path: Path) -> None:
    class Other(FakeTask):
        @property
        def data(self) -> str:
            return "data-of-another-day"

    a = written(tmp_path / "a", "before", side({}))
    b = written(tmp_path / "b", "after", side({}), Other(train=600))
    assert "the data differ" in found(a, b).refused
    with pytest.raises(InputError, match="cannot be compared: the data differ"):
        compare_sweeps((a, "before"), (b, "after"))
    c = written(tmp_path / "c", "after", side({}))
    task = FakeTask(train=600)
    tasks_.write_folds(c, task.data, SPLIT.canonical(), np.roll(task.folds_of, 1))
    with pytest.raises(InputError, match="but other images validated"):
        compare_sweeps((a, "before"), (c, "after"))
    with pytest.raises(InputError, match="--other-storage"):
        compare_sweeps((a, "before"), (a, "before"))


def test_the_command_prints_and_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path / "old", "study", side({}))
    written(tmp_path / "new", "study", side({"raw": 0.6}, epochs=8))
    words = ["compare", "study", "--storage", str(tmp_path / "old"), "--other-storage", str(tmp_path / "new")]
    cli.command([*words, "--out", str(tmp_path / "moved.md")])
    text = (tmp_path / "moved.md").read_text()
    assert text in capsys.readouterr().out
    assert "better (+" in text
    assert "epochs: `4` in A, `8` in B" in text
