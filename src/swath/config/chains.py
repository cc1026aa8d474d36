"""Chains of ops: their label, channels, size and problems; `chain(train=..., test=...)` where the two parts differ."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from swath.config.ops import OPS, Both, Grayscale, Hires, Op, Resize
from swath.core.description import Description
from swath.core.registry import unknown

Ops = tuple[Op, ...]


@dataclass(frozen=True)
class Chain(Description):
    """A preprocessing that differs between training images and all others; write it as `chain(train=..., test=...)`.

    Attributes:
        train: Ops of the images that are trained on.
        test: Ops of the test images, and of the validation images: the score must predict the test score.
    """

    name: ClassVar[str] = "chain"
    train: Ops = ()
    test: Ops = ()

    def canonical(self) -> str:
        """`train hires, test superres(x4plus,4)`."""
        return f"train {ops_label(self.train)}, test {ops_label(self.test)}"


Preprocess = Ops | Chain
"""What may stand in `Sweep.preprocess`: one tuple of ops for all images, or a `Chain`."""


def chain(train: Ops = (), test: Ops = ()) -> Chain:
    """Training images through one tuple of ops, test images through another; validation images go as test images do.

    Args:
        train: May begin with `Hires()` or `Both()`.
        test: May begin with `Hires()` where the test images have high-resolution versions.
    """
    return Chain(train, test)


def for_train(preprocess: Preprocess) -> Ops:
    """The ops of the images that are trained on."""
    return preprocess.train if isinstance(preprocess, Chain) else preprocess


def for_test(preprocess: Preprocess) -> Ops:
    """The ops of the test and validation images."""
    return preprocess.test if isinstance(preprocess, Chain) else preprocess


def finished(preprocess: Preprocess, size_px: int) -> Preprocess:
    """The chain with its resize: the last op, at a known size. A chain of two equal halves becomes a plain tuple.

    >>> [op.canonical() for op in finished((Sharpen(),), 64)]
    ['sharpen', 'resize(size_px=64)']
    """
    train, test = (_finished(half, size_px) for half in (for_train(preprocess), for_test(preprocess)))
    return train if train == test else Chain(train, test)


def _finished(ops: Sequence[Op], size_px: int) -> Ops:
    last = ops[-1] if ops and isinstance(ops[-1], Resize) else None
    body = tuple(ops[:-1] if last else ops)
    resize = last or Resize()
    return (*body, replace(resize, size_px=resize.size_px or size_px))


def unsized(preprocess: Preprocess) -> Preprocess:
    """The chain without the size of its resize, as people write it: for messages about a finished one."""
    if isinstance(preprocess, Chain):
        return Chain(_unsized(preprocess.train), _unsized(preprocess.test))
    return _unsized(preprocess)


def _unsized(ops: Ops) -> Ops:
    return tuple(replace(op, size_px=0) if isinstance(op, Resize) else op for op in ops)


def sizes_px(preprocess: Preprocess, image_size: int) -> set[int]:
    """Sides of the results in pixels, for a recipe's `image_size`; the two halves of a chain may differ, by mistake."""
    lasts = [half[-1] if half else None for half in (for_train(preprocess), for_test(preprocess))]
    return {(last.size_px if isinstance(last, Resize) else 0) or image_size for last in lasts}


def label(preprocess: Preprocess) -> str:
    """Readable form, used on leaderboards: `raw`, `grayscale|sharpen`, `train hires, test superres(x4plus,4)`."""
    return preprocess.canonical() if isinstance(preprocess, Chain) else ops_label(preprocess)


def ops_label(ops: Sequence[Op]) -> str:
    """Readable form of one tuple of ops."""
    return "|".join(op.canonical() if isinstance(op, Op) else repr(op) for op in ops if op != Resize()) or "raw"


def channels(preprocess: Preprocess) -> int:
    """Channels of the result: 1 or 3."""
    grays = [op.channels for op in for_test(preprocess) if isinstance(op, Grayscale)]
    return grays[-1] if grays else 3


def chain_problems(preprocess: object) -> list[str]:
    """Sentences about what is not an op, ops out of range or out of place, and two halves that do not fit."""
    if not isinstance(preprocess, Chain):
        return _ops_problems(preprocess, "preprocess") + _both_problems(preprocess, plain=True)
    problems = _ops_problems(preprocess.train, "train") + _ops_problems(preprocess.test, "test")
    problems += _both_problems(preprocess.test, plain=False)
    if problems:
        return problems
    train, test = preprocess.train, preprocess.test
    if channels(train) != channels(test):
        problems.append(
            f"preprocess={label(preprocess)}: the train chain gives {channels(train)} channel(s), the test chain "
            f"{channels(test)}. One model sees both: put the same Grayscale in both."
        )
    return problems


def _ops_problems(ops: object, where: str) -> list[str]:
    if not isinstance(ops, tuple):
        given = f"{where}={ops!r}"
        return [f"{given}: give a tuple of ops, e.g. (ops.Sharpen(),) or () for raw, or chain(train=..., test=...)."]
    problems = []
    for op in ops:
        if isinstance(op, Op):
            problems += op.problems()
        else:
            problems.append(unknown("op", op, OPS) + " Write it as a value, e.g. ops.Sharpen().")
    if any(isinstance(op, Resize) for op in ops[:-1]):
        problems.append(f"{where}={ops_label(ops)}: Resize must be the last op of its chain.")
    for kind in (Hires, Both):
        if any(isinstance(op, kind) for op in ops[1:]):
            problems.append(f"{where}={ops_label(ops)}: {kind.__name__} must be the first op of its chain.")
    gray = [i for i, op in enumerate(ops) if isinstance(op, Grayscale) and op.channels == 1]
    if gray and any(isinstance(op, Op) and op.expensive for op in ops[gray[0] :]):
        problems.append(
            f"{where}={ops_label(ops)}: an op with a model needs colour images; put Grayscale after it, "
            "or use Grayscale(channels=3)."
        )
    return problems


def _both_problems(ops: object, plain: bool) -> list[str]:
    if not isinstance(ops, tuple) or not any(isinstance(op, Both) for op in ops):
        return []
    cure = "write chain(train=(ops.Both(), ...), test=(...))" if plain else "leave it to the train chain"
    return [f"{'preprocess' if plain else 'test'}={ops_label(ops)}: Both is for training images only; {cure}."]
