"""A driver killed with SIGKILL in the middle, on real Ray: what was complete stays, what was begun goes on."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

SCRIPT = """
from swath import Backbone, Recipe, Sweep, grid, holdout, losses, main, ops, tasks


def killed(data: str) -> Sweep:
    return Sweep(
        name="killed",
        task=tasks.DaconSatellite(data),
        split=holdout(0.25),
        preprocess=grid((), (ops.Sharpen(),), (ops.Grayscale(),)),
        backbone=grid(Backbone("test_resnet", pretrained=False), Backbone("test_efficientnet", pretrained=False)),
        recipe=Recipe(epochs=60, batch_size=8, optimizer="adamw", lr=1e-3, image_size=32),
    )


if __name__ == "__main__":
    main(killed)
"""


def states(store: Path) -> tuple[set[str], dict[str, int]]:
    """Fingerprints with a final state, and the epochs of those begun without one."""
    final, begun = set(), {}
    for folder in (store / "trials").glob("*"):
        if (folder / "trial.json").exists():
            final.add(folder.name)
        elif (folder / "checkpoint/last.pt").exists():
            # One read: parquet readers open a path several times, and the trial replaces the file in between.
            begun[folder.name] = len(pd.read_parquet(io.BytesIO((folder / "metrics.parquet").read_bytes())))
    return final, begun


@pytest.mark.ray
@pytest.mark.timeout(400)
def test_a_killed_sweep_redoes_no_completed_trial_and_continues_the_others(layout: Path, tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(SCRIPT)
    store = tmp_path / "store"
    command = [
        sys.executable,
        str(script),
        "--data",
        str(layout),
        "--storage",
        str(store),
        "--out",
        str(tmp_path / "r"),
    ]
    log = (tmp_path / "first.log").open("w")
    driver = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    deadline = time.monotonic() + 240
    while True:
        final, begun = states(store)
        if final and any(epochs >= 3 for epochs in begun.values()):
            break
        assert driver.poll() is None, (tmp_path / "first.log").read_text()
        assert time.monotonic() < deadline, (tmp_path / "first.log").read_text()
        time.sleep(0.02)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    final, begun = states(store)
    assert 0 < len(final) < 6, "killed too early or too late to say anything"
    written = {f: (store / "trials" / f / "trial.json").stat().st_mtime_ns for f in final}

    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert again.returncode == 0, again.stderr
    assert f"{6 - len(final)} trials run" in again.stderr or f"{6 - len(states(store)[0])} trials run" in again.stderr
    assert {f: (store / "trials" / f / "trial.json").stat().st_mtime_ns for f in final} == written
    for fingerprint, epochs in begun.items():
        table = pd.read_parquet(store / "trials" / fingerprint / "metrics.parquet")
        assert table["epoch"].tolist() == list(range(1, 61))
        assert (table["attempt"].iloc[: epochs - 1] == 1).all(), "epochs before the kill were trained again"
        assert table["attempt"].iloc[-1] == 2
        assert json.loads((store / "trials" / fingerprint / "trial.json").read_text())["state"] == "COMPLETE"
    third = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert "nothing to run" in third.stderr
