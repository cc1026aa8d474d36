"""How soon a second sweep trains: the same preprocessing, other seeds, on a Ray that is already running.

    make bench        # or: python bench/warm_start.py --images 2000

Each sweep is a process of its own that connects to the Ray of this one by RAY_ADDRESS: the first builds the caches and
starts the fork server, the others find them. Prints when each stage was reached after the process was started, to the
first epoch of the first trial; and what of it came after the connection. Beside it, what a fresh process needs to
import torch and timm, which every trial waited for before there was a fork server.
"""

import argparse
import contextlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from swath.engine.ray_backend.engine import SETTINGS

SWEEPS = 3
CPUS = 2
SETTLE_S = 5.0
"""Between two sweeps: a Ray that still ends the processes of the last one is busy, not warm."""
STAGES = ("imported", "planned", "connected", "handed to Tune", "trial begins", "first epoch begins", "ended")


def sweep_once(root: Path, images: int, seed: int, started: float) -> None:
    """One sweep from its process's start; prints its stages as json, in seconds since then."""
    from swath import Backbone, Recipe, Sweep, asha, grid, holdout, losses, ops, tasks
    from swath.config.sweep import TrialResources
    from swath.engine.base import Listener
    from swath.engine.driver import run
    from swath.engine.ray_backend.engine import RayEngine
    from swath.plan.make import make_plan
    from swath.plan.progress import read_progress
    from swath.store.storage import Locations
    from swath.store.trials import Trial
    from swath.training.job import Job

    at = {"imported": time.time()}
    sweep = Sweep(
        name="warm",
        task=tasks.SyntheticSatellite(str(root / "data"), train=images, test=100, size_px=64),
        split=holdout(0.2),
        preprocess=grid((), (ops.Sharpen(),)),
        backbone=Backbone("test_resnet", pretrained=False),
        loss=losses.BCE(),
        recipe=Recipe(epochs=2, batch_size=32, image_size=64),
        seeds=(seed,),
        stop=asha(grace_epochs=1, reduction=3),  # so that the predictions of the first epoch are kept, with their time
    )

    class Told(RayEngine):
        def train(self, jobs: Sequence[Job], listener: Listener) -> None:
            at["handed to Tune"] = time.time()
            super().train(jobs, listener)

    progress = read_progress(make_plan(sweep, Locations.of(str(root / "store"))))
    at["planned"] = time.time()
    with Told(TrialResources()) as engine:
        at["connected"] = time.time()
        run(progress, engine, lambda line: None)
        at["ended"] = time.time()
    folders = [root / "store" / "trials" / t.spec.fingerprint for t in progress.plan.trials]
    at["trial begins"] = min((folder / "spec.json").stat().st_mtime for folder in folders)
    seconds = [
        Trial(progress.plan.locations.storage, t.spec.fingerprint).metrics()["seconds"].iloc[0]
        for t in progress.plan.trials
    ]
    ends = [(folder / "val" / "1.npz").stat().st_mtime for folder in folders]
    at["first epoch begins"] = min(end - took for end, took in zip(ends, seconds, strict=True))
    print(json.dumps({stage: at[stage] - started for stage in STAGES}))


@contextlib.contextmanager
def running_ray() -> Iterator[str]:
    """The address of a Ray on this machine that lives as long as the block."""
    os.environ.update(SETTINGS)
    import ray

    ray.init("local", num_cpus=CPUS, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
    try:
        yield ray.get_runtime_context().gcs_address
    finally:
        ray.shutdown()


def in_own_process(address: str, *words: str) -> dict[str, float]:
    """Stages of a sweep in a process that connects to this Ray."""
    environment = {**os.environ, "RAY_ADDRESS": address}
    command = [sys.executable, __file__, *words, "--started", str(time.time())]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def import_seconds() -> float:
    """What a process needs to import what trials need."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import swath.training.trial"], check=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--started", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.root:
        sweep_once(options.root, options.images, options.seed, options.started)
        return
    root = Path(tempfile.mkdtemp(prefix="swath-"))
    try:
        print(f"a fresh process imports torch, timm and the trial in {import_seconds():.1f} s")
        with running_ray() as address:
            for seed in range(SWEEPS):
                time.sleep(SETTLE_S)
                words = ("--root", str(root), "--images", str(options.images), "--seed", str(seed))
                at = in_own_process(address, *words)
                print(f"sweep {seed + 1}: " + ", ".join(f"{stage} {at[stage]:.2f} s" for stage in STAGES), flush=True)
                left = at["first epoch begins"] - at["connected"]
                print(f"  from the connection to the first epoch {left:.2f} s", flush=True)
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
