"""Mixtures of known images have the known labels."""

import numpy as np
import pytest
import torch
from torch import Tensor

from swath.config.mix import CutMix, Mix, Mixup, mix_problems
from swath.training.mix import Mixed, Step, draw_mixture

SIDE, BATCH = 20, 6


def batch(kind: str = "multiclass") -> tuple[Tensor, Tensor]:
    """Image i is filled with i; its label is i, or i and all below."""
    images = torch.arange(BATCH, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 3, SIDE, SIDE).clone()
    return images, torch.eye(BATCH) if kind == "multiclass" else torch.tril(torch.ones(BATCH, BATCH))


def mixed(mixes: tuple[Mix, ...], images: Tensor, targets: Tensor, seed: int, epoch: int, step: int) -> Mixed:
    """All images of a step at once."""
    mixture = draw_mixture(mixes, len(images), images.shape[-1], seed, epoch, step)
    return Step(images.numpy(), targets.numpy(), mixture).part(0, len(images), on_cpu)


def on_cpu(images: np.ndarray, targets: np.ndarray) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(images), torch.from_numpy(targets)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
@pytest.mark.parametrize("alpha", [0.4, 1.0, 5.0])
def test_a_cutmix_of_known_images_has_the_known_label(kind: str, alpha: float) -> None:
    images, targets = batch(kind)
    shares = []
    for step in range(1, 60):
        found = mixed((CutMix(alpha),), images, targets, 0, 1, step)
        assert found.others is not None
        for i, image in enumerate(found.images):
            values = {int(v) for v in image.unique()}
            second = (values - {i}).pop() if values - {i} else i
            share = (image == i).float().mean().item()
            if second != i:
                assert share == pytest.approx(found.share, abs=1e-6), "the clipped area of the patch decides"
                rows, columns = np.nonzero((image[0] == second).numpy())
                assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1), "a rectangle"
                torch.testing.assert_close(found.others[i], targets[second])
            torch.testing.assert_close(found.targets[i], targets[i])
        shares.append(found.share)
    assert 0.0 <= min(shares) < 0.4
    assert 0.8 < max(shares) <= 1.0
    torch.testing.assert_close(images, batch()[0])  # the given batch stays as it is


def test_a_mixup_is_the_weighted_mean_of_images_and_labels() -> None:
    images, targets = batch()
    shares = []
    for step in range(1, 200):
        found = mixed((Mixup(alpha=1.0),), images, targets, 0, 1, step)
        assert found.others is not None
        second = found.others.argmax(dim=1)
        expected = found.share * images + (1 - found.share) * images[second]
        torch.testing.assert_close(found.images, expected)
        shares.append(found.share)
    assert np.mean(shares) == pytest.approx(0.5, abs=0.06)  # Beta(1, 1) is uniform: its mean over 199 draws +- 0.02
    assert np.std(shares) == pytest.approx(12**-0.5, abs=0.04)


def test_every_draw_follows_from_seed_epoch_and_step() -> None:
    images, targets = torch.randn(BATCH, 3, SIDE, SIDE), torch.eye(BATCH)

    def draw(seed: int, epoch: int, step: int) -> Mixed:
        return mixed((CutMix(), Mixup()), images, targets, seed, epoch, step)

    torch.testing.assert_close(draw(1, 2, 3).images, draw(1, 2, 3).images)
    for other in ((2, 2, 3), (1, 3, 3), (1, 2, 4)):
        assert draw(*other).share != draw(1, 2, 3).share


def test_of_several_mixes_each_is_drawn_as_often_and_p_leaves_batches_alone() -> None:
    images, targets = batch()
    kinds = {"cutmix": 0, "mixup": 0, "none": 0}
    for step in range(1, 401):
        found = mixed((CutMix(p=0.5), Mixup(p=0.5)), images, targets, 0, 1, step)
        whole = bool((found.images == found.images.round()).all())
        kinds["none" if found.others is None else "cutmix" if whole else "mixup"] += 1
    assert kinds["none"] == pytest.approx(200, abs=35)
    assert kinds["cutmix"] == pytest.approx(100, abs=30)
    assert kinds["mixup"] == pytest.approx(100, abs=30)
    untouched = mixed((), images, targets, 0, 1, 1)
    assert torch.equal(untouched.images, images)
    assert (untouched.others, untouched.share) == (None, 1.0)


def test_problems() -> None:
    assert mix_problems((CutMix(), Mixup(0.2, p=0.5))) == []
    assert mix_problems((CutMix(alpha=0),)) == ["CutMix(alpha=0): allowed is a number from 0.01 to 100."]
    assert "Did you mean 'CutMix'?" in mix_problems(("Cutmix",))[0]
    assert "give a tuple" in mix_problems(CutMix())[0]
    assert [m.canonical() for m in (CutMix(), Mixup(0.2))] == ["cutmix", "mixup(alpha=0.2)"]
    assert isinstance(CutMix(), Mix)


@pytest.mark.parametrize("mix", [CutMix(), Mixup()], ids=["cutmix", "mixup"])
def test_parts_of_a_step_are_those_of_the_whole_step_and_no_more_goes_to_the_device(mix: Mix) -> None:
    images = np.random.default_rng(0).random((BATCH, 3, SIDE, SIDE), np.float32)
    targets, moved = np.eye(BATCH, dtype=np.float32), []

    def to_device(some: np.ndarray, labels: np.ndarray) -> tuple[Tensor, Tensor]:
        moved.append(len(some))
        return on_cpu(some, labels)

    step = Step(images, targets, draw_mixture((mix,), BATCH, SIDE, 0, 1, 1))
    whole = step.part(0, BATCH, on_cpu)
    parts = [step.part(start, start + 2, to_device) for start in range(0, BATCH, 2)]
    assert moved == [2] * BATCH, "the images of a part and those that are mixed into them"
    assert whole.others is not None
    assert torch.equal(torch.cat([p.images for p in parts]), whole.images)
    assert torch.equal(torch.cat([p.others for p in parts if p.others is not None]), whole.others)
    assert torch.equal(torch.cat([p.targets for p in parts]), whole.targets)
