"""Processes that begin at once, on every node of a Ray cluster: fork servers that outlive the sweep.

Ray gives every trial's actor a fresh process. It imports no torch: its work is done by a child of a `fork_server` on
the same node, which a detached actor holds. The child hears its caller and ends with it.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import logging
import os
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
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from swath.engine.alone import can_train
from swath.engine.fork_server import Call, Message, Surroundings
from swath.errors import SwathError

AVAILABLE = sys.platform == "linux"
"""Elsewhere there is no fork, or it is unsound once frameworks are loaded."""
NAMESPACE = "swath"
_PROGRAM = "import sys; from swath.engine.fork_server import serve; serve(sys.argv[1])"
_PACKAGES = ("torch", "torchvision", "timm", "transformers", "numpy", "pandas", "pyarrow", "albumentations")
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
        self._connection.send(Surroundings.here())
        self.pid: int = self._connection.recv()

    def call(self, function: Callable[..., Any], *arguments: Any, hear: Callable[[Any], None] | None = None) -> Any:
        """What `function(*arguments)` returns there.

        Args:
            function: A function at the top of a module.
            arguments: Its arguments.
            hear: Called with every word that the function tells; the function then takes a `Tell` as its last
                argument. What `hear` raises stops the function, and is raised here once it has ended.

        Raises:
            LostProcessError: The process has ended.
            SwathError: The function raised; holds its traceback.
        """
        try:
            self._connection.send_bytes(
                cloudpickle.dumps(  # pyright: ignore[reportPrivateImportUsage]
                    Call(function, arguments, hear is not None)
                )
            )
            while (message := self._next()).kind == "word" and hear is not None:
                try:
                    hear(message.value)
                except BaseException:
                    with contextlib.suppress(EOFError, OSError):
                        self._connection.send(False)
                        self._next()
                    raise
                self._connection.send(True)
        except (EOFError, ConnectionError):
            raise LostProcessError(f"process {self.pid} was lost: killed, or out of memory") from None
        if message.kind == "raised":
            raise SwathError(message.value)
        return message.value

    def end(self) -> None:
        """Let the process end."""
        self._connection.close()

    def _next(self) -> Message:
        return self._connection.recv()


class Host:
    """An actor that holds the fork server of its node, and ends with it."""

    def __init__(self) -> None:
        # Only its user can enter the folder and so connect. The path of a socket has 107 characters at most.
        self._folder = tempfile.TemporaryDirectory(prefix="swath-", dir="/tmp", ignore_cleanup_errors=True)
        self._address = str(Path(self._folder.name) / "fork_server")
        self._server = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, self._address],
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,
        )
        self._room = threading.Semaphore(os.cpu_count() or 1)
        this = ray.get_runtime_context().current_actor
        threading.Thread(target=self._end_with_server, args=(this,), daemon=True).start()

    def address(self) -> str:
        """Where the server listens, or will in a moment."""
        while not Path(self._address).exists():
            time.sleep(0.01)
        return self._address

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What `function(*arguments)` returns in a process of its own; as many at once as there are CPUs."""
        with self._room:
            process = WarmProcess(self.address())
            try:
                return process.call(function, *arguments)
            finally:
                process.end()

    def _end_with_server(self, this: Any) -> None:
        self._server.wait()
        self._folder.cleanup()
        ray.kill(this)


def host_on(node: str) -> Any:
    """The `Host` of a node, by Ray's id of the node; started if there is none, without waiting for it."""
    return (
        ray.remote(Host)
        .options(
            name=f"fork_server {node} {code_key()}",
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            max_concurrency=16,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        )
        .remote()
    )


@functools.cache
def code_key() -> str:
    """Hash of what a fork server has imported: the runtime environment, releases of packages, swath's own files.

    Other code is another server's.
    """
    package = Path(__file__).parents[1]
    content = hashlib.sha256(ray.get_runtime_context().get_runtime_env_string().encode())
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            content.update(f"{name}=={importlib.metadata.version(name)}\n".encode())
    for file in sorted(package.rglob("*.py")):
        content.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes())
    return content.hexdigest()[:16]


@functools.cache
def own_process(gpus: float) -> WarmProcess | None:
    """The process that works for this one, which is kept; None where there can be none.

    Args:
        gpus: What this process has of GPUs: the other one must reach them.
    """
    if not AVAILABLE:
        return None
    try:
        host = host_on(ray.get_runtime_context().get_node_id())
        process = WarmProcess(ray.get(host.address.remote(), timeout=_PATIENCE_S))
        return process if process.call(can_train, gpus) else None
    except Exception:  # whatever it is, training without it only begins later
        logging.getLogger(__name__).exception("no process to fork; training begins in this one, a few seconds later")
        return None
