"""Frozen descriptions of choices (an op, a loss, a recipe): a readable canonical form and a JSON form for hashing."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class Description:
    """Base of everything a user can choose. Describes; never does.

    `version` is the code version of what the description stands for: raise it whenever the same fields would give
    other bytes, and every cache entry and trial that used the old code is no longer found.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1

    def canonical(self) -> str:
        """`name`, or `name(field=value,...)` with the fields that differ from their defaults."""
        changed = [
            f"{f.name}={_text(getattr(self, f.name))}"
            for f in dataclasses.fields(self)
            if getattr(self, f.name) != f.default
        ]
        return f"{self.name}({','.join(changed)})" if changed else self.name

    def problems(self) -> list[str]:
        """Sentences about fields out of range. Checked on expanded cells only, so a grid may stand on any field."""
        return []


def _text(value: Any) -> str:
    if isinstance(value, Description):
        return value.canonical()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return "+".join(map(_text, value))
    return str(value)


def to_json(value: Any) -> Any:
    """Plain JSON values of a description tree: every field, the name and the code version."""
    return _json(value, every_field=True)


def changed(value: Any) -> Any:
    """The same without the fields at their defaults: what identifies a choice, today and after new fields are added."""
    return _json(value, every_field=False)


def _json(value: Any, every_field: bool) -> Any:
    if isinstance(value, Description):
        fields = {f.name: (getattr(value, f.name), f.default) for f in dataclasses.fields(value)}
        kept = {name: _json(v, every_field) for name, (v, default) in fields.items() if every_field or v != default}
        return {"name": value.name, "version": value.version, **kept}
    if isinstance(value, tuple | list):
        return [_json(v, every_field) for v in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)  # gamma=2 and gamma=2.0 are equal descriptions, so their JSON is the same
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"{type(value).__name__} has no place in a description")


def digest(value: Any, length: int = 20) -> str:
    """Hex digest of a JSON value, independent of key order; `length` hex digits (20 are 80 bits)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]
