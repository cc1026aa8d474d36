"""Who is at work on something in the store: a lease with a heartbeat, on a folder and on an object store alike."""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import psutil

from swath.core.errors import StoreError
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
        lease = {**asdict(Owner.this_process()), "heartbeat": time.time()}
        self._storage.write(self._key, json.dumps(lease, indent=1).encode())

    def elsewhere(self) -> str:
        """The other process that is at work, as `host:pid`; "" when there is none."""
        owner, heartbeat = self._read()
        late = time.time() - heartbeat > LEASE_TIMEOUT_S
        if owner is None or late or owner.gone() or owner == Owner.this_process():
            return ""
        return f"{owner.host}:{owner.pid}"

    def take(self) -> bool:
        """Take the lease unless another process has it."""
        if self.elsewhere():
            return False
        self.heartbeat()
        time.sleep(_SETTLE_S)
        return not self.elsewhere()

    def release(self) -> None:
        """Give the lease up, if it is this process's."""
        if self._read()[0] == Owner.this_process():
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

    def _read(self) -> tuple[Owner | None, float]:
        data = self._storage.read_or_none(self._key)
        if data is None:
            return None, 0.0
        try:
            lease = json.loads(data)
        except json.JSONDecodeError as error:
            raise StoreError(f"{self._key} in {self._storage.root} is no JSON ({error}); delete it.") from error
        return Owner(lease["host"], lease["pid"], lease["started"]), lease["heartbeat"]
