import time
from pathlib import Path

import pytest

from swath.engine.base import Engine
from swath.engine.ray_backend import monitor as heartbeat
from swath.store.cluster_state import read_state
from swath.store.storage import Storage


def eventually(check, seconds: float = 30):
    end = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
    return found


@pytest.mark.ray
def test_the_store_knows_what_the_cluster_does_while_a_driver_works(
    ray_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import ray

    monkeypatch.setattr(heartbeat, "BEAT_S", 0.1)
    storage, go = Storage(str(tmp_path / "store")), tmp_path / "go"

    @ray.remote(num_cpus=1)
    def wait(path: str) -> None:
        while not Path(path).exists():
            time.sleep(0.05)

    with heartbeat.publish_cluster_state(storage, "study", "http://127.0.0.1:8265"):
        idle = eventually(lambda: read_state(storage, "study"))
        assert (idle.total["CPU"], idle.nodes, idle.nodes_lost) == (2, 1, 0)
        assert idle.dashboard == "http://127.0.0.1:8265"
        waiting = wait.remote(str(go))
        eventually(lambda: (s := read_state(storage, "study")) and s.in_use["CPU"] == idle.in_use["CPU"] + 1)
        go.touch()
        ray.get(waiting)
        eventually(lambda: (s := read_state(storage, "study")) and s.in_use == idle.in_use)
    assert read_state(storage, "study") is None
