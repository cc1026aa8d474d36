"""What processes cost while something runs: CPU time, and memory over time."""

import threading
from collections.abc import Callable
from types import TracebackType

import psutil

EVERY_S = 0.5


class Processes:
    """Samples this process and some of those it started while the block runs; may be entered again.

    Args:
        counted: Tells whether a process below this one is counted.

    Attributes:
        driver_bytes: Private memory of this process, one value a sample.
        workers_bytes: Private memory of the others together, one value a sample.
        cpu_s: User and system time of all of them, of the blocks so far.
    """

    def __init__(self, counted: Callable[[int], bool]) -> None:
        self._counted = counted
        self.driver_bytes: list[int] = []
        self.workers_bytes: list[int] = []
        self.cpu_s = 0.0

    def __enter__(self) -> "Processes":
        self._before: dict[int, float] = {}
        self._now: dict[int, float] = {}
        self._look()
        self._before = dict(self._now)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()
        self._look()
        self.cpu_s += sum(seconds - self._before.get(pid, 0.0) for pid, seconds in self._now.items())

    def _sample(self) -> None:
        while not self._ended.wait(EVERY_S):
            self._look()

    def _look(self) -> None:
        me, workers = psutil.Process(), 0
        for process in (me, *(p for p in me.children(recursive=True) if self._counted(p.pid))):
            try:
                with process.oneshot():
                    times, memory = process.cpu_times(), process.memory_info()
            except psutil.Error:
                continue  # it has ended; what was last seen of it counts
            self._now[process.pid] = times.user + times.system
            private = memory.rss - memory.shared  # Ray's object store is mapped by all its processes
            if process.pid == me.pid:
                self.driver_bytes.append(private)
            else:
                workers += private
        self.workers_bytes.append(workers)


def thirds(samples: list[int]) -> str:
    """`310 MB in the first third, 312 MB in the last, 320 MB at its highest`."""
    third = max(1, len(samples) // 3)
    first, last = (sum(part) / len(part) / 1e6 for part in (samples[:third], samples[-third:]))
    return (
        f"{first:,.0f} MB in the first third, {last:,.0f} MB in the last, {max(samples) / 1e6:,.0f} MB at its highest"
    )
