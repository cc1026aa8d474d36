import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from swath.core.errors import SwathError
from swath.engine.in_process import Peers, can_train, train_alone, wait_for_memory
from swath.training import trial

GIB = 2**30


def waits(share: float, free: list[float], peers: Callable[[int], bool] = lambda polls: False) -> list[float]:
    """Seconds slept at each poll of a 16 GiB GPU whose free memory is read off a list, the last value for ever."""
    slept: list[float] = []
    readings = [round(f * GIB) for f in free]

    def read() -> tuple[int, int]:
        return (readings.pop(0) if len(readings) > 1 else readings[0]), 16 * GIB

    wait_for_memory(share, read, lambda: peers(len(slept)), slept.append)
    return slept


def test_a_trial_starts_when_its_share_is_free() -> None:
    assert waits(0.5, [8]) == []
    assert waits(0.5, [7.3]) == [], "contexts and the driver take some of every share"
    assert waits(0.5, [1, 7.1, 7.3]) == [5, 5]
    assert waits(0.25, [3, 4]) == [5]


def test_a_gpu_that_never_gets_free_is_an_error_with_a_cure() -> None:
    with pytest.raises(SwathError) as caught:
        waits(0.5, [4])
    text = str(caught.value)
    assert "0.5 of a GPU waited 30 minutes for 45% of its memory, and 4.0 of 16.0 GiB are free" in text
    assert "--gpus" in text


def test_peers_are_waited_for_as_long_as_they_train() -> None:
    hours = 5 * 3600 // 5  # polls of five seconds
    assert len(waits(0.5, [4.0] * hours + [8], peers=lambda polls: True)) == hours
    with pytest.raises(SwathError, match="waited 30 minutes"):  # after the last one: somebody else holds the memory
        waits(0.5, [4.0] * hours + [8], peers=lambda polls: polls < hours // 2)


def test_a_peer_is_seen_while_it_trains_and_no_longer_once_it_was_killed(tmp_path: Path) -> None:
    here, other = Peers("GPU-1", tmp_path), Peers("GPU-2", tmp_path)
    assert not here.any()
    with here.joined():
        assert Peers("GPU-1", tmp_path).any()
        assert not other.any(), "of its own card"
    assert not here.any()
    code = """
import sys, time
from pathlib import Path
from swath.engine.in_process import Peers
with Peers("GPU-1", Path(sys.argv[1])).joined():
    print("joined", flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "joined\n"
        assert here.any()
        process.kill()
    assert not here.any()
    assert list(tmp_path.rglob("*.lock")) == [], "nothing is left of it"


@pytest.mark.parametrize(("gpus", "visible"), [(0.0, ""), (1.0, "3"), (None, "3")])
def test_a_trial_without_a_gpu_sees_none(monkeypatch: pytest.MonkeyPatch, gpus: float | None, visible: str) -> None:
    seen: list[str] = []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setattr(trial, "run_trial", lambda *given: seen.append(os.environ["CUDA_VISIBLE_DEVICES"]))
    train_alone(SimpleNamespace(gpus=gpus), lambda report: None)  # type: ignore[arg-type]
    assert seen == [visible]


def test_a_process_proves_that_it_reaches_a_gpu_only_where_one_is_asked_for() -> None:
    import torch

    assert can_train(0)
    assert can_train(1) == torch.cuda.is_available()
