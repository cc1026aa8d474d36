"""A process that has imported what trials need, and forks a child for every connection. No Ray.

A fresh process imports torch and timm for five seconds before it can train; a fork of one that has them begins at once
and shares their memory. The server itself runs nothing, so that forking it is sound: no work in other threads, no CUDA.
It ends with the process that started it, or after `IDLE_S` without a child; a child ends with its connection.
"""

import contextlib
import faulthandler
import gc
import os
import pickle
import shutil
import socketserver
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any, cast

IDLE_S = 300.0
"""How long a server without children stays: another sweep begins at once, an afternoon without one costs nothing."""
_POLL_S = 0.5

Tell = Callable[[Any], None]
"""Sends a value to the caller and waits for its answer; raises `Stopped` if that is no."""


class Stopped(BaseException):
    """Ends a call that sent a value and was answered with no."""


@dataclass(frozen=True)
class ProcessContext:
    """What a child takes over from the process that it works for.

    Attributes:
        environment: All variables, those that name its GPUs among them.
        path: `sys.path`.
        folder: Working directory.
    """

    environment: Mapping[str, str]
    path: Sequence[str]
    folder: str

    @staticmethod
    def here() -> "ProcessContext":
        """Those of this process."""
        return ProcessContext(dict(os.environ), tuple(sys.path), str(Path.cwd()))

    def enter(self) -> None:
        """Make them this process's own."""
        os.environ.clear()
        os.environ.update(self.environment)
        sys.path[:] = self.path
        os.chdir(self.folder)


@dataclass(frozen=True)
class Call:
    """What a child is to do.

    Attributes:
        function: A function that the child can import.
        arguments: Its arguments.
        tells: It takes a `Tell` as well, its last argument, and sends values with it.
    """

    function: Callable[..., Any]
    arguments: Sequence[Any]
    tells: bool


@dataclass(frozen=True)
class Message:
    """What a child sends.

    Attributes:
        kind: `word`: a value to be answered with yes or no; `returned`, `raised`: how the call ended.
        value: The value sent, the result, or the error as text.
    """

    kind: str
    value: Any = None


class _Child(socketserver.BaseRequestHandler):
    """Carries out calls, one after the other, until the connection ends."""

    def handle(self) -> None:
        os.close(cast(_Server, self.server).fileno())  # the server's socket, inherited
        self._connection = Connection(os.dup(self.request.fileno()))
        self._received: SimpleQueue[Any] = SimpleQueue()
        try:
            self._connection.recv().enter()
            self._connection.send(os.getpid())
            threading.Thread(target=self._listen, daemon=True).start()
            while True:
                self._connection.send(self._carried_out(self._received.get()))
        except (EOFError, OSError):
            return  # the caller has ended

    def _carried_out(self, call: bytes) -> Message:
        try:
            request: Call = pickle.loads(call)
            send = (self._send,) if request.tells else ()
            return Message("returned", request.function(*request.arguments, *send))
        except Stopped:
            return Message("returned")
        except Exception as error:
            return Message("raised", "".join(traceback.format_exception(error)))

    def _send(self, value: Any) -> None:
        self._connection.send(Message("word", value))
        if not pickle.loads(self._received.get()):
            raise Stopped

    def _listen(self) -> None:
        """Receive from the caller, and end with it at once: whoever takes its work over must not meet this process."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                self._received.put(self._connection.recv_bytes())
        os._exit(1)


class _Server(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    """Forks a child for each connection, as many as there are."""

    max_children = sys.maxsize
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: str, idle_s: float) -> None:
        super().__init__(address, _Child)
        self._parent = os.getppid()
        self._idle_s = idle_s
        self._idle_polls = 0

    def service_actions(self) -> None:
        super().service_actions()  # forgets the children that have ended
        self._idle_polls = 0 if self.active_children else self._idle_polls + 1
        if os.getppid() != self._parent or self._idle_polls * _POLL_S > self._idle_s:
            sys.exit()


def import_all() -> None:
    """Import what trials would need seconds for."""
    import swath.engine.in_process
    import swath.training.trial  # noqa: F401


def serve(address: str, idle_s: float = IDLE_S) -> None:
    """Listen, import, fork; whoever connects before everything is imported waits.

    Args:
        address: Path of the socket to make, in a folder of its own that only its user can enter. Both are removed.
        idle_s: Seconds without a child after which the server ends.
    """
    try:
        with _Server(address, idle_s) as server:
            import_all()
            faulthandler.enable()
            gc.collect()
            gc.freeze()  # a collection in a child would write to every object, and so copy the memory that all share
            server.serve_forever(_POLL_S)
    finally:
        shutil.rmtree(Path(address).parent, ignore_errors=True)
