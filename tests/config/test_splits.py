import re

import numpy as np
import pytest
from numpy.typing import NDArray

from swath.config.splits import Holdout, KFold, stratified_folds, stratified_half

FREQUENCIES = np.geomspace(0.65, 0.01, 20)


def skewed(n: int, seed: int = 0) -> NDArray[np.uint8]:
    """Labels as skewed as the satellite task's: 65 % down to 1 %."""
    return (np.random.default_rng(seed).random((n, 20)) < FREQUENCIES).astype(np.uint8)


def test_a_holdout_numbers_the_images_it_validates_on() -> None:
    folds = Holdout(0.25).validation_folds(skewed(400), np.arange(400))
    assert set(folds.tolist()) == {0, -1}
    np.testing.assert_array_equal(folds == 0, stratified_half(skewed(400), np.arange(400), 0.25, 0))
    assert Holdout().folds == 1


@pytest.mark.parametrize("groups", [2, 5, 37, 200])
@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5])
def test_no_group_straddles_and_the_share_of_groups_is_kept(groups: int, fraction: float) -> None:
    targets = skewed(600)
    index = np.random.default_rng(1).integers(0, groups, 600) * 3 + 7  # neither sorted nor from 0
    chosen = stratified_half(targets, index, fraction, seed=0)
    sides = {g: set(chosen[index == g].tolist()) for g in np.unique(index)}
    assert all(len(side) == 1 for side in sides.values())
    drawn = sum(side == {True} for side in sides.values())
    assert abs(drawn - fraction * len(sides)) <= max(1.5, 0.03 * len(sides))
    assert 1 <= drawn < len(sides)


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.33, 0.5, 0.8])
def test_the_share_of_images_is_kept(fraction: float) -> None:
    assert stratified_half(skewed(1000), np.arange(1000), fraction, 0).mean() == pytest.approx(fraction, abs=0.015)


@pytest.mark.parametrize("fraction", [0.2, 0.5])
def test_every_label_is_as_frequent_on_both_sides_and_rare_ones_are_on_both(fraction: float) -> None:
    targets = skewed(2000)
    chosen = stratified_half(targets, np.arange(2000), fraction, 0)
    counts, drawn = targets.sum(axis=0), targets[chosen].sum(axis=0)
    rare = FREQUENCIES < 0.1
    # Stratified, a label's count is off by an image or two; a plain draw is off by a standard deviation and more.
    assert np.abs(drawn - fraction * counts)[rare].max() <= 2
    assert np.abs(drawn / (fraction * counts) - 1).max() < 0.15
    assert (drawn > 0).all()
    assert (drawn < counts).all()


def test_a_plain_draw_would_fail_that_test() -> None:
    targets = skewed(2000)
    chosen = np.random.default_rng(0).permutation(2000) < 400
    rare = FREQUENCIES < 0.1
    assert np.abs(targets[chosen].sum(axis=0) - 0.2 * targets.sum(axis=0))[rare].max() > 2


def test_single_labels_are_stratified() -> None:
    targets = np.eye(25, dtype=np.uint8)[np.repeat(np.arange(25), 20)]
    chosen = stratified_half(targets, np.arange(500), 0.2, 3)
    assert set(targets[chosen].sum(axis=0).tolist()) == {4}


def test_a_group_carries_the_labels_of_all_its_images() -> None:
    targets = np.zeros((80, 2), np.uint8)
    groups = np.repeat(np.arange(40), 2)
    targets[1:41:2, 0] = 1  # the second image of the first twenty groups
    chosen = stratified_half(targets, groups, 0.5, 0)
    assert targets[chosen, 0].sum() == 10


def test_the_same_seed_draws_the_same_and_another_another() -> None:
    targets, groups = skewed(300), np.arange(300) // 2
    first = stratified_half(targets, groups, 0.2, 5)
    np.testing.assert_array_equal(stratified_half(targets, groups, 0.2, 5), first)
    np.random.default_rng(0).random(10)
    np.random.seed(123)  # the library must not read the global state
    np.testing.assert_array_equal(stratified_half(targets, groups, 0.2, 5), first)
    assert (stratified_half(targets, groups, 0.2, 6) != first).mean() > 0.1


def test_names_of_groups_do_not_matter() -> None:
    targets, groups = skewed(200), np.arange(200) // 4
    np.testing.assert_array_equal(
        stratified_half(targets, groups, 0.2, 0), stratified_half(targets, groups * 10 + 3, 0.2, 0)
    )


def test_both_sides_have_a_group_however_few_there_are() -> None:
    for seed in range(300):
        rng = np.random.default_rng(seed)
        n, classes, fraction = rng.integers(2, 16), rng.integers(1, 10), rng.uniform(0.02, 0.98)
        one_hot = np.eye(classes, dtype=np.uint8)[rng.integers(0, classes, n)]
        targets = one_hot if rng.random() < 0.5 else (rng.random((n, classes)) < 0.3).astype(np.uint8)
        chosen = stratified_half(targets, np.arange(n), fraction, 0)
        assert 1 <= chosen.sum() < n, f"seed {seed}: {chosen.sum()} of {n} images"


def test_one_label_alone_is_stratified() -> None:
    targets = (np.arange(100) < 10).astype(np.uint8)[:, None]
    chosen = stratified_half(targets, np.arange(100), 0.2, 0)
    assert (int(chosen.sum()), int(targets[chosen].sum())) == (20, 2)


@pytest.mark.parametrize("groups", [np.zeros(5, np.int64), np.zeros(0, np.int64)])
def test_fewer_than_two_groups_cannot_be_split(groups: NDArray[np.int64]) -> None:
    message = f"cannot split {len(np.unique(groups))} group(s) of images in two"
    with pytest.raises(ValueError, match=re.escape(message)):
        stratified_half(np.ones((len(groups), 2), np.uint8), groups, 0.2, 0)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan"), "0.2", None])
def test_a_fraction_out_of_range_is_named_with_the_allowed_ones(fraction: float) -> None:
    (problem,) = Holdout(fraction).problems()
    assert problem == f"holdout({fraction!r}): give the share that validates, above 0 and below 1, e.g. 0.2."


@pytest.mark.parametrize("seed", [-1, 0.5, "0", 2**32])
def test_a_seed_out_of_range_is_named_with_the_allowed_ones(seed: int) -> None:
    (problem,) = Holdout(0.2, seed).problems()
    assert problem == f"holdout(seed={seed!r}): allowed is a whole number from 0 to 4294967295."


def test_the_canonical_form_is_short_and_tells_any_two_splits_apart() -> None:
    assert Holdout().canonical() == "holdout(0.2,seed=0)"
    assert Holdout(0.2, 7).canonical() == "holdout(0.2,seed=7)"
    assert Holdout(0.2).problems() == []
    assert Holdout(1 / 3).canonical() != Holdout(0.333333).canonical()  # they are keys of the store


@pytest.mark.parametrize("k", [2, 3, 5])
def test_folds_are_equal_in_size_and_in_every_label(k: int) -> None:
    targets = skewed(1500)
    folds = KFold(k, seed=1).validation_folds(targets, np.arange(1500))
    assert KFold(k).folds == k
    assert np.bincount(folds).tolist() == pytest.approx([1500 / k] * k, abs=15)
    counts = np.stack([targets[folds == fold].sum(axis=0) for fold in range(k)])
    # A plain draw is off by a standard deviation, sqrt(count (k - 1)) / k, and more.
    assert np.abs(counts - targets.sum(axis=0) / k)[:, FREQUENCIES < 0.1].max() <= 2


def test_single_labels_are_spread_over_folds() -> None:
    targets = np.eye(25, dtype=np.uint8)[np.repeat(np.arange(25), 20)]
    folds = KFold(5).validation_folds(targets, np.arange(500))
    assert all(set(targets[folds == fold].sum(axis=0).tolist()) == {4} for fold in range(5))


def test_no_group_straddles_folds_and_none_is_empty() -> None:
    for seed in range(100):
        rng = np.random.default_rng(seed)
        k = int(rng.integers(2, 7))
        groups = np.concatenate([np.arange(k), rng.integers(0, k + rng.integers(0, 30), 60)]) * 3 + 7
        targets = (rng.random((len(groups), rng.integers(1, 6))) < 0.3).astype(np.uint8)
        folds = stratified_folds(targets, groups, k, seed)
        assert set(folds.tolist()) == set(range(k))
        assert all(len(set(folds[groups == g].tolist())) == 1 for g in np.unique(groups))


def test_the_same_seed_gives_the_same_folds_and_another_another() -> None:
    targets, groups = skewed(300), np.arange(300) // 2
    first = stratified_folds(targets, groups, 5, 5)
    np.testing.assert_array_equal(stratified_folds(targets, groups, 5, 5), first)
    assert (stratified_folds(targets, groups, 5, 6) != first).mean() > 0.3


def test_fewer_groups_than_folds_cannot_be_split() -> None:
    with pytest.raises(ValueError, match=r"cannot split 4 group\(s\) of images in 5 folds"):
        stratified_folds(np.ones((8, 2), np.uint8), np.arange(8) // 2, 5, 0)


@pytest.mark.parametrize("k", [1, 0, 2.5, "5", True, 101, None])
def test_a_number_of_folds_out_of_range_is_named_with_the_allowed_ones(k: int) -> None:
    assert KFold(k).problems() == [f"kfold({k!r}): give a whole number of folds from 2 to 100, e.g. 5."]
    assert KFold(5, seed=-1).problems() == ["kfold(seed=-1): allowed is a whole number from 0 to 4294967295."]
    assert KFold().canonical() == "kfold(5,seed=0)"
