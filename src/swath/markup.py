"""Text of others (ids, label names, file names) inside Markdown."""


def escape(text: str) -> str:
    """Text for a table cell or a sentence: one line, nothing in it taken for markup."""
    line = " ".join(text.split())
    for mark in ("\\", "|", "<", "*", "`"):
        line = line.replace(mark, f"\\{mark}")
    return line
