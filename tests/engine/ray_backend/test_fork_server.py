"""Processes forked from one that has imported what trials need: what they take over, hear, and how they end."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from swath.core.errors import SwathError
from swath.engine.ray_backend.warm_processes import LostProcessError, WarmProcess
from tests.support import forked_calls
from tests.support.fork_servers import PROGRAM, started, wait_until


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[psutil.Process, str]]:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        process, address = started(folder)
        yield psutil.Process(process.pid), address
        process.kill()
        process.wait()


@pytest.fixture
def process(server: tuple[psutil.Process, str]) -> Iterator[WarmProcess]:
    made = WarmProcess(server[1])
    yield made
    made.end()


def test_a_child_has_torch_at_once_and_the_surroundings_of_its_caller(
    server: tuple[psutil.Process, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.chdir(tmp_path)
    made = WarmProcess(server[1])
    pid, parent, folder, gpus, has_torch, path = made.call(forked_calls.surroundings)
    assert (pid, parent, folder, gpus) == (made.pid, server[0].pid, str(tmp_path), "3")
    assert has_torch
    assert path == sys.path
    assert made.call(forked_calls.surroundings)[0] == pid, "one process carries out all calls of one caller"
    made.end()


def test_children_are_processes_of_their_own(server: tuple[psutil.Process, str]) -> None:
    first, second = WarmProcess(server[1]), WarmProcess(server[1])
    assert first.pid != second.pid
    assert {first.call(os.getpid), second.call(os.getpid)} == {first.pid, second.pid}
    first.end()
    wait_until(lambda: not psutil.pid_exists(first.pid))
    assert second.call(os.getpid) == second.pid
    second.end()


@pytest.mark.parametrize("stop_at", [0, 2])
def test_words_are_heard_in_order_until_the_caller_stops_them(
    server: tuple[psutil.Process, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    monkeypatch.setenv("MARKS", str(tmp_path))
    made, heard = WarmProcess(server[1]), []

    def hear(number: int) -> None:
        heard.append(number)
        if number == stop_at:
            raise SystemExit

    with pytest.raises(SystemExit) if stop_at else contextlib.nullcontext():
        assert made.call(forked_calls.counted, 4, hear=hear) == "all"
    assert heard == ([1, 2] if stop_at else [1, 2, 3, 4])
    assert (tmp_path / "stopped").exists() == bool(stop_at), "a stopped call has ended before its caller goes on"
    assert made.call(os.getpid) == made.pid, "the process is there for the next call"
    made.end()


def test_an_error_comes_back_with_its_traceback(process: WarmProcess) -> None:
    with pytest.raises(SwathError, match=r"in failing(.|\n)*ValueError: no such thing"):
        process.call(forked_calls.failing)
    assert process.call(os.getpid) == process.pid


def test_a_killed_child_is_lost_and_said_to_be(process: WarmProcess) -> None:
    with pytest.raises(LostProcessError, match=f"process {process.pid} was lost: killed, or out of memory"):
        process.call(forked_calls.killed)


def test_a_child_ends_with_its_caller_in_the_middle_of_its_work(
    server: tuple[psutil.Process, str], tmp_path: Path
) -> None:
    code = (
        "import sys; from swath.engine.ray_backend.warm_processes import WarmProcess\n"
        "from tests.support.forked_calls import slept\n"
        "process = WarmProcess(sys.argv[1]); print(process.pid, flush=True); process.call(slept, sys.argv[2])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    caller = subprocess.Popen(
        [sys.executable, "-c", code, server[1], str(tmp_path)], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert caller.stdout is not None
    child = int(caller.stdout.readline())
    wait_until((tmp_path / "begun").exists)
    assert psutil.pid_exists(child)
    caller.kill()
    wait_until(lambda: not psutil.pid_exists(child), 5)
    caller.wait()


def test_a_server_without_children_ends(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        process, address = started(folder, idle_s=1)
        made = WarmProcess(address)  # as soon as it listens; it answers once everything is imported
        time.sleep(3)
        assert process.poll() is None, "it has a child"
        made.end()
        assert process.wait(30) == 0


def test_a_server_ends_with_the_process_that_started_it() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        code = (
            f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {PROGRAM!r}, sys.argv[1], '300'])\n"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        address = str(Path(folder) / "socket")
        starter = subprocess.Popen([sys.executable, "-c", code + "time.sleep(300)", address], env=environment)
        wait_until(Path(address).exists)
        (server,) = psutil.Process(starter.pid).children()
        WarmProcess(address).end()
        starter.kill()
        starter.wait()
        wait_until(lambda: not psutil.pid_exists(server.pid), 10)


def test_what_a_server_imports_touches_no_gpu_and_starts_no_thread_of_ours() -> None:
    """A fork of a process that has asked CUDA for anything cannot use a GPU; nor may threads hold locks."""
    code = """
import threading, torch
asked = []
for name in ("init", "is_available", "device_count", "_lazy_init", "current_device", "get_device_properties"):
    def ask(*args, _name=name, _real=getattr(torch.cuda, name), **options):
        asked.append(_name)
        return _real(*args, **options)
    setattr(torch.cuda, name, ask)
from swath.engine.ray_backend.fork_server import import_all
import_all()
assert not asked, asked
assert not torch.cuda.is_initialized()
assert threading.enumerate() == [threading.main_thread()]
"""
    subprocess.run([sys.executable, "-c", code], check=True)
