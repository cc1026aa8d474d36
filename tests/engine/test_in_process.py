import pytest

from swath.core.errors import SwathError
from swath.engine.in_process import wait_for_memory

GIB = 2**30


def waits(share: float, free: list[float]) -> list[float]:
    """Seconds slept at each poll of a 16 GiB GPU whose free memory is read off a list, the last value for ever."""
    slept: list[float] = []
    readings = [round(f * GIB) for f in free]

    def read() -> tuple[int, int]:
        return (readings.pop(0) if len(readings) > 1 else readings[0]), 16 * GIB

    wait_for_memory(share, read, slept.append)
    return slept


def test_a_trial_starts_when_its_share_is_free() -> None:
    assert waits(0.5, [8]) == []
    assert waits(0.5, [7.3]) == [], "contexts and the driver take some of every share"
    assert waits(0.5, [1, 7.1, 7.3]) == [5, 5]
    assert waits(0.25, [3, 4]) == [5]


@pytest.mark.parametrize("share", [0, 1, 2])
def test_only_shares_are_waited_for(share: float) -> None:
    assert waits(share, [0]) == []


def test_a_gpu_that_never_gets_free_is_an_error_with_a_cure() -> None:
    with pytest.raises(SwathError) as caught:
        waits(0.5, [4])
    text = str(caught.value)
    assert "0.5 of a GPU waited 30 minutes for 45% of its memory, and 4.0 of 16.0 GiB are free" in text
    assert "--gpus" in text
