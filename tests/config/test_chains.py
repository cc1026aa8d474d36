import re
from dataclasses import dataclass
from typing import ClassVar

import pytest

from swath import chain, ops
from swath.config.chains import (
    Chain,
    Preprocess,
    chain_problems,
    channels,
    finished,
    for_test,
    for_train,
    label,
    sizes_px,
)
from swath.config.ops import Both, Clahe, Grayscale, Hires, Op, Resize, Sharpen, Unsharp
from swath.core.registry import unknown


@pytest.mark.parametrize(
    ("chain", "done"),
    [
        ((), (Resize(64),)),
        ((Sharpen(),), (Sharpen(), Resize(64))),
        ((Sharpen(), Resize()), (Sharpen(), Resize(64))),
        ((Resize(48, "area", "pad"),), (Resize(48, "area", "pad"),)),
        ((Resize(interpolation="lanczos", aspect="crop"),), (Resize(64, "lanczos", "crop"),)),
    ],
)
def test_a_finished_chain_ends_in_one_resize_of_known_size(chain: tuple[ops.Op, ...], done: tuple[ops.Op, ...]) -> None:
    assert finished(chain, 64) == done
    assert sizes_px(chain, 64) == {done[-1].size_px}  # type: ignore[attr-defined]
    assert finished(done, 99) == done


@pytest.mark.parametrize(
    ("chain", "text"),
    [
        ((), "raw"),
        ((Resize(),), "raw"),
        ((Sharpen(),), "sharpen"),
        ((Grayscale(), Sharpen(), Resize()), "grayscale|sharpen"),
        ((Grayscale(3), Resize(64, aspect="pad")), "grayscale(channels=3)|resize(size_px=64,aspect=pad)"),
        ((ops.SuperRes(), Sharpen()), "superres(x4plus,4)|sharpen"),
        ((ops.SuperRes(2), Sharpen()), "superres(x4plus,2)|sharpen"),
        ((ops.Shrink(16), ops.SuperRes(model="compact")), "shrink(16)|superres(compact,4)"),
        ((ops.SuperRes(2, "compact", "/a/b.pth", "realesrgan"),), "superres(compact,2,weights=b.pth,realesrgan)"),
        (("sharpen",), "'sharpen'"),  # a label must be had before the problem is told
    ],
)
def test_labels_are_short_and_tell_chains_apart(chain: tuple[ops.Op, ...], text: str) -> None:
    assert label(chain) == text


def test_a_chain_gives_three_channels_or_one() -> None:
    assert channels(()) == channels((Sharpen(),)) == channels((Grayscale(3),)) == 3
    assert channels((Grayscale(), Sharpen())) == 1
    assert channels((Grayscale(1), Grayscale(3))) == 3


def test_sound_chains_have_no_problems() -> None:
    assert chain_problems(()) == chain_problems((Grayscale(3), Sharpen(), Resize(8))) == []
    assert chain_problems((Resize(4096, "nearest", "crop"),)) == []


def test_all_problems_of_a_chain_come_at_once() -> None:
    assert chain_problems((Resize(7), Grayscale(0), "Grayscal")) == [  # type: ignore[arg-type]
        "Resize(size_px=7): give a whole number of pixels from 8 to 4096.",
        "Grayscale(channels=0): allowed are 1 (one-channel input) and 3 (gray repeated).",
        unknown("op", "Grayscal", ops.OPS) + " Write it as a value, e.g. ops.Sharpen().",
        "preprocess=resize(size_px=7)|grayscale(channels=0)|'Grayscal': Resize must be the last op of its chain.",
    ]


@dataclass(frozen=True)
class Costly(Op):
    name: ClassVar[str] = "costly"
    expensive: ClassVar[bool] = True


HIRES_TO_SHARP = chain(train=(Hires(),), test=(Sharpen(),))


def test_a_chain_has_two_halves_and_a_plain_tuple_two_equal_ones() -> None:
    assert (for_train(HIRES_TO_SHARP), for_test(HIRES_TO_SHARP)) == ((Hires(),), (Sharpen(),))
    assert for_train((Sharpen(),)) == for_test((Sharpen(),)) == (Sharpen(),)
    assert finished(HIRES_TO_SHARP, 32) == Chain((Hires(), Resize(32)), (Sharpen(), Resize(32)))
    assert finished(chain(train=(Sharpen(),), test=(Sharpen(), Resize())), 32) == (Sharpen(), Resize(32))
    assert label(HIRES_TO_SHARP) == "train hires, test sharpen"
    assert label(chain(train=(Both(), Unsharp(2.0)))) == "train both|unsharp(radius=2), test raw"
    assert label(finished(HIRES_TO_SHARP, 32)) == "train hires|resize(size_px=32), test sharpen|resize(size_px=32)"
    assert sizes_px(chain(train=(Resize(48),)), 32) == {32, 48}
    assert channels(chain(train=(Hires(), Grayscale()), test=(Grayscale(),))) == 1


@pytest.mark.parametrize(
    "preprocess",
    [
        HIRES_TO_SHARP,
        chain(train=(Both(), Clahe()), test=(Clahe(),)),
        (Hires(), Unsharp()),  # a task without test images, or whose test images have high-resolution versions
        chain(),
        (Costly(), Grayscale()),
        (Grayscale(3), Costly()),
    ],
)
def test_sound_pairs_of_chains_have_no_problems(preprocess: Preprocess) -> None:
    assert chain_problems(preprocess) == []


@pytest.mark.parametrize(
    ("preprocess", "problem"),
    [
        ((Both(),), r"preprocess=both: Both is for training images only; write chain\(train=\(ops.Both\(\)"),
        (chain(test=(Both(),)), "test=both: Both is for training images only; leave it to the train chain"),
        (chain(train=(Sharpen(), Both())), r"train=sharpen\|both: Both must be the first op of its chain"),
        ((Sharpen(), Hires()), r"preprocess=sharpen\|hires: Hires must be the first op of its chain"),
        (chain(train=(Both(), Hires())), "Hires must be the first op of its chain"),
        (chain(train=(Grayscale(),)), r"train chain gives 1 channel\(s\), the test chain 3. .* the same Grayscale"),
        (chain(train=(Resize(), Sharpen())), "Resize must be the last op of its chain"),
        (chain(train=[Sharpen()]), r"train=\[Sharpen\(\)\]: give a tuple of ops"),  # type: ignore[arg-type]
        (chain(test=("sharpen",)), "unknown op 'sharpen'.*Did you mean 'Sharpen'"),  # type: ignore[arg-type]
        ((Grayscale(), Costly()), r"preprocess=grayscale\|costly: an op with a model needs colour images"),
    ],
)
def test_what_is_out_of_place_in_a_chain_is_said(preprocess: Preprocess, problem: str) -> None:
    (found,) = chain_problems(preprocess)
    assert re.search(problem, found)


def test_both_halves_are_part_of_the_identity() -> None:
    from swath.core.description import changed, digest

    halves = ((), (Hires(),), (Sharpen(),))
    forms = {digest(changed(finished(Chain(a, b), 32))) for a in halves for b in halves}
    assert len(forms) == 9
    assert digest(changed(finished(Chain((Sharpen(),), (Sharpen(),)), 32))) == digest(
        changed(finished((Sharpen(),), 32))
    )
