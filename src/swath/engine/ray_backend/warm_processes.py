"""Processes that begin at once, on every node of a Ray cluster: fork servers that outlive the sweep.

Ray gives every trial's actor a fresh process. It imports no torch: its work is done by a child of a `fork_server` on
the same node, which a detached actor holds. The child reads from its caller and ends with it.
"""

import contextlib
import functools
import hashlib
import logging
import os
import pickle
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Client
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle
from ray.actor import ActorHandle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from swath.core.errors import SwathError
from swath.engine.in_process import can_train
from swath.engine.ray_backend.fork_server import Call, Message, ProcessContext

AVAILABLE = sys.platform == "linux"
"""Elsewhere there is no fork, or it is unsound once frameworks are loaded."""
NAMESPACE = "swath"
_PROGRAM = "import sys; from swath.engine.ray_backend.fork_server import serve; serve(sys.argv[1])"
CALLS_AT_ONCE = 2
"""Of one host: each may load a large model."""
_PATIENCE_S = 120.0  # for a server that is just being started


class LostProcessError(SwathError):
    """A process ended in the middle of a call: it was killed, or ran out of memory."""


class WarmProcess:
    """A child of a fork server, seen from the process that it works for; ends with it.

    Args:
        address: Of the server.
    """

    def __init__(self, address: str) -> None:
        self._connection = Client(address, "AF_UNIX")
        self._connection.send(ProcessContext.here())
        self.pid: int = self._connection.recv()

    def call(self, function: Callable[..., Any], *arguments: Any, hear: Callable[[Any], None] | None = None) -> Any:
        """What `function(*arguments)` returns there.

        Args:
            function: A function at the top of a module.
            arguments: Its arguments.
            hear: Called with every value that the function sends; the function then takes a `Tell` as its last
                argument. What `hear` raises stops the function, and is raised here once it has ended.

        Raises:
            LostProcessError: The process has ended.
            SwathError: The function raised; holds its traceback.
        """
        call = Call(function, arguments, hear is not None)
        self._send_bytes(cloudpickle.dumps(call))  # pyright: ignore[reportPrivateImportUsage]
        while (message := self._next()).kind == "word" and hear is not None:
            try:
                hear(message.value)
            except BaseException:
                with contextlib.suppress(LostProcessError):
                    self._send_bytes(pickle.dumps(False))
                    self._next()
                raise
            self._send_bytes(pickle.dumps(True))
        if message.kind == "raised":
            raise SwathError(message.value)
        return message.value

    def end(self) -> None:
        """Let the process end."""
        self._connection.close()

    def _send_bytes(self, data: bytes) -> None:
        try:
            self._connection.send_bytes(data)
        except OSError:
            raise self._lost() from None

    def _next(self) -> Message:
        try:
            return self._connection.recv()
        except (EOFError, OSError):
            raise self._lost() from None

    def _lost(self) -> LostProcessError:
        return LostProcessError(f"process {self.pid} was lost: killed, or out of memory")


class Host:
    """An actor that holds the fork server of its node, and ends with it."""

    def __init__(self) -> None:
        # Only its user can enter the folder and so connect. The path of a socket has 107 characters at most.
        self._address = str(Path(tempfile.mkdtemp(prefix="swath-", dir="/tmp")) / "fork_server")
        self._server = subprocess.Popen(
            [sys.executable, "-u", "-c", _PROGRAM, self._address],
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,
        )
        this = ray.get_runtime_context().current_actor
        threading.Thread(target=self._end_with_server, args=(this,), daemon=True).start()

    def address(self) -> str:
        """Where the server listens, or will in a moment."""
        while not Path(self._address).exists():
            time.sleep(0.01)
        return self._address

    @ray.method(concurrency_group="calls")
    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What `function(*arguments)` returns in a process of its own; `CALLS_AT_ONCE` of them at a time."""
        process = WarmProcess(self.address())
        try:
            return process.call(function, *arguments)
        finally:
            process.end()

    def _end_with_server(self, this: ActorHandle) -> None:
        self._server.wait()
        ray.kill(this)


def host_on(node: str, key: str) -> ActorHandle:
    """The `Host` of a node; started if there is none, without waiting for it.

    Args:
        node: Ray's id of the node.
        key: The driver's `code_key`.
    """
    lasting: dict[str, Any] = {"num_cpus": 0, "max_concurrency": 16, "concurrency_groups": {"calls": CALLS_AT_ONCE}}
    actor: Any = ray.remote(**lasting)(Host)
    return actor.options(
        name=f"fork_server {node} {key}",
        namespace=NAMESPACE,
        lifetime="detached",
        get_if_exists=True,
        scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
    ).remote()


def code_key(environment: str, package: Path = Path(__file__).parents[2]) -> str:
    """Hash of what a fork server of this driver imports. Other code is another server's.

    Args:
        environment: Ray's runtime environment of the driver.
        package: Folder of swath: the content of its files counts. Of other packages it is the time of the last
            installation into their folder.
    """
    content = hashlib.sha256(f"{environment}\n{sys.executable}\n".encode())
    for folder in map(Path, sys.path):
        if folder.name in ("site-packages", "dist-packages") and folder.is_dir():
            content.update(f"{folder} {folder.stat().st_mtime_ns}\n".encode())
    for file in sorted(package.rglob("*.py")):
        content.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes())
    return content.hexdigest()[:16]


@functools.cache
def own_process(key: str, gpus: float) -> WarmProcess | None:
    """The process that works for this one, which is kept; None where there can be none.

    Args:
        key: The driver's `code_key`.
        gpus: What this process has of GPUs: the other one must reach them.
    """
    if not AVAILABLE:
        return None
    try:
        host = host_on(ray.get_runtime_context().get_node_id(), key)
        address: Any = ray.get(host.address.remote(), timeout=_PATIENCE_S)
        process = WarmProcess(address)
        return process if process.call(can_train, gpus) else None
    except Exception:  # whatever it is, training without it only begins later
        logging.getLogger(__name__).exception("no process to fork; training begins in this one, a few seconds later")
        return None
