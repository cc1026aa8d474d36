"""Who is at work on something in the store: a lease with a heartbeat, on a folder and on an object store alike."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import psutil

from swath.store.json_files import SCHEMA, read_record, write_record
from swath.store.storage import Storage

LEASE_TIMEOUT_S = 90.0
"""A lease whose heartbeat is older than this belongs to a lost process."""
_SETTLE_S = 0.2  # two that take a lease in the same moment both write it; after so long both read the later one


@dataclass(frozen=True)
class Owner:
    """A process, told apart from another that later has the same number."""

    host: str
    pid: int
    started: float

    @staticmethod
    def this_process() -> "Owner":
        """The process that asks."""
        return Owner(socket.gethostname(), os.getpid(), round(psutil.Process().create_time(), 2))

    def gone(self) -> bool:
        """True when the process certainly runs no more; only a process of this host can be known to be gone."""
        if self.host != socket.gethostname():
            return False
        try:
            return abs(psutil.Process(self.pid).create_time() - self.started) > 1
        except psutil.NoSuchProcess:
            return True


@dataclass(frozen=True, kw_only=True)
class _LeaseFile:
    """The content of a lease's object: its owner, and when that last beat, in seconds since 1970."""

    host: str
    pid: int
    started: float
    heartbeat: float
    schema: int = SCHEMA

    @property
    def owner(self) -> Owner:
        return Owner(self.host, self.pid, self.started)


class Lease:
    """The right to work on something, written to the store as one small object.

    Nothing wrong is stored where two processes hold it after all: whatever they write is the same, and whole.

    Args:
        storage: The store.
        key: Of the object.
    """

    def __init__(self, storage: Storage, key: str) -> None:
        self._storage = storage
        self._key = key

    def heartbeat(self) -> None:
        """Say that this process is at work."""
        lease = _LeaseFile(**asdict(Owner.this_process()), heartbeat=time.time())
        write_record(self._storage, self._key, lease)

    def elsewhere(self) -> str:
        """The other process that is at work, as `host:pid`; "" when there is none."""
        lease = read_record(self._storage, self._key, _LeaseFile)
        if lease is None or time.time() - lease.heartbeat > LEASE_TIMEOUT_S:
            return ""
        if lease.owner.gone() or lease.owner == Owner.this_process():
            return ""
        return f"{lease.host}:{lease.pid}"

    def take(self) -> bool:
        """Take the lease unless another process has it."""
        if self.elsewhere():
            return False
        self.heartbeat()
        time.sleep(_SETTLE_S)
        return not self.elsewhere()

    def release(self) -> None:
        """Give the lease up, if it is this process's."""
        lease = read_record(self._storage, self._key, _LeaseFile)
        if lease is not None and lease.owner == Owner.this_process():
            self._storage.delete(self._key)

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Renew the lease from a thread while the block runs, and give it up after."""
        interval_s = LEASE_TIMEOUT_S / 4
        try:
            with repeated(self.heartbeat, interval_s, first_after_s=interval_s):
                yield
        finally:
            self.release()


@contextlib.contextmanager
def repeated(action: Callable[[], None], interval_s: float, first_after_s: float = 0.0) -> Iterator[None]:
    """Call `action` again and again from a thread while the block runs.

    Args:
        action: What is done; its errors are passed over, because a store or a cluster that is away for a moment must
            not end the work of the block.
        interval_s: Seconds between the end of one call and the next call.
        first_after_s: Seconds before the first call.
    """
    ended = threading.Event()

    def repeat() -> None:
        wait_s = first_after_s
        while not ended.wait(wait_s):
            with contextlib.suppress(Exception):
                action()
            wait_s = interval_s

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
