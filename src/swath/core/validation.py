"""Sentences about fields of descriptions that are out of range."""

import math

from swath.core.registry import unknown


def whole(of: object, field: str, low: int, high: int) -> list[str]:
    """A sentence unless the field is a whole number from `low` to `high`."""
    value = getattr(of, field)
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return []
    return [f"{type(of).__name__}({field}={value!r}): allowed is a whole number from {low} to {high}."]


def number(of: object, field: str, low: float, high: float) -> list[str]:
    """A sentence unless the field is a number from `low` to `high`."""
    value = getattr(of, field)
    if _is_number(value) and low <= value <= high:
        return []
    upto = f"a number from {low:g} to {high:g}" if high < math.inf else f"a finite number, {low:g} or more"
    return [f"{type(of).__name__}({field}={value!r}): allowed is {upto}."]


def probability(of: object, field: str) -> list[str]:
    """A sentence unless the field is a number from 0 to 1."""
    return number(of, field, 0, 1)


def span(of: object, field: str, low: float, high: float) -> list[str]:
    """A sentence unless the field is a pair of rising numbers from `low` to `high`."""
    value = getattr(of, field)
    if isinstance(value, tuple) and len(value) == 2 and all(map(_is_number, value)):
        first, last = value
        if low <= first <= last <= high:
            return []
    return [f"{type(of).__name__}({field}={value!r}): allowed is a pair (lowest, highest) from {low:g} to {high:g}."]


def choice(of: object, field: str, allowed: tuple[str, ...]) -> list[str]:
    """A sentence unless the field is one of the allowed texts."""
    value = getattr(of, field)
    return [] if value in allowed else [unknown(f"{field} of {type(of).__name__}", value, allowed)]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
