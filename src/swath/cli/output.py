"""Where a command's lines and its report go."""

import math
import os
import sys
from pathlib import Path

from swath.core.errors import InputError
from swath.store.paths import absolute, inside_ray_job
from swath.store.storage import Storage


def say(line: str) -> None:
    """A line of progress or advice, on the error stream: the output stream is for results."""
    print(line, file=sys.stderr, flush=True)


def report_folder(given: str, name: str, storage: Storage) -> Path | None:
    """Where a report goes: `--out`, else ./reports/NAME; in a Ray job, where that would vanish, into the storage."""
    if given or not inside_ray_job():
        return _writable(Path(absolute(given or f"reports/{name}", "--out")))
    return storage.folder and storage.folder / "reports" / name


def _writable(folder: Path) -> Path:
    """The folder, if it can be written or made: found before the sweep, not after it."""
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise InputError(f"--out: {folder} cannot be written, because {existing} is no folder that you may write to.")
    return folder


def write_report(storage: Storage, name: str, out: Path | None, max_ms: float = math.inf) -> None:
    """Write a sweep's report where there is a folder for it, and print its summary."""
    from swath.analysis.load import read_results
    from swath.report.write import summary, write_results

    results = read_results(storage, name)
    leaderboard = write_results(results, out, max_ms) if out else None
    print(summary(results, leaderboard))
    if not leaderboard:
        print(f"report: run `swath report {name} --storage {storage.root}` where you want its files")
