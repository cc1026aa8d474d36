from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from swath.analysis.analyse import analyse
from swath.analysis.imported import import_model
from swath.analysis.load import read_results
from swath.analysis.submissions.predict import predict
from swath.core.errors import InputError
from swath.report.write import write_report
from swath.store.storage import Storage
from tests.support.fake_store import FakeTask, FakeTrial, write_study


@pytest.fixture
def task() -> FakeTask:
    return FakeTask(folds=2)


@pytest.fixture
def store(tmp_path: Path, task: FakeTask) -> Storage:
    """A sweep of two seeds on two folds."""
    storage = Storage(str(tmp_path / "store"))
    trials = [FakeTrial(seed=seed, fold=fold, quality=0.5) for seed in (0, 1) for fold in (0, 1)]
    write_study(storage, [task], {"scenes": trials}, rule="")
    return storage


def tables(task: FakeTask, quality: float = 2.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Out-of-fold and test probabilities of a good model, rows and columns in an order of their own."""
    rng = np.random.default_rng(7)
    record = task.record
    p = 1 / (1 + np.exp(-(quality * (2.0 * record.targets - 1) + rng.normal(size=record.targets.shape))))
    table = pd.DataFrame(p, columns=list(record.labels))
    table.insert(0, "img_id", record.rows["id"])
    train, test = (
        table[(record.rows["split"] == part).to_numpy()].sample(frac=1, random_state=1) for part in ("train", "test")
    )
    return train[["img_id", *record.labels[::-1]]], test


def files(tmp_path: Path, *given: pd.DataFrame) -> list[Path]:
    paths = [tmp_path / f"{i}.csv" for i in range(len(given))]
    for path, table in zip(paths, given, strict=True):
        table.to_csv(path, index=False)
    return paths


def test_an_import_is_ranked_averaged_and_submitted(store: Storage, task: FakeTask, tmp_path: Path):
    oof, test = tables(task)
    import_model(store, "study", "notebook", *files(tmp_path, oof, test))
    assert "import notebook" in write_report(store, "study", tmp_path / "report").read_text()
    results = read_results(store, "study")
    analysis = analyse(results.tasks[0])
    assert analysis.cells[0].cell == "import notebook"
    run = analysis.cells[0].runs[0]
    rows = np.concatenate([results.tasks[0].validation[f] for f in (0, 1)])
    expected = oof.set_index("img_id").loc[task.record.rows["id"].to_numpy()[rows], list(task.record.labels)]
    assert np.allclose(run.probabilities, expected, atol=1e-3)
    out = pd.read_csv(predict(store, "study", "import notebook", tmp_path / "s.csv")).set_index("img_id")
    wanted = test.set_index("img_id").loc[out.index, list(out.columns)]
    assert np.allclose(out, wanted, atol=1e-3)


def test_importing_again_replaces_what_had_the_name(store: Storage, task: FakeTask, tmp_path: Path):
    for quality in (0.2, 3.0):
        oof, test = tables(task, quality)
        import_model(store, "study", "notebook", *files(tmp_path, oof, test))
    imports = [t for t in read_results(store, "study").tasks[0].trials if t.cell == "import notebook"]
    assert [t.fold for t in imports] == [0, 1]
    assert min(t.scores["map"] for t in imports) > 0.9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns=["trees"]), r"lacks the columns \['trees'\]"),
        (lambda t: t[3:], "lacks 3 of the 120 images"),
        (lambda t: t.assign(trees=t["trees"] + 1), "from 0 to 1"),
        (lambda t: t.assign(trees="many"), "are no numbers"),
        (lambda t: pd.concat([t, t[:1]]), "more than once"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_enters(store: Storage, task: FakeTask, tmp_path: Path, change, message):
    oof, test = tables(task)
    before = len(read_results(store, "study").tasks[0].trials)
    with pytest.raises(InputError, match=message):
        import_model(store, "study", "notebook", *files(tmp_path, change(oof), test))
    assert len(read_results(store, "study").tasks[0].trials) == before


def test_probabilities_of_a_single_label_task_sum_to_one(tmp_path: Path):
    birds = FakeTask("birds", "multiclass", "macro_f1", ("owl", "wren", "kite"), columns=("label",))
    store = Storage(str(tmp_path / "store"))
    write_study(store, [birds], {"birds": [FakeTrial()]}, rule="")
    oof, test = tables(birds)
    with pytest.raises(InputError, match="sum to 1"):
        import_model(store, "study", "notebook", *files(tmp_path, oof, test))
    for table in (oof, test):
        table[list(birds.labels)] = table[list(birds.labels)].div(table[list(birds.labels)].sum(axis=1), axis=0)
    import_model(store, "study", "notebook", *files(tmp_path, oof, test))
    found = next(t for t in read_results(store, "study").tasks[0].trials if t.cell == "import notebook")
    ids = birds.record.rows["id"].to_numpy()[birds.validation()]
    assert np.allclose(found.probabilities, oof.set_index("img_id").loc[ids, list(birds.labels)], atol=2e-3)


def test_unknown_sweeps_and_names(store: Storage, task: FakeTask, tmp_path: Path):
    paths = files(tmp_path, *tables(task))
    with pytest.raises(InputError, match="study"):
        import_model(store, "studies", "notebook", *paths)
    with pytest.raises(InputError, match="name"):
        import_model(store, "study", "../x", *paths)
