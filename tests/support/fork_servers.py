"""A fork server started by a test."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PROGRAM = "import sys; from swath.engine.ray_backend.fork_server import serve; serve(sys.argv[1], float(sys.argv[2]))"


def started(folder: str, idle_s: float = 300) -> tuple[subprocess.Popen[bytes], str]:
    """A server, and its address once it listens."""
    address = str(Path(folder) / "socket")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, address, str(idle_s)], env=environment)
    wait_until(Path(address).exists)
    return process, address


def wait_until(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
