import json

import numpy as np
import pytest
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, f1_score

from swath.analysis.ensembles.cross_fit import cross_fit_parts, ensemble_names, ensembles, named_ensemble
from swath.analysis.ensembles.pool import Pool
from swath.analysis.ensembles.rules import rules
from swath.analysis.results import TaskResults
from swath.config.splits import stratified_folds
from swath.store.storage import Storage
from swath.store.trials import Trial
from tests.support.fake_store import FakeTask, FakeTrial, Study, write_study


def macro_ap(targets, p):
    return np.mean([average_precision_score(targets[:, c], p[:, c]) for c in range(targets.shape[1])])


def brute_force(task: TaskResults) -> tuple[dict[str, float], dict[str, list[str]]]:
    """Cross-fitted scores and final members of the ranked ensembles, written out as loops."""
    done = [t for t in task.trials if t.state == "COMPLETE"]
    targets = task.targets(0)
    parts = stratified_folds(targets, task.groups(0), 5, 0)
    sizes = [k for k in (1, 2, 3, 5, 8, 12, 20) if k <= len(done)]

    def ranked(mask):
        return sorted(done, key=lambda t: -macro_ap(targets[mask], t.probabilities[mask]))

    def averaged(order, k):
        return np.mean([t.probabilities for t in order[:k]], axis=0)

    def chosen_size(order, mask):
        return max(sizes, key=lambda k: macro_ap(targets[mask], averaged(order, k)[mask]))

    def named_sizes(order, mask):
        named = {("single" if k == 1 else f"top{k}"): k for k in sizes}
        return {**named, "all": len(done), "best": chosen_size(order, mask)}

    pooled = {}
    for part in range(5):
        order = ranked(parts != part)
        for name, k in named_sizes(order, parts != part).items():
            ranks = rankdata(averaged(order, k).round(12), axis=0)  # sums in another order differ in the last bit
            pooled.setdefault(name, np.zeros(targets.shape))[parts == part] = ranks[parts == part]
    everything = np.ones(len(targets), bool)
    order = ranked(everything)
    final = {name: [t.fingerprint for t in order[:k]] for name, k in named_sizes(order, everything).items()}
    first = {}
    for name, members in final.items():
        first.setdefault(frozenset(members), name)
    return {name: macro_ap(targets, pooled[first[frozenset(members)]]) for name, members in final.items()}, final


def test_cross_fit_equals_brute_force(scenes_task: TaskResults):
    scores, final = brute_force(scenes_task)
    found = {e.name: e for e in ensembles(Pool.of(scenes_task))}
    assert list(found) == ensemble_names(Pool.of(scenes_task))
    assert set(scores) == {"single", "top2", "top3", "top5", "top8", "top12", "all", "best"}
    for name, score in scores.items():
        assert found[name].score == pytest.approx(score, abs=1e-12)
        assert set(found[name].trials) == set(final[name])
        assert found[name].gain[0] == pytest.approx(found[name].score - found["single"].score, abs=1e-12)
        assert found[name].low <= found[name].score <= found[name].high
        assert found[name].naive == pytest.approx(
            macro_ap(
                scenes_task.targets(0),
                np.mean([t.probabilities for t in scenes_task.trials if t.fingerprint in final[name]], axis=0),
            )
        )


def test_predictions_of_a_part_do_not_depend_on_its_targets(scenes_task: TaskResults):
    """What cross-fitting promises, for every rule: labels of a part may say anything, its predictions stay."""
    pool = Pool.of(scenes_task)
    parts = cross_fit_parts(pool)
    changed = Pool.of(scenes_task)
    changed.__dict__["targets"] = np.where((parts == 2)[:, None], 1 - pool.targets, pool.targets)
    for name in ensemble_names(pool):
        before, after = (_part_predictions(one, name, parts) for one in (pool, changed))
        assert np.array_equal(after, before), name


def _part_predictions(pool: Pool, name: str, parts):
    mix = rules(pool.task, len(pool.runs))[name](list(pool.views(parts))[2])
    return pool.mixed(mix, parts == 2)


@pytest.mark.parametrize("folds", [1, 2])
def test_runs_whose_logits_are_shifted_give_the_scores_of_runs_that_are_not(tmp_path, folds: int):
    """Losses differ in the size of what they make a model say, which changes no ranking of images."""
    seeds = range(6)
    trials = [FakeTrial(seed=s, fold=f, quality=0.5) for s in seeds for f in range(folds)]
    study = write_study(Storage(str(tmp_path)), [FakeTask(folds=folds)], {"scenes": trials}, rule="")
    alone = {e.name: e for e in ensembles(Pool.of(study.read().tasks[0]))}
    for trial in trials:
        if trial.seed % 2:
            stored = Trial(study.storage, trial.spec(study.tasks["scenes"]).fingerprint)
            ids, logits = stored.logits("val/4")
            stored.write_logits("val/4", ids, (logits + 3).astype(np.float16))
    shifted = {e.name: e for e in ensembles(Pool.of(study.read().tasks[0]))}
    assert shifted["single"].score == pytest.approx(alone["single"].score, abs=0.01)
    assert shifted["single"].trials == alone["single"].trials
    worth = [run.score for run in Pool.of(study.read().tasks[0]).runs]
    for e in shifted.values():
        assert min(worth) - 0.03 < e.score, "an average of runs is not worth less than the worst of them"


def test_equal_ensembles_have_one_estimate_by_whatever_name(scenes_task: TaskResults):
    pool = Pool.of(scenes_task)
    by_ensemble: dict[frozenset, list] = {}
    for e in ensembles(pool):
        by_ensemble.setdefault(frozenset(zip(e.trials, e.weights, strict=True)) | {e.average}, []).append(e)
    assert max(map(len, by_ensemble.values())) > 1, "`best` is some top k"
    for same in by_ensemble.values():
        assert len({(e.score, e.low, e.high, e.gain, e.part_sizes) for e in same}) == 1
        for e in same:
            named = named_ensemble(pool, e.name)
            assert (named.score, named.low, named.high, named.gain) == (e.score, e.low, e.high, e.gain)
    by_name = {e.name: e for e in ensembles(pool)}
    assert [m.members for m in by_name["ranks"].chosen] == [m.members for m in by_name["best"].chosen]


def test_ranks_of_one_run_are_worth_what_the_run_is(tmp_path):
    """One good run beside two that know nothing: the best ensemble is that run, averaged by rank or not."""
    trials = [FakeTrial(seed=s, quality=3.0 if s == 0 else 0.0) for s in range(3)]
    study = write_study(Storage(str(tmp_path)), [FakeTask()], {"scenes": trials}, rule="")
    by_name = {e.name: e for e in ensembles(Pool.of(study.read().tasks[0]))}
    assert (by_name["best"].size, by_name["ranks"].size, by_name["ranks"].average) == (1, 1, "ranks")
    assert by_name["best"].score == by_name["ranks"].score == by_name["single"].score
    assert by_name["ranks"].gain == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("folds", [1, 2])
def test_what_views_share_is_what_each_alone_would_compute(tmp_path, folds: int):
    """On so many images that they are binned: scores and residual products of all views from one reading."""
    trials = [FakeTrial(seed=s, fold=f, quality=1 + s) for s in range(3) for f in range(folds)]
    fake = FakeTask(train=5600, folds=folds, group_size=1)
    study = write_study(Storage(str(tmp_path)), [fake], {"scenes": trials}, rule="")
    pool = Pool.of(study.read().tasks[0])
    parts = cross_fit_parts(pool)
    views = list(pool.views(parts))
    assert views[0].known_scores is not None
    for view, mask in zip(views, [*(parts != part for part in range(5)), None], strict=True):
        alone = pool.view(mask)
        assert alone.known_scores is None
        assert np.array_equal(view.scores, alone.scores)
        assert view.products == pytest.approx(alone.products, rel=1e-6)
        residuals = np.stack([(alone.member(k) - alone.targets).ravel() for k in range(3)])
        assert alone.products == pytest.approx(residuals @ residuals.T / residuals.shape[1], rel=1e-5)


def test_json_names_members_weights_score_and_choice(scenes_task: TaskResults):
    entry = next(e for e in ensembles(Pool.of(scenes_task)) if e.name == "top2").json("data-scenes")
    assert json.loads(json.dumps(entry)) == entry
    assert set(entry) == {"members", "average", "cross_fit_score", "interval", "choice", "data", "ms_per_image"}
    assert [m["weight"] for m in entry["members"]] == [0.5, 0.5]


def test_names_go_up_to_the_number_of_runs(tmp_path):
    def names(runs):
        trials = [FakeTrial(seed=s) for s in range(runs)]
        storage = Storage(str(tmp_path / str(runs)))
        study = write_study(storage, [FakeTask()], {"scenes": trials}, rule="")
        return ensemble_names(Pool.of(study.read().tasks[0]))

    assert names(1) == ["single", "best"]
    assert names(4) == ["single", "top2", "top3", "all", "greedy", "weighted", "ranks", "best"]


def test_a_trial_whose_predictions_are_no_numbers_is_no_member(tmp_path):
    trials = [FakeTrial(seed=s) for s in range(3)]
    study = write_study(Storage(str(tmp_path)), [FakeTask()], {"scenes": trials}, rule="")
    spoiled = trials[1].spec(study.tasks["scenes"]).fingerprint
    ids, logits = Trial(study.storage, spoiled).logits("val/4")
    logits[5] = np.nan
    Trial(study.storage, spoiled).write_logits("val/4", ids, logits)
    found = ensembles(Pool.of(study.read().tasks[0]))
    assert "top2" in {e.name for e in found}
    assert "top3" not in {e.name for e in found}
    assert all(spoiled not in e.trials and np.isfinite(e.score) for e in found)


def test_images_of_one_group_cannot_be_parted(tmp_path):
    task = FakeTask(group_size=60)
    study = write_study(Storage(str(tmp_path)), [task], {"scenes": [FakeTrial(), FakeTrial(seed=1)]}, rule="")
    found = ensembles(Pool.of(study.read().tasks[0]))
    assert [e.size for e in found][:2] == [1, 2]
    assert all(np.isnan(e.score) and e.json("x")["cross_fit_score"] is None for e in found)


def test_no_finished_trial_gives_no_ensemble(tmp_path):
    study = write_study(Storage(str(tmp_path)), [FakeTask()], {"scenes": [FakeTrial(state="RUNNING")]})
    assert ensembles(Pool.of(study.read().tasks[0])) == []


def test_folds_of_one_run_are_one_member(tmp_path):
    trials = [FakeTrial(seed=s, fold=f, quality=1 + s) for s in (0, 1) for f in range(3)]
    study: Study = write_study(Storage(str(tmp_path)), [FakeTask(folds=3)], {"scenes": trials}, rule="")
    task = study.read().tasks[0]
    by_name = {e.name: e for e in ensembles(Pool.of(task))}
    assert by_name["single"].size == 1
    assert len(by_name["single"].trials) == 3
    assert {t.seed for t in task.trials if t.fingerprint in by_name["single"].trials} == {1}
    # The score is the mean over the folds of the split, as all scores of folds are.
    single = named_ensemble(Pool.of(task), "single")
    (run,) = single.members
    assert (single.weights, single.average) == ((1.0,), "probabilities")
    expected = np.mean([macro_ap(task.targets(f), run.trials[f].probabilities) for f in range(3)])
    assert by_name["single"].score == pytest.approx(expected, abs=1e-12)


def test_hard_decisions_are_made_on_the_mean_probability(tmp_path):
    """F1 of a multi-label task depends on the probabilities' size, not only on their order."""
    trials = [FakeTrial(seed=s, quality=1 + s / 4) for s in range(3)]
    study = write_study(Storage(str(tmp_path)), [FakeTask(metric="macro_f1")], {"scenes": trials}, rule="")
    task = study.read().tasks[0]
    targets = task.targets(0)
    p = np.mean([t.probabilities for t in task.trials], axis=0)
    expected = f1_score(targets, p > 0.5, average="macro", zero_division=np.nan)
    everyone = next(e for e in ensembles(Pool.of(task)) if e.name == "all")
    assert everyone.score == pytest.approx(expected, abs=1e-12)
