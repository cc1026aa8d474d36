"""`ray job submit` as the README writes it: a running cluster with token authentication, swath not installed there."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from swath.store.cluster_state import ClusterState, read_state
from swath.store.storage import Storage

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Cluster:
    """A head node on loopback."""

    ray: list[str]
    environment: dict[str, str]
    address: str


def free_ports(count: int) -> list[int]:
    """Ports that are free now; each is found while the others are held."""
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def wait_for(condition: Callable[[], bool], log: Path, timeout_s: float = 90) -> None:
    """Poll until true; the log is shown when that takes too long."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """`ray start --head` in an environment that has every dependency and no swath.

    The environment's only .pth file names this one's site-packages. Python reads no .pth files found through another,
    so the editable install of swath stays invisible.
    """
    home = tmp_path / "node"
    venv.create(home, symlinks=True, with_pip=False)
    python = home / "bin" / "python"
    site = home / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    (site / "all.pth").write_text(str(Path(pytest.__file__).parents[1]) + "\n")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "PYTHONPATH"))}
    environment |= {
        "HOME": str(tmp_path),
        "PATH": f"{python.parent}:{environment['PATH']}",
        "VIRTUAL_ENV": str(home),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
    }
    without = subprocess.run(
        [python, "-c", "import ray, swath"], env=environment, capture_output=True, text=True, check=False
    )
    assert "No module named 'swath'" in without.stderr, without.stderr
    ray = [str(python), "-m", "ray.scripts.scripts"]
    subprocess.run([*ray, "get-auth-token", "--generate"], env=environment, capture_output=True, check=True)
    port, dashboard, agent, client = free_ports(4)
    scratch = tempfile.mkdtemp(prefix="ray-")  # Ray's sockets lie below; a path from pytest would be too long
    start = [*ray, "start", "--head", "--block", "--num-cpus=2", "--disable-usage-stats", f"--temp-dir={scratch}"]
    start += [f"--port={port}", f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agent}"]
    start += [f"--ray-client-server-port={client}", "--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1"]
    log = tmp_path / "head.log"
    with log.open("w") as out:
        head = subprocess.Popen(start, env=environment, stdout=out, stderr=out)
    try:
        wait_for(lambda: is_open(dashboard), log)
        yield Cluster(ray, environment, f"http://127.0.0.1:{dashboard}")
    finally:
        head.terminate()
        head.wait(60)
        shutil.rmtree(scratch, ignore_errors=True)


@pytest.mark.ray
@pytest.mark.timeout(420)
def test_a_submitted_job_runs_the_smoke_sweep_and_leaves_its_report(
    cluster: Cluster, layout: Path, tmp_path: Path
) -> None:
    for name in ("src", "sweeps"):
        shutil.copytree(REPOSITORY / name, tmp_path / "work" / name, ignore=shutil.ignore_patterns("*.egg-info"))
    submit = [*cluster.ray, "job", "submit", "--address", cluster.address]
    submit += ["--working-dir", str(tmp_path / "work")]
    submit += ["--runtime-env-json", '{"env_vars": {"PYTHONPATH": "src"}}', "--"]
    script = ["python", "sweeps/satellite_seed.py", "--data", str(layout), "--smoke"]

    def submitted(environment: dict[str, str], *more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*submit, *script, *more], env=environment, capture_output=True, text=True, timeout=300, check=False
        )

    refused = submitted(cluster.environment)
    assert refused.returncode != 0
    assert "--storage is './store', a relative path" in refused.stdout, refused.stdout + refused.stderr

    store, name = Storage(str(tmp_path / "store")), "satellite_seed-smoke"
    seen: list[ClusterState | None] = []
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(submitted, cluster.environment, "--storage", store.root)
        while not running.done():
            seen.append(read_state(store, name))
            time.sleep(0.2)
    done = running.result()
    assert done.returncode == 0, done.stdout + done.stderr
    told = [state for state in seen if state]
    assert {(s.dashboard, s.nodes, s.total["CPU"]) for s in told} == {(cluster.address, 1, 2)}
    assert read_state(store, name) is None  # the driver has taken it back
    table = pd.read_csv(tmp_path / "store/reports/satellite_seed-smoke/leaderboard.csv")
    assert len(table) == table["cell"].nunique() == 4
    assert set(table["state"]) <= {"COMPLETE", "STOPPED"}

    unauthenticated = submitted(
        cluster.environment | {"RAY_AUTH_MODE": "disabled"}, "--storage", str(tmp_path / "store")
    )
    assert unauthenticated.returncode != 0, "authentication is on"
