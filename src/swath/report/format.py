"""Pieces of Markdown that read well both on GitHub and in a terminal."""

import math
import re
import textwrap
import unicodedata
from collections.abc import Sequence

from swath.core.text import duration as _duration
from swath.core.text import escape as escape
from swath.core.text import escape_marks
from swath.report.marked_text import Label, Part, Sentence, Strong

_WIDTH = 110


def code(text: str) -> str:
    """Text as code in a sentence."""
    return f"`{' '.join(text.split()).replace('`', chr(39))}`"


def markdown(sentence: Sentence) -> str:
    """A sentence with the marks of Markdown: labels as code, emphasised words bold."""
    return "".join(map(_marked, sentence.parts))


def _marked(part: Part) -> str:
    if isinstance(part, Label):
        return code(part.text)
    if isinstance(part, Strong):
        return f"**{escape_marks(part.text)}**"
    return escape_marks(part)


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> str:
    """A table with columns aligned in the source, too.

    Args:
        headers: Of the columns.
        rows: Text of each cell, escaped already where it is not the report's own.
        align: `l` or `r` for each column; the columns it does not reach are flush right.
    """
    right = [side == "r" for side in align.ljust(len(headers), "r")]
    widths = [max(3, *(_width(row[i]) for row in [headers, *rows])) for i in range(len(headers))]
    rule = ["-" * (w - 1) + ":" if r else "-" * w for w, r in zip(widths, right, strict=True)]
    return "\n".join(_line(row, widths, right) for row in [headers, rule, *rows])


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = []
    for text, width, flush_right in zip(cells, widths, right, strict=True):
        space = " " * (width - _width(text))
        padded.append(f" {space}{text} " if flush_right else f" {text}{space} ")
    return "|".join(["", *padded, ""])


def wrapped(part: str) -> str:
    """A paragraph or list broken into lines of a terminal's width; tables, code, headings and pictures as they are."""
    if "\n\n" in part:
        return "\n\n".join(map(wrapped, part.split("\n\n")))
    if part.startswith(("|", "#", "!", "```")):
        return part
    lines = [
        textwrap.fill(
            line,
            _WIDTH,
            subsequent_indent="  " if line.startswith("- ") else "",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in part.splitlines()
    ]
    return "\n".join(lines)


def _width(text: str) -> int:
    """Columns the text takes in a terminal; East Asian wide characters take two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else not unicodedata.combining(c) for c in text)


def score_text(score: float | None) -> str:
    """Four decimals, `-` for none."""
    return "-" if score is None or math.isnan(score) else f"{score:.4f}"


def interval_text(low: float, high: float) -> str:
    """`0.4312 to 0.4521`."""
    return "-" if math.isnan(low) or math.isnan(high) else f"{low:.4f} to {high:.4f}"


def points_text(difference: float) -> str:
    """Hundredths of the score with their sign, `+1.38`."""
    return "-" if math.isnan(difference) else f"{difference:+.2f}"


def points_interval_text(low: float, high: float) -> str:
    """An interval of scores in points, `-0.40 to +1.38`."""
    return "-" if math.isnan(low) else f"{points_text(100 * low)} to {points_text(100 * high)}"


def duration(seconds: float) -> str:
    """`4.8 s`, `12 min`, `3 h 20 min`."""
    return _duration(seconds, decimals=1)


def file_part(label: str) -> str:
    """A label as part of a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", label)
