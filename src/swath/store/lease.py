"""Who is at work on something in the store: a lease with a heartbeat, on a folder and on an object store alike."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
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
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(LEASE_TIMEOUT_S / 4):
                with contextlib.suppress(OSError):  # a storage that is away for a moment must not end the work
                    self.heartbeat()

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self.release()
