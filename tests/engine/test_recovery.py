"""What goes wrong at 2 a.m.: kills between two writes, damaged files, two drivers, an interrupt."""

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from swath import Recipe, Sweep, asha, grid, ops, tasks
from swath.core.errors import SwathError
from swath.engine import driver as drive
from swath.engine.base import Engine, Listener
from swath.engine.driver import run
from swath.engine.inline import InlineEngine
from swath.plan import records as records_
from swath.plan.disk_space import bytes_to_build
from swath.plan.progress import Progress
from swath.store.storage import Locations
from swath.store.sweeps import read_sweep
from swath.training.job import Job, Report
from tests.support.planned import planned_sweep

SweepMaker = Callable[..., Sweep]
RATES = Recipe(epochs=4, batch_size=8, optimizer="adamw", lr=grid(3e-3, 1e-3, 1e-7), image_size=32)


def carry_out(sweep: Sweep, store: Path, engine: Engine | None = None) -> tuple[Progress, int]:
    progress = planned_sweep(sweep, Locations.of(str(store)))
    ran = run(progress, engine or InlineEngine(), lambda line: None)
    progress.refresh()
    return progress, ran


class Killed(BaseException):
    """Stands for the end of a process."""


class KilledInTheMiddle(InlineEngine):
    """Ends like a killed process: after a trial wrote its checkpoint for an epoch and before the driver decided."""

    def __init__(self, label: str, epoch: int) -> None:
        self.label, self.epoch = label, epoch

    def train(self, jobs: Sequence[Job], listener: Listener) -> None:
        inner = listener.decide

        def decide(report: Report) -> bool:
            lr = next(j.spec.recipe.lr for j in jobs if j.spec.fingerprint == report.fingerprint)
            if f"{lr:g}" == self.label and report.epoch == self.epoch:
                raise Killed
            return inner(report)

        listener.decide = decide  # type: ignore[method-assign]
        super().train(jobs, listener)


def test_a_rung_that_was_reached_but_not_judged_is_judged_after_the_restart(
    make_sweep: SweepMaker, tmp_path: Path
) -> None:
    sweep = make_sweep(preprocess=(), recipe=RATES, stop=asha(grace_epochs=2, reduction=3))
    with pytest.raises(Killed):
        carry_out(sweep, tmp_path, KilledInTheMiddle("1e-07", 2))
    progress, ran = carry_out(sweep, tmp_path)
    assert ran == 1
    hopeless = next(t for t in progress.plan.trials if t.cell.label == "1e-07")
    outcome = progress.outcomes[hopeless.spec.fingerprint]
    assert (outcome.state, outcome.epochs) == ("STOPPED", 2)


@pytest.mark.parametrize("epoch", [1, 3])
def test_a_killed_trial_ends_with_the_same_bits_as_one_that_was_not(
    make_sweep: SweepMaker, tmp_path: Path, epoch: int
) -> None:
    sweep = make_sweep(preprocess=(), recipe=replace(RATES, lr=1e-3))
    with pytest.raises(Killed):
        carry_out(sweep, tmp_path / "killed", KilledInTheMiddle("0.001", epoch))
    killed, _ = carry_out(sweep, tmp_path / "killed")
    whole, _ = carry_out(sweep, tmp_path / "whole")
    one, other = (p.plan.handle(p.plan.trials[0]) for p in (killed, whole))
    assert one.metrics()["attempt"].tolist() == [1] * epoch + [2] * (4 - epoch)
    for part in ("val/4", "test"):
        np.testing.assert_array_equal(one.logits(part)[1], other.logits(part)[1])


def test_a_damaged_checkpoint_costs_its_epochs_and_no_more(make_sweep: SweepMaker, tmp_path: Path) -> None:
    sweep = make_sweep(preprocess=(), recipe=replace(RATES, lr=1e-3))
    with pytest.raises(Killed):
        carry_out(sweep, tmp_path, KilledInTheMiddle("0.001", 3))
    (checkpoint,) = tmp_path.glob("trials/*/checkpoint/last.pt")
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    progress, _ = carry_out(sweep, tmp_path)
    assert progress.outcomes[progress.plan.trials[0].spec.fingerprint].state == "COMPLETE"
    assert progress.plan.handle(progress.plan.trials[0]).metrics()["attempt"].tolist() == [2, 2, 2, 2]


def test_a_trial_that_another_driver_has_finished_meanwhile_is_left_alone(
    make_sweep: SweepMaker, tmp_path: Path
) -> None:
    sweep = make_sweep(recipe=Recipe(epochs=1, batch_size=8, image_size=32))

    class Overtaken(InlineEngine):
        """While this driver prepares to train, another one runs the whole sweep."""

        def train(self, jobs: Sequence[Job], listener: Listener) -> None:
            assert carry_out(sweep, tmp_path)[1] == 2
            super().train(jobs, listener)

    progress, ran = carry_out(sweep, tmp_path, Overtaken())
    assert ran == 0
    for trial in progress.plan.trials:
        assert progress.plan.handle(trial).metrics()["attempt"].tolist() == [1]


def test_a_live_trial_of_another_process_is_waited_for(
    make_sweep: SweepMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = make_sweep(preprocess=(), recipe=Recipe(epochs=1, batch_size=8, image_size=32))
    progress = planned_sweep(sweep, Locations.of(str(tmp_path)))
    lease = tmp_path / "trials" / progress.plan.trials[0].spec.fingerprint / "lease.json"
    lease.parent.mkdir(parents=True)
    lease.write_text(f'{{"host": "elsewhere", "pid": 1, "started": 0, "heartbeat": {time.time()}}}')
    said: list[str] = []
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        if seconds == drive._WAIT_S:  # leases of the cache sleep, too
            naps.append(seconds)
            if len(naps) == 2:
                lease.unlink()

    monkeypatch.setattr(drive.time, "sleep", sleep)
    assert run(progress, InlineEngine(), said.append) == 1
    assert len(naps) == 2
    assert "waiting for 1 trials that elsewhere:1 is at work on" in said


def test_trials_that_end_without_a_word_are_tried_again_and_never_called_failed(
    make_sweep: SweepMaker, tmp_path: Path
) -> None:
    class Silent(InlineEngine):
        starts = 0

        def train(self, jobs: Sequence[Job], listener: Listener) -> None:
            self.starts += 1

    engine = Silent()
    with pytest.raises(SwathError, match="2 trials ended 3 times without a result"):
        carry_out(make_sweep(), tmp_path, engine)
    assert engine.starts == drive.TRIES_ALLOWED
    assert not list(tmp_path.glob("trials/*/trial.json"))


def test_a_sweep_that_finds_everything_done_is_still_listed(make_sweep: SweepMaker, tmp_path: Path) -> None:
    one = make_sweep(name="one", recipe=Recipe(epochs=1, batch_size=8, image_size=32))
    carry_out(one, tmp_path)
    smaller = planned_sweep(replace(one, preprocess=()), Locations.of(str(tmp_path)))
    assert not smaller.lacking()
    records_.write_records(smaller)
    listed = read_sweep(smaller.plan.locations.storage, "one")
    assert listed is not None
    assert [t.cell for t in listed.trials] == [smaller.plan.trials[0].cell.label]


def test_stopped_counts_as_done_only_for_trials_that_may_stop(make_sweep: SweepMaker, tmp_path: Path) -> None:
    rule = asha(grace_epochs=2, reduction=3)
    first, _ = carry_out(make_sweep(preprocess=(), recipe=RATES, stop=rule, seeds=(1,)), tmp_path)
    stopped = {t.cell.label for t in first.plan.trials if first.outcomes[t.spec.fingerprint].state == "STOPPED"}
    assert stopped
    both = planned_sweep(make_sweep(preprocess=(), recipe=RATES, stop=rule, seeds=(0, 1)), Locations.of(str(tmp_path)))
    wanted = {t.cell.label for t in both.lacking() if t.spec.seed == 1}
    assert wanted == stopped, "as further seeds they run to the end, if their cell survives"
    other = Recipe(epochs=4, batch_size=8, optimizer="adamw", lr=grid(1e-7, 1e-3, 3e-3), image_size=32)
    exempt = make_sweep(preprocess=(), recipe=other, stop=replace(rule, exempt="baseline"), seeds=(1,))
    again = planned_sweep(exempt, Locations.of(str(tmp_path)))
    assert "1e-07" in {t.cell.label for t in again.lacking()}


def test_unreadable_test_images_cost_no_trial(make_sweep: SweepMaker, tmp_path: Path) -> None:
    root = tmp_path / "data"
    rng = np.random.default_rng(3)
    (root / "images").mkdir(parents=True)
    rows = []
    for i in range(151):
        cv2.imwrite(str(root / f"images/{i}.png"), rng.integers(0, 255, (32, 32, 3)).astype(np.uint8))
        rows.append([f"{i:03d}", f"images/{i}.png", i % 2, (i // 2) % 2])
    table = pd.DataFrame(rows, columns=["id", "path", "odd", "pair"])
    table[:150].to_csv(root / "train.csv", index=False)
    table[150:][["id", "path"]].to_csv(root / "test.csv", index=False)
    only = root / "images/150.png"
    only.write_bytes(only.read_bytes()[:200])
    task = tasks.Csv(str(root), test="test.csv")
    progress, _ = carry_out(
        make_sweep(task=task, preprocess=(), recipe=Recipe(epochs=1, batch_size=32, image_size=32)), tmp_path / "store"
    )
    assert [o.state for o in progress.outcomes.values()] == ["COMPLETE"]


def test_caches_are_wanted_only_for_trials_that_are_to_run(make_sweep: SweepMaker, tmp_path: Path) -> None:
    short = Recipe(epochs=1, batch_size=8, image_size=32)
    progress, _ = carry_out(make_sweep(recipe=short), tmp_path)
    for entry in progress.plan.entries():
        progress.plan.locations.cache.delete(entry.key)
    assert bytes_to_build(planned_sweep(make_sweep(recipe=short), Locations.of(str(tmp_path))).cache_needs()) == 0
    grown = make_sweep(recipe=short, preprocess=grid((), (ops.Sharpen(),), (ops.Grayscale(),)))
    again = planned_sweep(grown, Locations.of(str(tmp_path)))
    assert bytes_to_build(again.cache_needs()) == (48 + 12) * 32 * 32
    _, ran = carry_out(grown, tmp_path)
    assert ran == 1


INTERRUPTED = """
from swath import Backbone, Recipe, Sweep, grid, holdout, main, ops, tasks


def interrupted(data: str) -> Sweep:
    return Sweep(
        name="interrupted",
        task=tasks.DaconSatellite(data),
        split=holdout(0.25),
        preprocess=grid((), (ops.Sharpen(),), (ops.Grayscale(),)),
        backbone=Backbone("test_resnet", pretrained=False),
        recipe=Recipe(epochs=400, batch_size=8, image_size=32),
    )


if __name__ == "__main__":
    main(interrupted)
"""


@pytest.mark.ray
def test_an_interrupt_leaves_unfinished_trials_unfinished(layout: Path, tmp_path: Path) -> None:
    (tmp_path / "interrupted.py").write_text(INTERRUPTED)
    with (tmp_path / "log").open("w") as log:
        words = [sys.executable, "interrupted.py", "--data", str(layout), "--storage", str(tmp_path / "store")]
        driver = subprocess.Popen(words, cwd=tmp_path, stdout=log, stderr=log)
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("store/trials/*/checkpoint/last.pt")):
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.1)
        driver.send_signal(signal.SIGINT)
        assert driver.wait(90) == 130
    assert "start it again to go on" in (tmp_path / "log").read_text()
    assert not list(tmp_path.glob("store/trials/*/trial.json"))


def kill_when_begun(store: Path, epochs: int, kills: int, killed: list[int]) -> None:
    """Send SIGKILL to the process of a trial that has trained `epochs` epochs since its last start, `kills` times."""
    deadline = time.monotonic() + 200
    while len(killed) < kills and time.monotonic() < deadline:
        time.sleep(0.05)
        for lease in store.glob("trials/*/lease.json"):
            with contextlib.suppress(OSError, ValueError):
                pid = json.loads(lease.read_text())["pid"]
                table = pd.read_parquet(io.BytesIO((lease.parent / "metrics.parquet").read_bytes()))
                trained = int((table["attempt"] == table["attempt"].max()).sum())
                if pid not in killed and table["attempt"].max() == len(killed) + 1 and trained >= epochs:
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)


@pytest.mark.ray
@pytest.mark.parametrize(("kills", "state"), [(1, "COMPLETE"), (3, "FAILED")])
def test_a_killed_worker_costs_at_most_its_epoch(
    make_sweep: SweepMaker, tmp_path: Path, ray_engine: Engine, kills: int, state: str
) -> None:
    sweep = make_sweep(preprocess=(), recipe=Recipe(epochs=150, batch_size=8, image_size=32))
    killed: list[int] = []
    killer = threading.Thread(target=kill_when_begun, args=(tmp_path, 5, kills, killed))
    killer.start()
    progress, ran = carry_out(sweep, tmp_path, ray_engine)
    killer.join()
    assert len(killed) == kills
    assert ran == 1
    outcome = progress.outcomes[progress.plan.trials[0].spec.fingerprint]
    table = progress.plan.handle(progress.plan.trials[0]).metrics()
    assert outcome.state == state
    assert table["epoch"].tolist() == list(range(1, len(table) + 1))
    if state == "COMPLETE":
        assert len(table) == 150
        assert set(table["attempt"]) == {1, 2}
        assert (table["attempt"] == 1).sum() >= 4
    else:
        assert len(table) >= 10
        assert f"process {killed[-1]} was lost: killed, or out of memory" in outcome.error
        assert outcome.error.endswith("its process was lost 3 times")
        again = planned_sweep(sweep, Locations.of(str(tmp_path)))
        assert not again.lacking()
        assert len(again.lacking(retry_failed=True)) == 1


@pytest.mark.parametrize("where", ["mapped in place", "copied to the node", "the copy itself"])
def test_a_flipped_byte_in_the_cache_never_reaches_a_trial(make_sweep: SweepMaker, tmp_path: Path, where: str) -> None:
    def with_seeds(store: str, *seeds: int) -> Progress:
        local = "" if where == "mapped in place" else str(tmp_path / f"{store}-node")
        progress = planned_sweep(make_sweep(preprocess=(), seeds=seeds), Locations.of(str(tmp_path / store), local))
        run(progress, InlineEngine(), lambda line: None)
        progress.refresh()
        return progress

    first = with_seeds("harmed", 0)
    folder = tmp_path / ("harmed-node" if where == "the copy itself" else "harmed/cache")
    if where == "copied to the node":
        shutil.rmtree(tmp_path / "harmed-node")
    sound = {}
    for entry in first.plan.entries():
        shard = folder / entry.key / "shard-00000.npy"
        sound[shard] = shard.read_bytes()
        harmed = bytearray(sound[shard])
        harmed[-100] ^= 0x80
        shard.write_bytes(bytes(harmed))
    again, never_harmed = with_seeds("harmed", 0, 1, 2, 3), with_seeds("sound", 0, 1, 2, 3)
    assert [again.outcomes[t.spec.fingerprint].state for t in again.plan.trials] == ["COMPLETE"] * 4
    for ours, theirs in zip(again.plan.trials, never_harmed.plan.trials, strict=True):
        for part in ("val/3", "test"):
            np.testing.assert_array_equal(
                again.plan.handle(ours).logits(part)[1], never_harmed.plan.handle(theirs).logits(part)[1]
            )
    assert all(shard.read_bytes() == data for shard, data in sound.items())
