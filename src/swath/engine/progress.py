"""What a person sees while a sweep runs: a line for each trial that ends, and one status line."""

import math
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TextIO

from swath.core.metrics import METRIC_TITLES
from swath.core.text import duration
from swath.store.states import State

_EVERY_S = 15.0  # between status lines where they cannot be overwritten, as in the log of a Ray job


@dataclass
class BuildProgress:
    """Progress of one cache entry.

    Attributes:
        title: What is built.
        total: Images to build.
        what: What is done to them.
    """

    title: str
    total: int
    what: str = "cache"
    out: TextIO = field(default_factory=lambda: sys.stderr)
    _done: int = 0
    _started: float = field(default_factory=time.monotonic)
    _said: float = 0.0

    def built(self, images: int) -> None:
        """Count images; says how fast and how long it still takes."""
        self._done += images
        now = time.monotonic()
        finished = self._done >= self.total
        if not finished and now - self._said < (0.5 if self.out.isatty() else _EVERY_S):
            return
        self._said = now
        rate = self._done / max(now - self._started, 1e-9)
        left = "" if finished else f", {duration((self.total - self._done) / rate)} left"
        line = f"{self.what} {self.title}: {self._done:,} of {self.total:,} images, {rate:,.0f} images/s{left}"
        _say(self.out, line, overwrite=not finished)


@dataclass
class SweepProgress:
    """Progress of the trials of a sweep.

    Attributes:
        total: Trials of the sweep, done before or not.
        epochs_left: Epochs that remain if nothing stops early.
        metrics: Metric of each task by label.
    """

    total: int
    epochs_left: int
    metrics: dict[str, str]
    out: TextIO = field(default_factory=lambda: sys.stderr)
    _states: Counter[str] = field(default_factory=Counter)
    _running: set[str] = field(default_factory=set)
    _best: dict[str, tuple[float, str]] = field(default_factory=dict)
    _epochs: int = 0
    _started: float = field(default_factory=time.monotonic)
    _said: float = 0.0

    def before(self, state: State, task: str, label: str, score: float) -> None:
        """Count a trial that had ended before this start."""
        self._states[state] += 1
        self._note_best(state, task, label, score)

    def started(self, label: str) -> None:
        """A trial runs."""
        self._running.add(label)

    def left(self, label: str) -> None:
        """A trial runs no more here, and has not ended."""
        self._running.discard(label)

    def epoch(self) -> None:
        """Count an epoch of a running trial."""
        self._epochs += 1
        self.epochs_left -= 1
        self._status()

    def ended(self, state: State, task: str, label: str, score: float, epochs: int, skipped: int, note: str) -> None:
        """Count a trial's end; `skipped` epochs of it will not be trained."""
        self._running.discard(label)
        self._states[state] += 1
        self.epochs_left -= skipped
        self._note_best(state, task, label, score)
        shown = "" if math.isnan(score) else f"  {METRIC_TITLES[self.metrics[task]]} {score:.4f}"
        _say(self.out, f"{state:<9}{shown}  {label}  ({epochs} epochs){note}")
        self._status(force=self.out.isatty())

    def _note_best(self, state: State, task: str, label: str, score: float) -> None:
        if state == State.COMPLETE and score > self._best.get(task, (-math.inf, ""))[0]:
            self._best[task] = (score, label)

    def _status(self, force: bool = False) -> None:
        now = time.monotonic()
        if not force and now - self._said < (0.5 if self.out.isatty() else _EVERY_S):
            return
        self._said = now
        ended = sum(self._states.values())
        parts = [
            f"{ended}/{self.total} ended: {self._states['COMPLETE']} done, {self._states['STOPPED']} stopped, "
            f"{self._states['FAILED']} failed; {len(self._running)} running"
        ]
        for task, (score, label) in self._best.items():
            parts.append(f"best {METRIC_TITLES[self.metrics[task]]} {score:.4f} {label}")
        if self._epochs and self.epochs_left > 0:
            parts.append(f"at most {duration((now - self._started) / self._epochs * self.epochs_left)} left")
        _say(self.out, "  " + " | ".join(parts), overwrite=True)


def _say(out: TextIO, line: str, overwrite: bool = False) -> None:
    """One line; on a terminal an overwritable line is replaced by the next one."""
    if out.isatty():
        out.write(f"\r\x1b[K{line}" + ("" if overwrite else "\n"))
    else:
        out.write(line + "\n")
    out.flush()
