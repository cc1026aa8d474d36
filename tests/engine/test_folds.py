"""k folds from the plan to the submission, in a real run."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import average_precision_score

from swath import Recipe, Sweep, grid, kfold, ops
from swath.analysis.load import read_results
from swath.analysis.submissions.predict import predict
from swath.cli import check
from swath.engine.driver import run
from swath.engine.inline import InlineEngine
from swath.plan.progress import Progress
from swath.report.write import write_results
from swath.store.storage import Locations, Storage
from swath.store.tasks import read_folds
from swath.store.trials import Trial
from tests.support.planned import planned_sweep


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    return Storage(str(tmp_path_factory.mktemp("folds")))


@pytest.fixture
def progress(make_sweep: Callable[..., Sweep], storage: Storage) -> Progress:
    sweep = make_sweep(
        split=kfold(3, seed=1),
        preprocess=grid((), (ops.Sharpen(),)),
        recipe=Recipe(epochs=1, batch_size=8, optimizer="adamw", lr=3e-3, image_size=32),
        published={"raw": (0.9, 0.91), "sharpen": (0.95, 0.96)},
        max_test_images=9,
    )
    made = planned_sweep(sweep, Locations.of(storage.root))
    if made.lacking():
        assert "6 trials" in check.headline(made)
        assert "(32 train, 16 validate in each of 3 folds by kfold(3,seed=1))" in check.describe(made)
        assert "cost: at most 6 epochs, 192 training images" in check.describe(made)
        assert run(made, InlineEngine(), lambda line: None) == 6
        made.refresh()
    return made


def test_out_of_fold_predictions_cover_every_training_image_once(progress: Progress, storage: Storage) -> None:
    task = read_results(storage, "study").tasks[0]
    rows = np.concatenate([task.validation[fold] for fold in range(3)])
    assert sorted(rows.tolist()) == task.record.part("train").tolist()
    folds = read_folds(storage, task.data, "kfold(3,seed=1)")
    for planned in progress.plan.trials:
        ids, _ = Trial(storage, planned.spec.fingerprint).logits("val/1")
        assert set(ids) == set(task.record.rows["id"][folds == planned.spec.fold])


def test_the_report_averages_folds_and_shows_published_scores(
    progress: Progress, storage: Storage, tmp_path: Path
) -> None:
    results = read_results(storage, "study")
    write_results(results, tmp_path)
    text = (tmp_path / "leaderboard.md").read_text()
    task = results.tasks[0]
    scores = {}
    for cell in ("raw", "sharpen"):
        trials = [t for t in task.trials if t.cell == cell]
        targets = [task.targets(t.fold) for t in trials]
        scores[cell] = np.mean(
            [average_precision_score(y, t.probabilities, average="macro") for y, t in zip(targets, trials, strict=True)]
        )
        assert f"{scores[cell]:.4f}" in text
    assert "Beside the published scores" in text
    line = next(line for line in text.splitlines() if line.startswith("| sharpen") and "0.9500" in line)
    assert [f"{scores['sharpen']:.4f}", "0.9500", "0.9600"] == [
        part.strip() for part in line.split("|")[2:6:1] if "." in part
    ]
    found = json.loads((tmp_path / "ensembles.json").read_text())
    assert "kfold(3,seed=1)" in text
    assert found


def test_a_cells_fold_models_are_averaged_on_the_test_images(
    progress: Progress, storage: Storage, tmp_path: Path
) -> None:
    frame = pd.read_csv(predict(storage, "study", "sharpen", tmp_path / "s.csv")).set_index("img_id")
    own = [Trial(storage, t.spec.fingerprint).logits("test") for t in progress.plan.trials if t.cell.label == "sharpen"]
    assert len(own) == 3
    expected = np.mean([expit(logits.astype(np.float64)) for _, logits in own], axis=0)
    labels = list(progress.plan.tasks[0].record.labels)
    assert len(frame) == 9, "max_test_images cuts the submission too"
    np.testing.assert_allclose(frame.loc[list(own[0][0]), labels], expected, atol=1e-6)
