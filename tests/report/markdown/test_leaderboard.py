import re

import pytest

from swath.analysis.analyse import analyse
from swath.analysis.cells import cell_results
from swath.report.format import duration, escape, table, wrapped
from swath.report.markdown.leaderboard import leaderboard
from swath.store.storage import Storage
from tests.support.fake_store import FakeTask, FakeTrial, Study, scene_trials, write_study


def render(study: Study) -> str:
    results = study.read()
    return leaderboard(results, [analyse(t) for t in results.tasks], [{}] * len(results.tasks))


@pytest.fixture(scope="module")
def text(scenes: Study) -> str:
    return render(scenes)


def section(text: str, title: str) -> str:
    """What stands below a heading, up to the next of its level."""
    mark = "#" * (len(title) - len(title.lstrip("#")))
    return text.split(f"\n{title}\n")[1].split(f"\n{mark} ")[0]


def cells_of(row: str) -> list[str]:
    """The cells of a table row, split where GitHub splits it."""
    return [c.strip() for c in re.split(r"(?<!\\)\|", row)[1:-1]]


def tables(text: str) -> list[list[list[str]]]:
    blocks = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    return [[cells_of(line) for line in block.splitlines()] for block in blocks]


def test_tables_hold_together_whatever_the_labels(text: str):
    found = tables(text)
    assert len(found) >= 8
    for rows in found:
        assert len({len(row) for row in rows}) == 1
        assert all(re.fullmatch("-+:?", cell) for cell in rows[1])
    assert "grayscale\\|sharpen" in section(text, "## Ranking")


def test_columns_are_aligned_in_the_source(text: str):
    for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        assert len({len(line) for line in block.splitlines()}) == 1


def test_paragraphs_fit_a_terminal(text: str):
    assert all(len(line) <= 120 for line in text.splitlines() if not line.startswith("|"))


def test_ranking_has_every_finished_cell_in_order(scenes: Study, text: str):
    rows = tables(section(text, "## Ranking"))[0]
    assert rows[0] == [
        *("rank", "preprocess", "backbone", "loss", "macro mAP", "95 % interval", "seeds", "sd", "epochs"),
        *("device time", "note"),
    ]
    expected = cell_results(scenes.read().tasks[0])
    assert [r[4] for r in rows[2:]] == [f"{c.score:.4f}" for c in expected]
    assert [r[0] for r in rows[2:]] == [str(i) for i in range(1, 8)]
    baseline = next(r for r in rows if r[-1] == "baseline")
    assert baseline[1:4] == ["raw", "resnet18", "bce"]
    partial = next(r for r in rows if r[1:4] == ["raw", "resnet18", "focal"])
    assert partial[6:8] == ["1 of 2", "-"]


def test_the_first_sentences_say_what_matters(scenes: Study, text: str):
    first = " ".join(text.split("## Ranking")[0].split())
    best = cell_results(scenes.read().tasks[0])[0]
    assert f"Highest cell: `{best.cell}` with macro mAP **{best.score:.4f}**" in first
    assert "the baseline cell `raw / resnet18 / bce` has" in first
    assert "Scored on validation images that did not choose them, the best single run has" in first
    assert "16 trials: 12 done, 1 stopped early, 1 failed, 1 unfinished, 1 not run." in first
    assert "trials left to run" in first


def test_trials_that_did_not_finish_are_listed_apart(text: str):
    stopped = tables(section(text, "## Stopped early"))[0]
    assert stopped[2][:3] == ["raw / vit / focal", "0", "2 of 4"]
    assert "not comparable with finished cells" in section(text, "## Stopped early")
    failed = tables(section(text, "## Failed"))[0]
    assert failed[2] == ["raw / resnet18 / focal", "1", "1 of 4", r"DivergedError: the loss is \<nan> \| at \`step\` 3"]
    rest = section(text, "## Unfinished and not run")
    assert tables(rest)[0][2][:4] == ["grayscale\\|sharpen / vit / focal", "1", "2 of 4", "0.2000"]
    assert "1 trial not run: further seeds of 1 cell whose first was stopped or failed." in " ".join(rest.split())


def test_settings_name_what_no_factor_varies(text: str):
    found = section(text, "## Data and settings")
    assert "- Recipe: epochs 4, batch_size 32, optimizer adam, lr 0.0003, weight_decay 0, image_size 64" in found
    assert "Every preprocessing chain ends in: resize(size_px=64" in found
    assert "- Loss:" not in found
    assert "60 train, 60 validate, 11 test" in found
    assert "`scenes0125` (test: cannot be decoded)" in found
    assert "120 images in 60 groups of more than one" in found
    assert "- Versions: torch 2.14" in found


def test_labels_without_positives_are_named(tmp_path):
    task = FakeTask(labels=("water", "never|seen", "cars"))
    task.record.targets[:, 1] = 0
    study = write_study(Storage(str(tmp_path)), [task], {"scenes": [FakeTrial()]}, rule="")
    text = render(study)
    assert r"Without positives in validation: never\|seen." in text
    rows = tables(section(text, "## Per label"))[0]
    assert sorted(r[0] for r in rows[2:]) == ["cars", "water"]
    assert "which is the baseline cell itself" in " ".join(text.split())


def test_tasks_have_sections_of_their_own(two_tasks: Study):
    text = render(two_tasks)
    assert text.count("\n### Ranking\n") == 2
    birds = section(text, "## Task birds")
    rows = tables(section(birds, "### Ranking"))[0]
    assert rows[0][1:3] == ["loss", "macro F1"]
    assert len(rows) == 4
    assert "baseline" in [r[-1] for r in rows]
    assert "--task birds --out submission-birds.csv" in text
    assert "trials left to run" not in text


def test_a_sweep_without_finished_trials_still_has_a_report(tmp_path):
    trials = scene_trials()
    for trial in trials:
        trial.state = {"COMPLETE": "RUNNING"}.get(trial.state or "", trial.state)
    text = render(write_study(Storage(str(tmp_path)), [FakeTask()], {"scenes": trials}))
    assert "No cell of `scenes` has finished yet" in text
    assert "## Ranking" not in text
    assert text.count("not compared; no two matched trials have finished.") == 3
    assert "Nothing can be said of 3 comparisons" in text
    assert "swath predict study" not in text


def test_trials_yet_to_run_are_listed(tmp_path):
    trials = [
        FakeTrial(loss=n, seed=s, state="COMPLETE" if s == 0 else None) for n in ("bce", "focal") for s in (0, 1, 2)
    ]
    text = render(write_study(Storage(str(tmp_path)), [FakeTask()], {"scenes": trials}))
    assert (
        "4 trials yet to run:\n- `raw / resnet18 / bce`, seeds 1, 2\n- `raw / resnet18 / focal`, seeds 1, 2\n" in text
    )


def test_a_stopped_baseline_is_said(tmp_path):
    trials = [FakeTrial(state="STOPPED"), FakeTrial(loss="focal")]
    text = render(write_study(Storage(str(tmp_path)), [FakeTask()], {"scenes": trials}))
    assert "while the baseline cell `raw / resnet18 / bce` was stopped early" in " ".join(text.split())


def test_folds_finished_in_part_are_named(tmp_path):
    trials = [FakeTrial(fold=f, state="FAILED" if f == 2 else "COMPLETE", error="boom") for f in range(3)]
    text = render(write_study(Storage(str(tmp_path)), [FakeTask(folds=3)], {"scenes": trials}, rule=""))
    assert "Finished on some folds only, and therefore not ranked: `raw / resnet18 / bce` seed 0 (2 of 3 folds)." in (
        " ".join(text.split())
    )
    assert "80 train, 40 validate, 12 test (in each of 3 folds)" in text


def test_pieces():
    assert escape("a|b\n<c> *d* `e` \\") == r"a\|b \<c> \*d\* \`e\` \\"
    assert table(["새", "n"], [["참새", "1"]], "l").splitlines() == [
        "| 새   |   n |",
        "| ---- | --: |",
        "| 참새 |   1 |",
    ]
    assert wrapped("## x\n\n" + "word " * 30).count("\n") == 3
    assert [duration(s) for s in (4.83, 600, 12_000)] == ["4.8 s", "10 min", "3 h 20 min"]
