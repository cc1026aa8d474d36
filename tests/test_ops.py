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
        f"unknown op 'Grayscal'. Did you mean 'Grayscale'? Allowed: {', '.join(sorted(ops.OPS))}. "
        "Write it as a value, e.g. ops.Sharpen().",
        "preprocess=resize(size_px=7)|grayscale(channels=0)|'Grayscal': Resize must be the last op of its chain.",
    ]


@pytest.mark.parametrize("size", [-1, 1, 7, 4097, 64.0, "64", None])
def test_sizes_out_of_range_are_refused(size: int) -> None:
    assert Resize(size).problems() == [f"Resize(size_px={size!r}): give a whole number of pixels from 8 to 4096."]


def test_every_op_of_the_table_is_named_once_and_has_an_implementation() -> None:
    from swath.preprocess.apply import IMPLEMENTATIONS

    cheap = [op.name for op in ops.OPS.values() if not op.expensive]
    assert sorted(cheap) == IMPLEMENTATIONS.names()
    assert all(getattr(ops, name) is op for name, op in ops.OPS.items())


def test_problems_of_superres_say_what_is_allowed() -> None:
    assert ops.SuperRes(2, "compact", "a.pth", "realesrgan").problems() == []
    assert ops.SuperRes("compact").problems() == [  # type: ignore[arg-type]
        "SuperRes(scale='compact'): allowed are 2 and 4. The scale comes first: SuperRes(model='compact')."
    ]
    found = ops.SuperRes(3, "x4pls", 5, "spandrl").problems()  # type: ignore[arg-type]
    assert len(found) == 4
    assert "'x4plus'" in found[1]
    assert "'spandrel'" in found[3]
    assert ops.Shrink(0).problems() == ["Shrink(longest_px=0): give a whole number of pixels from 1 to 4096."]


def test_what_identifies_the_weights_of_superres() -> None:
    given, official = ops.SuperRes(weights="/x/own.pth"), ops.SuperRes(model="compact")
    assert (given.weight_file(0), given.weight_sha256()) == ("/x/own.pth", "")
    assert official.weight_file(3) == ""
    assert official.weight_sha256() == "b8a8376811077954d82ca3fcf476f1ac3da3e8a68a4f4d71363008000a18b75d"
    assert (Sharpen().weight_file(0), Sharpen().weight_sha256()) == ("", "")
