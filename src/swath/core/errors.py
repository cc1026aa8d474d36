"""What swath raises. A message says what was given, what is allowed, and what to do."""

from collections.abc import Iterable


class SwathError(Exception):
    """Base class of every error swath raises on purpose."""


class InputError(SwathError, ValueError):
    """Something the user gave cannot be used. Carries every problem found, not just the first.

    Args:
        problems: One complete sentence per problem.
    """

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(dict.fromkeys(problems))
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[type["InputError"], tuple[tuple[str, ...]]]:
        return InputError, (self.problems,)


class UnknownNameError(InputError, AttributeError, KeyError):
    """A name that no table knows. Also an AttributeError and a KeyError, so `ops.Sharpn` behaves like a typo."""

    def __str__(self) -> str:
        return self.problems[0]


class StoreError(SwathError):
    """The store holds something unreadable, or cannot be reached."""


class DamagedRecordError(StoreError):
    """A small record of the store is not what was written; it is named with what to do."""


class DeviceLostError(SwathError):
    """The GPU of this process answers no more. No fault of the trial's: another process goes on from its last epoch."""


class DamagedError(StoreError):
    """A cached object is not what was built. It no longer counts as built, so building again makes it good."""


def raise_if_any(problems: Iterable[str]) -> None:
    """Raise one InputError that lists all problems; return quietly when there are none."""
    sentences = tuple(problems)
    if sentences:
        raise InputError(sentences)
