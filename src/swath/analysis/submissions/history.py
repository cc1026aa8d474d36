"""Submissions that were written, and the scores that a competition gave them."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from swath.analysis.rank_correlation import rank_correlation
from swath.core.errors import InputError
from swath.core.registry import unknown
from swath.store.file_hashes import file_sha256
from swath.store.json_files import read_record, write_record
from swath.store.layout import sweep_key
from swath.store.storage import Storage
from swath.store.sweeps import read_sweep, sweep_names


@dataclass(frozen=True)
class Submission:
    """A submission file that was written or scored.

    Attributes:
        digest: SHA-256 of its content; identifies the file, whatever it is called.
        name: What was predicted with: an ensemble's name, a cell, or the file's name for one made elsewhere.
        metric: The task's metric.
        written: When, as `2026-11-22 12:00`.
        score: Cross-fitted validation score; None where there is none.
        low: Lower end of its 95 % interval.
        high: Its upper end.
        public: The competition's public score, or None.
        private: Its private score, or None.
    """

    digest: str
    name: str
    metric: str = ""
    written: str = ""
    score: float | None = None
    low: float | None = None
    high: float | None = None
    public: float | None = None
    private: float | None = None


def submissions(storage: Storage, sweep: str) -> list[Submission]:
    """What is on record for a sweep, oldest first."""
    return list(read_record(storage, _key(sweep), tuple[Submission, ...]) or ())


def with_both_scores(listed: Sequence[Submission]) -> list[tuple[float, float]]:
    """Cross-fitted and public score of the submissions that have both."""
    return [(s.score, s.public) for s in listed if s.score is not None and s.public is not None]


def score_correlation(listed: Sequence[Submission]) -> float:
    """Rank correlation (Spearman) of cross-fitted and public scores; NaN where it says nothing."""
    both = with_both_scores(listed)
    return rank_correlation([score for score, _ in both], [public for _, public in both])


def record_submission(storage: Storage, sweep: str, content: bytes, entry: Submission) -> None:
    """Enter a file that was just written; scores already on record for the same content stay."""
    digest = hashlib.sha256(content).hexdigest()
    before = {s.digest: s for s in submissions(storage, sweep)}
    old = before.pop(digest, None)
    stamped = replace(entry, digest=digest, written=time.strftime("%Y-%m-%d %H:%M"))
    if old is not None:
        stamped = replace(stamped, public=old.public, private=old.private)
    write_record(storage, _key(sweep), [*before.values(), stamped])


def add_score(storage: Storage, sweep: str, file: Path, public: float | None, private: float | None) -> Submission:
    """Keep the competition's scores of a file.

    Args:
        storage: The store.
        sweep: The sweep it belongs to.
        file: The submitted file, as it was sent.
        public: Public score.
        private: Private score.

    Raises:
        InputError: No score, no such file, no such sweep.
    """
    if public is None and private is None:
        raise InputError("there is no score to keep: give --public SCORE, --private SCORE, or both.")
    if read_sweep(storage, sweep) is None:
        raise InputError(unknown("sweep", sweep, sweep_names(storage)))
    digest = _digest(file)
    known = {s.digest: s for s in submissions(storage, sweep)}
    submission = known.get(digest) or Submission(digest, file.name, written=time.strftime("%Y-%m-%d %H:%M"))
    known[digest] = replace(
        submission,
        public=submission.public if public is None else public,
        private=submission.private if private is None else private,
    )
    write_record(storage, _key(sweep), list(known.values()))
    return known[digest]


def sweep_of(storage: Storage, file: Path) -> str:
    """The sweep that wrote a submission file, whatever the file is called now.

    Raises:
        InputError: No such file, or no sweep of the store wrote it.
    """
    digest = _digest(file)
    for name in sweep_names(storage):
        if any(s.digest == digest for s in submissions(storage, name)):
            return name
    raise InputError(
        f"no sweep in {storage.root} wrote {file.name}: name the one it belongs to, as in "
        f"`swath submissions add NAME {file.name} --public SCORE`."
    )


def _digest(file: Path) -> str:
    try:
        return file_sha256(file)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}. Give the file that was submitted.") from error


def _key(sweep: str) -> str:
    return sweep_key(sweep, "submissions.json")
