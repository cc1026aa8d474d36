"""A dashboard that a test asks."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from swath.report import dashboard
from swath.report.dashboard import Dashboard
from swath.store.storage import Storage


@contextmanager
def served(storage: Storage, sweep: str = "study") -> Iterator[str]:
    """The dashboard on a free port of the loopback; its address."""
    lines: list[str] = []
    said = threading.Event()
    loop: list[asyncio.AbstractEventLoop] = []
    task: list[asyncio.Task] = []

    async def run() -> None:
        loop.append(asyncio.get_running_loop())
        task.append(asyncio.current_task())  # type: ignore[arg-type]
        await dashboard._serve(Dashboard(storage, sweep), "127.0.0.1", 0, lambda s: (lines.append(s), said.set()))

    def thread_main() -> None:
        with suppress(asyncio.CancelledError):
            asyncio.run(run())

    thread = threading.Thread(target=thread_main)
    thread.start()
    assert said.wait(30)
    try:
        yield lines[0].split()[1]
    finally:
        loop[0].call_soon_threadsafe(task[0].cancel)
        thread.join(30)
