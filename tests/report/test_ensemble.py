import json

import numpy as np
import pytest
from fake_store import FakeTask, FakeTrial, Study, write_study
from sklearn.metrics import average_precision_score, f1_score

from swath.errors import InputError
from swath.paths import Storage
from swath.predictions import Trial
from swath.report.ensemble import ensemble_names, ensembles, members
from swath.report.results import TaskResults
from swath.splits import stratified_half


def macro_ap(targets, p):
    return np.mean([average_precision_score(targets[:, c], p[:, c]) for c in range(targets.shape[1])])


def brute_force(task: TaskResults) -> tuple[dict[str, float], dict[str, list[str]]]:
    """Cross-fitted scores and final members, written out as loops."""
    done = [t for t in task.trials if t.state == "COMPLETE"]
    targets = task.targets(0)
    half = stratified_half(targets, task.groups(0), 0.5, 0)
    sizes = [k for k in (1, 2, 3, 5, 8, 12, 20) if k <= len(done)]

    def ranked(mask):
        return sorted(done, key=lambda t: -macro_ap(targets[mask], t.probabilities[mask]))

    def averaged(order, k):
        return np.mean([t.probabilities for t in order[:k]], axis=0)

    def chosen_size(order, mask):
        return max(sizes, key=lambda k: macro_ap(targets[mask], averaged(order, k)[mask]))

    scores: dict[str, list[float]] = {}
    for chosen_on, scored_on in ((half, ~half), (~half, half)):
        order = ranked(chosen_on)
        named = {("single" if k == 1 else f"top{k}"): k for k in sizes}
        named["best"] = chosen_size(order, chosen_on)
        for name, k in named.items():
            scores.setdefault(name, []).append(macro_ap(targets[scored_on], averaged(order, k)[scored_on]))
    everything = np.ones(len(targets), bool)
    order = ranked(everything)
    final = {("single" if k == 1 else f"top{k}"): [t.fingerprint for t in order[:k]] for k in sizes}
    final["best"] = [t.fingerprint for t in order[: chosen_size(order, everything)]]
    return {name: float(np.mean(pair)) for name, pair in scores.items()}, final


def test_cross_fit_equals_brute_force(scenes_task: TaskResults):
    scores, final = brute_force(scenes_task)
    found = ensembles(scenes_task)
    assert [e.name for e in found] == ["single", "top2", "top3", "top5", "top8", "top12", "best"]
    for ensemble in found:
        assert ensemble.cross_fit_score == pytest.approx(scores[ensemble.name], abs=1e-12)
        assert list(ensemble.members) == final[ensemble.name]
        assert [f for run in members(scenes_task, ensemble.name) for f in run.fingerprints] == final[ensemble.name]


def test_json_names_members_score_and_choice(scenes_task: TaskResults):
    entry = ensembles(scenes_task)[1].json("data-scenes")
    assert json.loads(json.dumps(entry)) == entry
    assert set(entry) == {"members", "cross_fit_score", "choice", "data"}
    assert len(entry["members"]) == 2


def test_names_go_up_to_the_number_of_runs():
    assert ensemble_names(0) == []
    assert ensemble_names(1) == ["single", "best"]
    assert ensemble_names(4) == ["single", "top2", "top3", "best"]
    assert ensemble_names(40)[-2:] == ["top20", "best"]


def test_a_trial_whose_predictions_are_no_numbers_is_no_member(tmp_path):
    trials = [FakeTrial(seed=s) for s in range(3)]
    study = write_study(Storage(str(tmp_path)), [FakeTask()], {"scenes": trials}, rule="")
    spoiled = trials[1].spec(study.tasks["scenes"]).fingerprint
    ids, logits = Trial(study.storage, spoiled).logits("val/4")
    logits[5] = np.nan
    Trial(study.storage, spoiled).write_logits("val/4", ids, logits)
    found = ensembles(study.read().tasks[0])
    assert [e.name for e in found] == ["single", "top2", "best"]
    assert all(spoiled not in e.members and np.isfinite(e.cross_fit_score) for e in found)


def test_images_of_one_group_cannot_be_halved(tmp_path):
    task = FakeTask(group_size=60)
    study = write_study(Storage(str(tmp_path)), [task], {"scenes": [FakeTrial(), FakeTrial(seed=1)]}, rule="")
    found = ensembles(study.read().tasks[0])
    assert [e.size for e in found][:2] == [1, 2]
    assert all(np.isnan(e.cross_fit_score) and e.json("x")["cross_fit_score"] is None for e in found)


def test_no_finished_trial_gives_no_ensemble(tmp_path):
    study = write_study(Storage(str(tmp_path)), [FakeTask()], {"scenes": [FakeTrial(state="RUNNING")]})
    task = study.read().tasks[0]
    assert ensembles(task) == []
    with pytest.raises(InputError, match="COMPLETE"):
        members(task, "best")


def test_folds_of_one_run_are_one_member(tmp_path):
    trials = [FakeTrial(seed=s, fold=f, quality=1 + s) for s in (0, 1) for f in range(3)]
    study: Study = write_study(Storage(str(tmp_path)), [FakeTask(folds=3)], {"scenes": trials}, rule="")
    task = study.read().tasks[0]
    by_name = {e.name: e for e in ensembles(task)}
    assert by_name["single"].size == 1
    assert len(by_name["single"].members) == 3
    assert {t.seed for t in task.trials if t.fingerprint in by_name["single"].members} == {1}
    # The half scores are means over the folds, as all scores of folds are.
    run = members(task, "single")[0]
    rows = np.concatenate([task.validation[f] for f in range(3)])
    half = stratified_half(task.record.targets[rows], task.record.rows["group"].to_numpy()[rows], 0.5, 0)
    parts = np.repeat([0, 1, 2], [len(task.validation[f]) for f in range(3)])
    expected = [
        np.mean(
            [
                macro_ap(task.record.targets[rows][m], run.probabilities[m])
                for m in (side & (parts == f) for f in range(3))
            ]
        )
        for side in (~half, half)
    ]
    assert by_name["single"].half_scores == pytest.approx(expected, abs=1e-12)


def test_hard_decisions_are_made_on_the_mean_probability(tmp_path):
    """F1 of a multi-label task depends on the probabilities' size, not only on their order."""
    trials = [FakeTrial(seed=s, quality=1 + s / 4) for s in range(3)]
    study = write_study(Storage(str(tmp_path)), [FakeTask(metric="macro_f1")], {"scenes": trials}, rule="")
    task = study.read().tasks[0]
    targets = task.targets(0)
    half = stratified_half(targets, task.groups(0), 0.5, 0)

    def macro_f1(mask, p):
        return f1_score(targets[mask], p[mask] > 0.5, average="macro", zero_division=np.nan)

    scores = []
    for chosen_on in (half, ~half):
        order = sorted(task.trials, key=lambda t: -macro_f1(chosen_on, t.probabilities))
        scores.append(macro_f1(~chosen_on, np.mean([t.probabilities for t in order[:2]], axis=0)))
    top2 = ensembles(task)[1]
    assert top2.half_scores == pytest.approx(scores, abs=1e-12)
