import pytest

from swath import ops
from swath.ops import Grayscale, Resize, Sharpen, chain_problems, channels, finished, label, size_px


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
    assert size_px(chain, 64) == done[-1].size_px  # type: ignore[attr-defined]
    assert finished(done, 99) == done


@pytest.mark.parametrize(
    ("chain", "text"),
    [
        ((), "raw"),
        ((Resize(),), "raw"),
        ((Sharpen(),), "sharpen"),
        ((Grayscale(), Sharpen(), Resize()), "grayscale|sharpen"),
        ((Grayscale(3), Resize(64, aspect="pad")), "grayscale(channels=3)|resize(size_px=64,aspect=pad)"),
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
        "unknown op 'Grayscal'. Did you mean 'Grayscale'? Allowed: Grayscale, Resize, Sharpen. "
        "Write it as a value, e.g. ops.Sharpen().",
        "preprocess=resize(size_px=7)|grayscale(channels=0)|'Grayscal': Resize must be the last op of its chain.",
    ]


@pytest.mark.parametrize("size", [-1, 1, 7, 4097, 64.0, "64", None])
def test_sizes_out_of_range_are_refused(size: int) -> None:
    assert Resize(size).problems() == [f"Resize(size_px={size!r}): give a whole number of pixels from 8 to 4096."]


def test_every_op_of_the_table_is_named_once_and_has_an_implementation() -> None:
    from swath.preprocess.apply import IMPLEMENTATIONS

    names = [op.name for op in ops.OPS.values()]
    assert sorted(names) == IMPLEMENTATIONS.names()
    assert all(getattr(ops, name) is op for name, op in ops.OPS.items())
