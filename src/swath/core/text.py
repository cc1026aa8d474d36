"""Values as short text: counts, durations, sizes, and the text of others inside Markdown."""

from collections.abc import Sequence


def escape(text: str) -> str:
    """Text for a table cell or a sentence: one line, nothing in it taken for markup."""
    return escape_marks(" ".join(text.split()))


def escape_marks(text: str) -> str:
    """Text with its spaces as they are, nothing in it taken for markup."""
    for mark in ("\\", "|", "<", "*", "`"):
        text = text.replace(mark, f"\\{mark}")
    return text


def size_text(size: float) -> str:
    """`12.3 MB`, `4.0 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def duration(seconds: float, decimals: int = 0) -> str:
    """`45 s` (with one decimal `45.3 s`), `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.{decimals}f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def count(number: int, noun: str) -> str:
    """`1 image`, `1,234 images`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shortened(items: Sequence[str], limit: int) -> str:
    """Items with commas, the first of them where they are many."""
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more
