"""Sentences as plain text whose names and emphasised parts are marked; each format adds its own marks."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Label:
    """A name that a person gave (a cell, a level, a task), whatever characters it holds."""

    text: str


@dataclass(frozen=True)
class Strong:
    """Words to be emphasised."""

    text: str


Part = str | Label | Strong
"""A stretch of a sentence; a string is unmarked text."""


@dataclass(frozen=True)
class Sentence:
    """One or more sentences on one line: the concatenation of its parts."""

    parts: tuple[Part, ...]

    def plain(self) -> str:
        """The text without any marks; the spaces of a label become one space each, so that it stays on its line."""
        return "".join(" ".join(p.text.split()) if isinstance(p, Label) else _text(p) for p in self.parts)


def _text(part: Part) -> str:
    return part if isinstance(part, str) else part.text


def sentence(*parts: Part | Sentence) -> Sentence:
    """A sentence from its parts, which may be sentences themselves."""
    return Sentence(tuple(p for part in parts for p in (part.parts if isinstance(part, Sentence) else (part,))))


def joined(sentences: Iterable[Sentence], separator: str) -> Sentence:
    """The sentences one after the other with the separator between them."""
    parts: list[Part | Sentence] = []
    for each in sentences:
        parts += [separator, each] if parts else [each]
    return sentence(*parts)
