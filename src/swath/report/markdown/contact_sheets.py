"""The contact sheets of a sweep's cache entries: copied beside the report, shown in the leaderboard."""

from pathlib import Path

from swath.analysis.results import Results
from swath.report.format import escape
from swath.store.layout import contact_key
from swath.store.storage import write_atomic


def write_contacts(results: Results, out: Path) -> list[tuple[str, str]]:
    """Copy the sheets that the store has into the report's folder.

    Returns:
        Title and file of each, in the sweep's order.
    """
    files = []
    for entry in results.sweep.entries:
        sheet = results.storage.read_or_none(contact_key(entry.key))
        if sheet is not None:
            file = f"contact-{entry.key[:12]}.jpg"
            write_atomic(out / file, sheet)
            files.append((entry.title, file))
    return files


def contact_section(files: list[tuple[str, str]]) -> list[str]:
    """The sheets, each under its title."""
    if not files:
        return []
    note = "Some images of each cache entry: above as they are in the files, below as the models see them."
    return ["## Preprocessing", note, *(f"**{escape(title)}**\n\n![{escape(title)}]({file})" for title, file in files)]
