"""Augmentations on images whose every pixel is known."""

import itertools

import cv2
import numpy as np
import pytest
import torch

from swath import augment
from swath.config.augment import AUGMENTATIONS, Augmentation, augment_problems
from swath.training.augment import CHANGES, Augmenter, Pixels, centre

SIDE = 16
EXAMPLES: dict[str, Augmentation] = {
    "hflip": augment.HorizontalFlip(),
    "vflip": augment.VerticalFlip(),
    "transpose": augment.Transpose(),
    "rotate90": augment.Rotate90(),
    "color_jitter": augment.ColorJitter(p=1.0),
    "rand_augment": augment.RandAugment(),
    "random_resized_crop": augment.RandomResizedCrop(scale=(0.3, 0.9)),
    "random_crop": augment.RandomCrop(padding_px=4),
    "coarse_dropout": augment.CoarseDropout(p=1.0),
}


def images(count: int, side: int = SIDE, channels: int = 3) -> Pixels:
    return np.random.default_rng(0).integers(1, 256, (count, side, side, channels)).astype(np.uint8)


def augmented(*ops: Augmentation, given: Pixels, size: int = SIDE, epoch: int = 1, seed: int = 0) -> Pixels:
    change = Augmenter(ops, size, len(given), seed).of_epoch(epoch)
    return change(given, np.arange(len(given)))


def test_every_augmentation_is_implemented_and_tried_here() -> None:
    assert CHANGES.names() == sorted(kind.name for kind in AUGMENTATIONS.values()) == sorted(EXAMPLES)


@pytest.mark.parametrize("op", EXAMPLES.values(), ids=EXAMPLES)
def test_draws_follow_from_seed_epoch_and_image_alone(op: Augmentation) -> None:
    given = images(12)
    one = Augmenter((op,), SIDE, 12, seed=3)
    whole = one.of_epoch(2)(given, np.arange(12))
    order = np.random.default_rng(1).permutation(12)
    torch.manual_seed(5)
    again = Augmenter((op,), SIDE, 12, seed=3)
    again.of_epoch(1)(given, order)  # what was trained before does not matter, nor does the batch
    parts = [again.of_epoch(2)(given[some], some) for some in np.split(order, 4)]
    np.testing.assert_array_equal(np.concatenate(parts), whole[order])
    assert (one.of_epoch(3)(given, np.arange(12)) != whole).any()
    assert (Augmenter((op,), SIDE, 12, seed=4).of_epoch(2)(given, np.arange(12)) != whole).any()
    assert len({image.tobytes() for image in augmented(op, given=np.repeat(given[:1], 12, axis=0))}) > 1


@pytest.mark.parametrize("op", EXAMPLES.values(), ids=EXAMPLES)
@pytest.mark.parametrize("channels", [1, 3])
def test_images_keep_their_type_and_channels_and_the_generator_its_state(op: Augmentation, channels: int) -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    found = augmented(op, given=images(4, channels=channels))
    assert (found.dtype, found.shape) == (np.uint8, (4, SIDE, SIDE, channels))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("op", "reference"),
    [
        (augment.HorizontalFlip(1.0), lambda x: x[:, ::-1]),
        (augment.VerticalFlip(1.0), lambda x: x[::-1]),
        (augment.Transpose(1.0), lambda x: x.transpose(1, 0, 2)),
    ],
)
def test_certain_flips_are_numpys(op: Augmentation, reference) -> None:
    given = images(3)
    np.testing.assert_array_equal(augmented(op, given=given), np.stack([reference(x) for x in given]))
    never = type(op)(0.0)  # type: ignore[call-arg]
    np.testing.assert_array_equal(augmented(never, given=given), given)


def test_flips_and_transposes_give_all_eight_symmetries_alike() -> None:
    given = np.repeat(images(1), 800, axis=0)
    found = augmented(augment.HorizontalFlip(), augment.VerticalFlip(), augment.Transpose(), given=given)
    symmetries = {
        np.rot90(x, turns).tobytes(): 0 for turns, x in itertools.product(range(4), (given[0], given[0][:, ::-1]))
    }
    for image in found:
        symmetries[image.tobytes()] += 1
    assert len(symmetries) == 8
    assert min(symmetries.values()) > 60  # 100 expected, standard deviation 9.4


def test_quarter_turns_are_equally_likely() -> None:
    given = np.repeat(images(1), 400, axis=0)
    turns = [np.rot90(given[0], k).tobytes() for k in range(4)]
    counts = np.bincount([turns.index(x.tobytes()) for x in augmented(augment.Rotate90(), given=given)], minlength=4)
    assert counts.min() > 65  # 100 expected, standard deviation 8.7


def test_colour_jitter_without_amounts_changes_nothing_and_brightness_is_a_factor() -> None:
    given = images(30) // 4 + 20
    still = augmented(augment.ColorJitter(0, 0, 0, 0, p=1.0), given=given)
    np.testing.assert_array_equal(still, given)
    found = augmented(augment.ColorJitter(brightness=0.5, contrast=0, saturation=0, hue=0, p=1.0), given=given)
    factors = found.astype(float).mean(axis=(1, 2, 3)) / given.mean(axis=(1, 2, 3))
    assert 0.49 < factors.min() < 0.7 < 1.3 < factors.max() < 1.51
    np.testing.assert_allclose(found, np.clip(given * factors[:, None, None, None], 0, 255), atol=1.5)


def test_a_random_crop_is_a_window_of_the_image() -> None:
    given = images(20, side=24)
    for image, found in zip(given, augmented(augment.RandomCrop(), given=given), strict=True):
        match = cv2.matchTemplate(image, found, cv2.TM_SQDIFF)
        y, x = np.unravel_index(match.argmin(), match.shape)
        np.testing.assert_array_equal(image[y : y + SIDE, x : x + SIDE], found)


def test_random_resized_crops_have_the_recipes_size() -> None:
    found = augmented(augment.RandomResizedCrop(scale=(1.0, 1.0), ratio=(1.0, 1.0)), given=images(3, side=24), size=24)
    np.testing.assert_array_equal(found, images(3, side=24))
    assert augmented(augment.RandomResizedCrop(), given=images(3, side=40)).shape == (3, SIDE, SIDE, 3)


def test_dropout_makes_black_rectangles_of_the_documented_size() -> None:
    found = augmented(augment.CoarseDropout(holes=1, size=0.5, p=1.0), given=images(30))
    for image in found:
        rows, columns = np.nonzero((image == 0).all(axis=2))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert len(rows) == height * width
        assert 0.25 * SIDE <= height <= 0.5 * SIDE
        assert 0.25 * SIDE <= width <= 0.5 * SIDE


def test_without_augmentation_a_larger_image_loses_its_borders() -> None:
    given = images(2, side=SIDE + 5)
    np.testing.assert_array_equal(augmented(given=given), given[:, 2 : 2 + SIDE, 2 : 2 + SIDE])
    np.testing.assert_array_equal(centre(given, SIDE), given[:, 2 : 2 + SIDE, 2 : 2 + SIDE])
    assert centre(given, SIDE + 5) is given


def test_problems_name_the_field_and_what_is_allowed() -> None:
    assert augment_problems(()) == augment_problems(tuple(EXAMPLES.values())) == []
    assert augment_problems((augment.HorizontalFlip(1.5),)) == [
        "HorizontalFlip(p=1.5): allowed is a number from 0 to 1."
    ]
    assert augment_problems((augment.ColorJitter(hue=0.6, p=-1),)) == [
        "ColorJitter(hue=0.6): allowed is a number from 0 to 0.5.",
        "ColorJitter(p=-1): allowed is a number from 0 to 1.",
    ]
    assert augment_problems((augment.RandomResizedCrop(scale=(0.9, 0.5)),)) == [
        "RandomResizedCrop(scale=(0.9, 0.5)): allowed is a pair (lowest, highest) from 0.01 to 1."
    ]
    assert "Did you mean 'HorizontalFlip'" in augment_problems(("HorizontalFlp",))[0]
    assert "give a tuple" in augment_problems(augment.HorizontalFlip())[0]
