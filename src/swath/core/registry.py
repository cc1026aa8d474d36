"""A small named table that refuses duplicates and, asked for an unknown name, lists the near ones."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, NoReturn, TypeVar

from swath.core.errors import UnknownNameError

T = TypeVar("T")


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """The sentence for a name that `kind` does not know: what was given, the near names, what is allowed."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
    allowed = ", ".join(names) if len(names) <= 40 else f"{len(names)} names"
    return f"unknown {kind} {str(name)!r}.{hint} Allowed: {allowed}."


class Registry(Generic[T]):
    """Names to values of one kind: a table, which those who extend swath add to.

    Args:
        kind: What the values are, in the singular, for messages ("op", "loss").
        table: The values by name.
    """

    def __init__(self, kind: str, table: Mapping[str, T] | None = None) -> None:
        self.kind = kind
        self._table: dict[str, T] = dict(table or {})

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that enters a value under `name`.

        Raises:
            RuntimeError: The name is taken (a programming error, not a user's).
        """

        def enter(value: T) -> T:
            if name in self._table:
                raise RuntimeError(f"{self.kind} {name!r} is registered twice")
            self._table[name] = value
            return value

        return enter

    def __getitem__(self, name: str) -> T:
        """The value called `name`; UnknownNameError lists the near names."""
        if name not in self._table:
            raise UnknownNameError(unknown(self.kind, name, self._table))
        return self._table[name]

    def __contains__(self, name: object) -> bool:
        return name in self._table

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._table)


def missing_attribute(kind: str, module: str, known: Iterable[str]) -> Callable[[str], NoReturn]:
    """A module-level `__getattr__` that turns `ops.Sharpn` into an error with the near names."""

    def __getattr__(name: str) -> NoReturn:  # noqa: N807
        if name.startswith("__"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        raise UnknownNameError(unknown(kind, name, known))

    return __getattr__
