"""Interactions, shares of variance, labels, wider intervals and confounds against analyses by hand."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from swath.analysis.effects import confounds
from swath.analysis.effects.intervals import estimate
from swath.analysis.effects.matching import Member, matched
from swath.analysis.effects.random_effects import over_factors
from swath.analysis.effects.summary import task_effects
from swath.analysis.effects.variance_shares import shares
from swath.analysis.results import TaskResults
from swath.core.average_precision import average_precision
from swath.store.storage import Storage
from tests.support.fake_store import LOSSES, FakeTask, FakeTrial, write_study


@pytest.fixture(scope="module")
def task(tmp_path_factory) -> TaskResults:
    """Focal loss helps one backbone and hurts the other; a label with few positives."""
    trials = [
        FakeTrial(backbone=b, loss=n, seed=s, quality=1.0 + 0.4 * (n == "focal") * (1 if b == "vit" else -1))
        for s in (0, 1, 2)
        for b in ("resnet18", "vit")
        for n in LOSSES
    ]
    fake = FakeTask(train=600, labels=("water", "trees", "cars", "pavement", "quay"))
    fake.record.targets[:, 4] = np.arange(len(fake.record.targets)) % 40 == 0
    storage = Storage(str(tmp_path_factory.mktemp("interacting")))
    return write_study(storage, [fake], {"scenes": trials}, rule="").read().tasks[0]


def test_an_interaction_is_a_difference_of_effects(task: TaskResults):
    (found,) = task_effects(task).interactions
    score = {(t.factors["backbone"], t.factors["loss"], t.seed): task.score(t) for t in task.trials}
    within = np.array([score["vit", "focal", s] - score["resnet18", "focal", s] for s in range(3)])
    base = np.array([score["vit", "bce", s] - score["resnet18", "bce", s] for s in range(3)])
    assert (found.factor, found.by, found.by_level, found.by_baseline) == ("backbone", "loss", "focal", "bce")
    assert (found.within, found.within_baseline) == pytest.approx((within.mean(), base.mean()))
    assert found.estimate.difference == pytest.approx((within - base).mean())
    assert found.estimate.seed_variance == pytest.approx((within - base).var(ddof=1) / 3)
    assert found.q == pytest.approx(found.estimate.p)
    assert found.estimate.p < 0.05


def test_labels_are_estimated_one_by_one_and_rare_ones_together(task: TaskResults):
    table = next(t for t in task_effects(task).labels if t.factor == "backbone")
    by_label = {e.label: e for e in table.labels}
    assert set(by_label) == {"water", "trees", "cars", "pavement", ""}
    assert by_label[""].pooled == 1
    targets = task.targets(0)
    parts = np.array([average_precision(targets, t.probabilities) for t in task.trials])
    vit = np.array([t.factors["backbone"] == "vit" for t in task.trials])
    difference = parts[vit].mean(axis=0) - parts[~vit].mean(axis=0)
    for c, name in enumerate(("water", "trees", "cars", "pavement", "")):
        assert by_label[name].estimate.difference == pytest.approx(difference[c], abs=1e-9)
    p = [e.estimate.p for e in table.labels]
    assert [e.q for e in table.labels] == pytest.approx(stats.false_discovery_control(p))
    # Image variance of one label: groups drawn again.
    groups = task.groups(0)
    counts = np.random.default_rng(0).multinomial(
        groups.max() + 1, np.full(groups.max() + 1, 1 / (groups.max() + 1)), 800
    )
    weights = counts[:, groups].astype(float)
    drawn = sum(
        (1 if v else -1) / 6 * average_precision(targets, t.probabilities, weights)
        for t, v in zip(task.trials, vit, strict=True)
    )
    for c, name in ((1, "trees"), (4, "")):
        expected = np.nanvar(np.asarray(drawn)[:, c], ddof=1)
        assert by_label[name].estimate.image_variance == pytest.approx(expected, rel=0.2)


def balanced(levels: dict[str, int], seeds: int, folds: int = 1, own: bool = False) -> tuple[list[Member], np.ndarray]:
    names = list(levels)
    members = [
        Member({n: f"{n}{i}" for n, i in zip(names, at, strict=True)}, s, k, 5, own)
        for s in range(seeds)
        for k in range(folds)
        for at in itertools.product(*(range(k) for k in levels.values()))
    ]
    return members, np.random.default_rng(3).normal(0.8, 0.1, len(members))


def dummies(members: list[Member], *names: str) -> np.ndarray:
    of_members = [{**m.factors, "fold": m.fold, "seed": m.seed} for m in members]
    keys = [tuple(m[n] for n in names) for m in of_members]
    return np.array([[k == other for other in dict.fromkeys(keys)] for k in keys], float)


class Nested:
    """Linear models of these scores: what terms explain beyond others, as a share, and its degrees of freedom."""

    def __init__(self, members: list[Member], values: np.ndarray) -> None:
        self.members, self.values = members, values
        self.total = ((values - values.mean()) ** 2).sum()

    def explained(self, *terms: tuple[str, ...]) -> tuple[float, int]:
        design = np.hstack([np.ones((len(self.members), 1)), *(dummies(self.members, *t) for t in terms)])
        fitted = design @ np.linalg.lstsq(design, self.values, rcond=None)[0]
        share = 1 - ((self.values - fitted) ** 2).sum() / self.total
        return share, int(np.linalg.matrix_rank(design)) - 1

    def beyond(self, more: list[tuple[str, ...]], less: list[tuple[str, ...]]) -> tuple[float, int]:
        (a, df_a), (b, df_b) = self.explained(*more), self.explained(*less)
        return a - b, df_a - df_b


def corrected(part: tuple[float, int], noise: tuple[float, int]) -> float:
    """Epsilon squared: a part of the sum of squares less its degrees of freedom times the mean square of noise."""
    return max(0.0, part[0] - part[1] * noise[0] / noise[1])


@pytest.mark.parametrize(("seeds", "folds"), [(2, 1), (1, 3), (2, 3)])
def test_shares_of_a_full_grid_are_those_of_nested_linear_models(seeds: int, folds: int):
    """Noise is what seeds do to a cell where there are several, else folds; each part is less what noise adds to it."""
    members, values = balanced({"a": 3, "b": 2, "c": 2}, seeds, folds)
    values += 0.1 * np.array([m.factors["a"] == "a1" for m in members])
    values += 0.08 * np.array([m.factors["a"] == "a1" and m.factors["b"] == "b1" for m in members])
    values += 0.1 * np.array([m.fold for m in members])
    found = shares(["a", "b", "c"], members, values)
    assert found is not None
    assert found.method == "anova"
    part = {p.source: p.share for p in found.parts}
    assert sum(part.values()) == pytest.approx(1)
    assert [p.share for p in found.parts] == sorted(part.values(), reverse=True)
    model = Nested(members, values)
    cell, fold = [("a", "b", "c")], [("a", "b", "c", "fold")]
    between_folds = model.beyond(fold, cell)
    # What all cells have of a seed, or of a fold, alike is no noise of differences between them.
    with_seed, df = model.explained(*fold, ("seed",))
    of_seeds = (1 - with_seed, len(members) - 1 - df)
    noise = of_seeds if seeds > 1 else model.beyond(fold, [*cell, ("fold",)])
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    expected = {n: corrected(model.explained((n,)), noise) for n in "abc"}
    for i, j in pairs:
        expected[f"{i} x {j}"] = corrected(model.beyond([(i, j)], [(i,), (j,)]), noise)
    expected["more factors together"] = corrected(model.beyond(cell, pairs), noise)
    if folds > 1 and seeds > 1:
        expected["folds"] = corrected(between_folds, noise)
    expected["seeds" if seeds > 1 else "folds"] = 1 - sum(expected.values())
    assert part == pytest.approx(expected)
    assert part["a"] > 0.01
    assert folds == 1 or part["folds"] > 0.1


def test_shares_without_any_chance_are_those_of_the_sums_of_squares():
    members, values = balanced({"a": 3, "b": 2}, 1)
    found = shares(["a", "b"], members, values)
    assert found is not None
    model = Nested(members, values)
    a, b = model.explained(("a",))[0], model.explained(("b",))[0]
    assert {p.source: p.share for p in found.parts} == pytest.approx({"a": a, "b": b, "a x b": 1 - a - b})


def test_what_does_nothing_has_no_share_on_average():
    """Without the correction a factor of 4 levels in 24 trials of pure noise would have 3 / 23 of the variance."""
    members, _ = balanced({"a": 4, "b": 2}, 3)
    rng = np.random.default_rng(4)
    drawn = [shares(["a", "b"], members, rng.normal(size=len(members))) for _ in range(200)]
    means = {n: np.mean([p.share for s in drawn if s for p in s.parts if p.source == n]) for n in ("a", "seeds")}
    assert means["a"] < 0.07  # never below 0, so not 0
    assert means["seeds"] > 0.8


def test_shares_of_a_grid_with_holes_are_estimated():
    members, values = balanced({"a": 3, "b": 2}, 2)
    values = np.array([float(m.factors["a"] == "a1") for m in members]) + 0.01 * values
    found = shares(["a", "b"], [None, *members[1:]], values)
    assert found is not None
    assert found.method == "fanova"
    part = {p.source: p.share for p in found.parts}
    assert part["a"] > 0.9
    assert sum(part.values()) == pytest.approx(1)
    assert shares(["a", "b"], members, np.ones(len(members))) is None


def test_one_random_factor_is_a_t_interval_over_its_levels():
    members, values = balanced({"f": 2, "g": 5}, 2)
    units = matched(members, ["f"], {("f1",): 1.0, ("f0",): -1.0})
    assert units is not None
    observed = units.weights @ values
    cells = observed.reshape(2, 5).mean(axis=0)
    found = over_factors(units, observed, ["g"], 0.0)
    expected = stats.ttest_1samp(cells, 0).confidence_interval(0.95)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.over == ("g",)


def test_random_factors_hold_the_effect_of_their_population():
    """Effects that vary with backbone and loss, four and three drawn from many: the wider interval covers."""
    rng = np.random.default_rng(0)
    members, _ = balanced({"f": 2, "g": 4, "h": 3}, 1)
    units = matched(members, ["f"], {("f1",): 1.0, ("f0",): -1.0})
    assert units is not None
    covered = fixed = 0
    for _ in range(400):
        g, h = rng.normal(0, 1, 4), rng.normal(0, 0.7, 3)
        observed = np.array([g[i] + h[j] for i, j in units.levels]) + rng.normal(0, 0.3, 12)
        found = over_factors(units, observed, ["g", "h"], 0.0)
        assert found is not None
        covered += found.low <= 0 <= found.high
        one = stats.ttest_1samp(observed, 0).confidence_interval(0.95)
        fixed += one.low <= 0 <= one.high
    assert covered / 400 > 0.92
    assert fixed / 400 < 0.75  # cells taken as independent draws


def test_confounded_comparisons_are_named(task: TaskResults):
    a, b = task.trials[0], task.trials[1]
    assert (a.factors["loss"], b.factors["loss"]) == ("bce", "focal")
    assert confounds.confounds("loss", [(a, b)]) == ()
    faster = replace(b, spec={**b.spec, "recipe": {**b.spec["recipe"], "lr": 1.0}})
    assert confounds.confounds("loss", [(a, faster)]) == ("its trials differ in lr as well",)
    newer = replace(b, spec={**b.spec, "stages": {"train": 99}})
    assert confounds.confounds("loss", [(a, newer)]) == ("its trials differ in versions of swath's code as well",)
    only = replace(a, spec={**a.spec, "recipe": {**a.spec["recipe"], "lr": 1.0}})
    assert confounds.confounds("lr", [(a, only)]) == ()


def test_unequal_steps_and_a_lost_stem_are_named(task: TaskResults):
    a = task.trials[0]
    chain = a.spec["preprocess"]
    both = replace(a, spec={**a.spec, "preprocess": [{"name": "both", "version": 1}, *chain]})
    (found,) = confounds.confounds("preprocess", [(a, both)])
    assert "unequal steps" in found
    gray = replace(a, spec={**a.spec, "preprocess": [{"name": "grayscale", "version": 1, "channels": 1}, *chain]})
    (found,) = confounds.confounds("preprocess", [(a, gray)])
    assert "pretrained first layer" in found


def test_the_two_halves_of_a_chain_are_judged_by_what_they_do(task: TaskResults):
    """Ops of a field's name or value, or of the other half, are not what is looked for."""
    a = task.trials[0]
    resize = a.spec["preprocess"][-1]
    both, gray = {"name": "both", "version": 1}, {"name": "grayscale", "version": 1, "channels": 1}
    odd = {"name": "odd", "version": 1, "inner": {"name": "both", "channels": 1}}

    def split(train: list, test: list, size: int = 64):
        chain = {"name": "chain", "version": 1, "train": [*train, resize], "test": [*test, {**resize, "size_px": size}]}
        return replace(a, spec={**a.spec, "preprocess": chain})

    (found,) = confounds.confounds("preprocess", [(a, split([both], []))])
    assert "unequal steps" in found
    (found,) = confounds.confounds("preprocess", [(a, split([gray], [gray]))])
    assert "pretrained first layer" in found
    assert confounds.confounds("preprocess", [(a, split([odd], [odd]))]) == ()
    assert confounds.differences(a.spec, split([], []).spec) == {}
    larger = split([], [], size=640)  # another size than the recipe's 64 is a choice, though it begins alike
    assert set(confounds.differences(a.spec, larger.spec)) == {"preprocess"}


def test_the_models_and_images_of_a_chain_belong_to_it(task: TaskResults):
    a, b = task.trials[0], task.trials[1]
    superres = {"name": "superres", "version": 1}
    chain = {"preprocess": [superres, *a.spec["preprocess"]], "op_weights": ["0" * 64], "hires": "ff"}
    assert confounds.confounds("preprocess", [(a, replace(a, spec={**a.spec, **chain}))]) == ()
    found = confounds.confounds("loss", [(a, replace(b, spec={**b.spec, "op_weights": ["1" * 64]}))])
    assert found == ("its trials differ in preprocess as well",)


def test_cells_of_one_block_differ_by_seed_alone():
    for own in (True, False):
        members, values = balanced({"f": 2, "g": 3}, 2, own=own)
        units = matched(members, ["f"], {("f1",): 1.0, ("f0",): -1.0})
        assert units is not None
        assert np.bincount(units.blocks).tolist() == [2, 2, 2]
        assert units.shares.sum() == pytest.approx(1)
        assert units.independent == own
        variances = (units.weights @ values).reshape(2, 3).var(axis=0, ddof=1)
        df = variances.sum() ** 2 / (variances**2).sum() if own else 1  # Welch and Satterthwaite; seeds - 1
        assert estimate(units, values, lambda c: np.zeros(len(c))).df == pytest.approx(df)
