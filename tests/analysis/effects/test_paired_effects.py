"""Effects of a stored sweep against a paired analysis by hand."""

import itertools

import numpy as np
import pytest
from scipy import stats

from swath.analysis.effects import significance as verdicts
from swath.analysis.effects.paired_effects import Effect
from swath.analysis.effects.summary import TaskEffects, task_effects
from swath.analysis.results import TaskResults
from swath.core import metrics
from swath.core.average_precision import average_precision
from swath.store.storage import Storage
from tests.support.fake_store import CHAINS, LOSSES, RULE, FakeTask, FakeTrial, Study, scene_trials, write_study

QUALITY = {"raw": 0.6, "grayscale|sharpen": 0.9, "resnet18": 0.2, "vit": 0.5, "bce": 0.1, "focal": 0.0}


def full_grid(seeds=(0, 1, 2), **more) -> list[FakeTrial]:
    return [
        FakeTrial(p, b, n, s, quality=QUALITY[p] + QUALITY[b] + QUALITY[n], **more)
        for s, p, b, n in itertools.product(seeds, CHAINS, ("resnet18", "vit"), LOSSES)
    ]


def write(path, trials: list[FakeTrial], task: FakeTask | None = None, rule: str = "", **more) -> TaskResults:
    return write_study(Storage(str(path)), [task or FakeTask()], {"scenes": trials}, rule=rule, **more).read().tasks[0]


@pytest.fixture(scope="module")
def grid(tmp_path_factory) -> TaskResults:
    return write(tmp_path_factory.mktemp("grid"), full_grid(), FakeTask(train=600))


@pytest.fixture(scope="module")
def found(grid: TaskResults) -> TaskEffects:
    return task_effects(grid)


def of(found: TaskEffects, factor: str) -> Effect:
    return next(e for e in found.effects if e.factor == factor)


def test_the_effect_is_the_mean_paired_difference(grid: TaskResults, found: TaskEffects):
    """By hand: every combination of the other factors and the seed, sharpened less raw, and what seeds make of it."""
    score = {
        (t.factors["preprocess"], t.factors["backbone"], t.factors["loss"], t.seed): grid.score(t) for t in grid.trials
    }
    by_cell = np.array(
        [
            [score["grayscale|sharpen", b, n, s] - score["raw", b, n, s] for s in (0, 1, 2)]
            for b, n in itertools.product(("resnet18", "vit"), LOSSES)
        ]
    )
    effect = of(found, "preprocess")
    assert effect.estimate is not None
    assert (effect.level, effect.baseline) == ("grayscale|sharpen", "raw")
    assert effect.estimate.difference == pytest.approx(by_cell.mean(), abs=1e-12)
    assert effect.estimate.won == (by_cell > 0).mean()
    assert effect.estimate.seed_variance == pytest.approx(by_cell.var(axis=1, ddof=1).mean() / 12)
    assert effect.estimate.df == pytest.approx(welch_df(by_cell))
    assert (len(effect.pairs), effect.possible, effect.blocks) == (12, 12, 4)
    assert sorted(p.difference for p in effect.pairs) == pytest.approx(sorted(by_cell.ravel()))
    # Between trials of good and bad preprocessing there is a difference that nobody could miss.
    assert effect.verdict == "better"
    assert effect.estimate.p < stats.ttest_1samp(by_cell.mean(axis=1), 0).pvalue


def welch_df(by_cell: np.ndarray) -> float:
    """Satterthwaite's degrees of freedom of a mean over cells [cells, seeds] that are as noisy as they are."""
    parts = by_cell.var(axis=1, ddof=1)
    return float(parts.sum() ** 2 / (parts**2 / (by_cell.shape[1] - 1)).sum())


def test_with_shared_random_numbers_only_seeds_are_replicates(tmp_path):
    """The same scores, of trials whose random numbers follow from the seed alone: 3 seeds' means, not 12 pairs."""
    task = write(tmp_path, full_grid(streams="common"), FakeTask(train=600))
    score = {
        (t.factors["preprocess"], t.factors["backbone"], t.factors["loss"], t.seed): task.score(t) for t in task.trials
    }
    means = [
        np.mean(
            [
                score["grayscale|sharpen", b, n, s] - score["raw", b, n, s]
                for b, n in itertools.product(("resnet18", "vit"), LOSSES)
            ]
        )
        for s in (0, 1, 2)
    ]
    effect = of(task_effects(task), "preprocess")
    assert effect.estimate is not None
    assert effect.estimate.difference == pytest.approx(np.mean(means), abs=1e-12)
    assert effect.estimate.seed_variance == pytest.approx(np.var(means, ddof=1) / 3)
    assert effect.estimate.df == pytest.approx(2)


def test_the_interval_holds_what_image_and_seed_noise_make_of_it(grid: TaskResults, found: TaskEffects):
    """By hand, with whole groups drawn again a thousand times, jointly for all trials."""
    p = np.stack([t.probabilities for t in grid.trials])
    sign = np.array([1 if t.factors["loss"] == "focal" else -1 for t in grid.trials]) / 12
    drawn = metrics_of_draws(grid, p, 600) @ sign
    effect = of(found, "loss").estimate
    assert effect is not None
    within = 0.0
    for cell in itertools.product(CHAINS, ("resnet18", "vit")):
        members = [t for t in grid.trials if (t.factors["preprocess"], t.factors["backbone"]) == cell]
        pairs = np.zeros((3, len(grid.trials)))
        for t in members:
            pairs[t.seed, grid.trials.index(t)] = 1 if t.factors["loss"] == "focal" else -1
        within += (metrics_of_draws(grid, p, 600) @ (pairs - pairs.mean(axis=0)).T).var(axis=0, ddof=1).sum() / 2
    images = drawn.var(ddof=1) - within / 4 / 12
    # No level finds an image hard whatever the seed in this store: all image noise is the seeds'.
    assert effect.image_variance == pytest.approx(max(images, 0), abs=0.12 * drawn.var(ddof=1))
    half = np.sqrt(1.96**2 * effect.image_variance + stats.t.ppf(0.975, effect.df) ** 2 * effect.seed_variance)
    assert effect.high - effect.low == pytest.approx(2 * half, rel=1e-4)


def metrics_of_draws(task: TaskResults, p: np.ndarray, replicates: int) -> np.ndarray:
    """[B, T] macro mAP of drawn groups."""
    groups = task.groups(0)
    counts = np.random.default_rng(0).multinomial(
        groups.max() + 1, np.full(groups.max() + 1, 1 / (groups.max() + 1)), replicates
    )
    weights = counts[:, groups].astype(np.float64)
    return np.stack([metrics.macro(average_precision(task.targets(0), one, weights)) for one in p], axis=1)


def test_one_pair_with_one_seed_states_no_interval(tmp_path):
    task = write(tmp_path, [FakeTrial(loss="bce"), FakeTrial(loss="focal", quality=1.4)])
    (effect,) = task_effects(task).effects
    assert effect.estimate is not None
    assert effect.verdict == "no interval"
    assert np.isnan([effect.estimate.low, effect.estimate.p, effect.adjusted_p]).all()
    assert effect.power is None
    a, b = task.trials
    assert effect.estimate.difference == pytest.approx(task.score(b) - task.score(a), abs=1e-12)


def test_all_comparisons_of_a_task_are_one_family(tmp_path):
    """Three levels against the first backbone and one loss against the other: the report's first sentence picks any."""
    trials = [FakeTrial(backbone=b, loss=n, seed=s) for b in ("a", "b", "c", "d") for n in LOSSES for s in (0, 1, 2)]
    effects = task_effects(write(tmp_path, trials)).effects
    assert [(e.factor, e.level) for e in effects] == [
        *(("backbone", b) for b in "bcd"),
        ("loss", "focal"),
    ]
    assert [e.family for e in effects] == [4] * 4
    for e in effects:
        assert e.estimate is not None
        assert e.adjusted_p == pytest.approx(min(1, 4 * e.estimate.p))
        alone = verdicts.equivalence_p(e.estimate.noise, e.estimate.difference, 0.005)
        assert e.equivalence_p == pytest.approx(min(1, 4 * alone))


def test_what_matters_to_the_study_decides_what_is_equivalent(tmp_path):
    """Two losses that are the same: by more than half a point they may differ, by ten points they do not."""
    trials = [FakeTrial(loss=n, seed=s) for n in LOSSES for s in range(4)]
    (strict,) = task_effects(write(tmp_path, trials, FakeTask(train=600))).effects
    assert (strict.matters, strict.verdict) == (0.005, "undecided")
    (loose,) = task_effects(write(tmp_path, trials, FakeTask(train=600), extra={"matters": 0.1})).effects
    assert (loose.matters, loose.verdict) == (0.1, "equivalent")
    assert loose.estimate == strict.estimate
    assert loose.power is not None
    assert loose.power.given == 0.1


def test_different_budgets_never_match_unless_epochs_are_the_factor(tmp_path):
    trials = [
        FakeTrial(loss="bce", epochs=3, extra={"epochs": "3"}),
        FakeTrial(loss="focal", epochs=4, extra={"epochs": "4"}),
        FakeTrial(loss="bce", epochs=4, extra={"epochs": "4"}),
    ]
    loss, epochs = task_effects(write(tmp_path, trials)).effects
    assert (loss.factor, len(loss.pairs)) == ("loss", 1)
    assert (epochs.factor, len(epochs.pairs)) == ("epochs", 1)
    # The same cells without the factor that says so: nothing equal is left to compare.
    for trial in trials:
        trial.extra = {}
    del trials[2]
    (loss,) = task_effects(write(tmp_path / "other", trials)).effects
    assert (loss.estimate, loss.pairs, loss.verdict) == (None, (), "refused")
    assert loss.refused == "no two of its trials are equal in everything else"


def test_each_level_is_paired_where_it_and_the_baseline_have_finished(tmp_path):
    trials = [
        FakeTrial(backbone="a", loss="bce", quality=0.5),
        FakeTrial(backbone="b", loss="bce", quality=1.5),
        FakeTrial(backbone="c", loss="bce", state="FAILED"),
        FakeTrial(backbone="a", loss="focal", quality=0.5),
        FakeTrial(backbone="b", loss="focal", state="FAILED"),
        FakeTrial(backbone="c", loss="focal", state=None),
    ]
    task = write(tmp_path, trials)
    b, c, loss = task_effects(task).effects
    assert [(e.level, len(e.pairs), e.possible) for e in (b, c, loss)] == [("b", 1, 2), ("c", 0, 2), ("focal", 1, 3)]
    assert c.refused == "no two matched trials have finished"
    by_cell = {t.cell: task.score(t) for t in task.trials}
    assert b.pairs[0].difference == pytest.approx(by_cell["raw / b / bce"] - by_cell["raw / a / bce"], abs=1e-12)


def test_seeds_that_competed_enter_no_final_effect(tmp_path):
    """One cell was stopped, so first seeds that finished are chosen by luck; second seeds are fresh."""
    trials = scene_trials()
    for trial in trials:
        trial.entry = {"final": trial.seed == 1}
    task = write(tmp_path, trials, rule=RULE)
    found = task_effects(task)
    score = {(t.cell, t.seed): task.score(t) for t in task.trials}
    effect = of(found, "preprocess")
    assert effect.estimate is not None
    # Seed 1, not: raw/vit/focal (not run), raw/resnet18/focal (failed), sharpened vit/focal (running).
    expected = [score[f"grayscale|sharpen / {b} / bce", 1] - score[f"raw / {b} / bce", 1] for b in ("resnet18", "vit")]
    assert sorted(p.difference for p in effect.pairs) == pytest.approx(sorted(expected))
    assert (effect.possible, effect.verdict) == (4, "no interval")  # second seeds of four pairs of cells
    assert found.left_out == 7


def test_without_a_design_that_carries_them_final_effects_are_refused(tmp_path):
    trials = [FakeTrial(loss="bce"), FakeTrial(loss="focal"), FakeTrial("grayscale|sharpen", state="STOPPED")]
    for trial in trials:
        trial.entry = {"final": False}
    found = task_effects(write(tmp_path, trials, rule=RULE))
    loss = of(found, "loss")
    assert (loss.estimate, loss.verdict) == (None, "refused")
    assert "chosen by luck" in loss.refused
    assert "asha(exempt=" in loss.refused


def test_first_seeds_are_left_out_once_they_have_chosen_a_second_phase(tmp_path):
    trials = [FakeTrial(loss=n, seed=s, entry={"phase": 1 + s, "final": s > 0}) for s in (0, 1, 2) for n in LOSSES]
    effect = of(task_effects(write(tmp_path, trials, rule=RULE)), "loss")
    assert (len(effect.pairs), effect.possible) == (2, 2)


def test_a_rule_that_stopped_nothing_has_chosen_nothing(tmp_path):
    trials = [FakeTrial(loss=n, entry={"final": False}) for n in LOSSES]
    found = task_effects(write(tmp_path, trials, rule=RULE))
    assert len(of(found, "loss").pairs) == 1
    assert (found.left_out, found.rungs) == (0, ())


def test_rung_effects_compare_all_trials_at_that_budget(scenes: Study, scenes_task: TaskResults):
    """After 2 epochs, by hand, from the predictions that the rung left in the store."""
    fake = scenes.tasks["scenes"]
    rows = fake.validation()

    def score(t):
        trial = scenes.fake("scenes", t)
        p = metrics.probabilities(trial.logits(fake, rows, 2), "sigmoid")
        return metrics.score("map", "multilabel", fake.record.targets[rows], p)

    at_rung = {
        (t.factors["preprocess"], t.factors["backbone"], t.factors["loss"], t.seed): score(t)
        for t in scenes_task.trials
        if t.state not in ("FAILED", "NOT RUN")
    }
    expected = [
        v - at_rung["raw", *key[1:]] for key, v in at_rung.items() if key[0] != "raw" and ("raw", *key[1:]) in at_rung
    ]
    found = task_effects(scenes_task)
    effect = next(r for r in found.rungs if r.factor == "preprocess")
    assert (effect.epochs, effect.selected, effect.estimate.units) == (2, False, len(expected))
    # Cells of two seeds and of one: cells count alike, so the mean is not that of the pairs.
    assert effect.estimate.won == np.mean(np.array(expected) > 0)
    assert min(expected) < effect.estimate.difference < max(expected)


@pytest.mark.parametrize(("streams", "seeds"), [("common", (0,)), ("own", (0, 1))])
def test_folds_give_an_interval_over_splits(tmp_path, streams, seeds):
    """Nadeau and Bengio's; with random numbers of their own what is known to be seeds and images needs less."""
    trials = [FakeTrial(loss=n, fold=f, seed=s, streams=streams) for n in LOSSES for f in range(3) for s in seeds]
    task = write(tmp_path, trials, FakeTask(folds=3))
    (effect,) = task_effects(task).effects
    one = effect.estimate
    assert one is not None
    assert (one.source, one.df) == ("folds", 2)
    score = {(t.factors["loss"], t.fold, t.seed): task.score(t) for t in task.trials}
    folds = [np.mean([score["focal", f, s] - score["bce", f, s] for s in seeds]) for f in range(3)]
    between = np.var(folds, ddof=1)
    if streams == "common":
        assert one.seed_variance == pytest.approx(between * (1 / 3 + 1 / 2))
    assert between / 3 - 1e-12 <= one.seed_variance <= between * (1 / 3 + 1 / 2) + 1e-12
    half = max(1.96 * np.sqrt(one.image_variance), stats.t.ppf(0.975, 2) * np.sqrt(one.seed_variance))
    assert (one.low, one.high) == pytest.approx((np.mean(folds) - half, np.mean(folds) + half), rel=1e-4)


def test_a_single_label_task_has_effects_in_macro_f1(two_tasks: Study):
    birds = two_tasks.read().tasks[1]
    (effect,) = task_effects(birds).effects
    scores = np.array([[birds.score(t) for t in birds.trials if t.factors["loss"] == n] for n in LOSSES])
    assert effect.estimate is not None
    assert effect.estimate.difference == pytest.approx((scores[1] - scores[0]).mean(), abs=1e-12)


def test_seed_noise_is_pooled_over_cells(grid: TaskResults, found: TaskEffects):
    by_cell = {}
    for t in grid.trials:
        by_cell.setdefault(t.cell, []).append(grid.score(t))
    assert found.seed_noise is not None
    assert found.seed_noise.sd == pytest.approx(np.sqrt(np.mean([np.var(v, ddof=1) for v in by_cell.values()])))
    assert found.seed_noise.df == 16
