"""What a sweep costs beyond its training: Ray Tune against two processes that do nothing but train, in one run.

    make bench        # or: python bench/trial_overhead.py --images 2000

The same trials (3 preprocessings x 2 tiny backbones x 2 losses, 64 px, 2 epochs) run from finished caches: on swath's
Ray engine with its scheduler, leases and progress, and in a process pool that only calls the trial. The pool has loaded
torch before the clock starts; Ray has started, but its actors load torch while the clock runs.
"""

import argparse
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from swath import Backbone, Recipe, Sweep, grid, holdout, losses, ops, tasks
from swath.config.sweep import TrialResources
from swath.engine.base import Listener
from swath.engine.driver import run
from swath.engine.inline import InlineEngine
from swath.engine.ray_backend.engine import RayEngine
from swath.plan.make import make_plan
from swath.plan.progress import read_progress
from swath.store.storage import Locations
from swath.training.job import Job, Report

PROCESSES = 2


def study(data: Path, images: int) -> Sweep:
    return Sweep(
        name="overhead",
        task=tasks.SyntheticSatellite(str(data), train=images, test=100, size_px=64),
        split=holdout(0.2),
        preprocess=grid((), (ops.Grayscale(),), (ops.Sharpen(),)),
        backbone=grid(Backbone("test_resnet", pretrained=False), Backbone("test_efficientnet", pretrained=False)),
        loss=grid(losses.BCE(), losses.Focal()),
        recipe=Recipe(epochs=2, batch_size=32, image_size=64),
    )


class Collector(InlineEngine):
    """Builds the caches, and keeps the jobs instead of running them."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def train(self, jobs: Sequence[Job], listener: Listener) -> None:
        self.jobs = list(jobs)
        raise KeyboardInterrupt  # nothing is to be run


def load_torch() -> None:
    import swath.training.trial  # noqa: F401


def only_train(job: Job) -> float:
    from swath.training.trial import run_trial

    last: list[Report] = []
    run_trial(job, last.append)
    return last[-1].score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="swath-bench-"))
    try:
        sweep = study(root / "data", options.images)
        floor_plan = read_progress(make_plan(sweep, Locations.of(str(root / "floor"))))
        collector = Collector()
        try:
            run(floor_plan, collector, lambda line: None)
        except KeyboardInterrupt:
            shutil.copytree(root / "floor", root / "ray")
        with multiprocessing.get_context("spawn").Pool(PROCESSES, load_torch) as pool:
            pool.map(len, [""] * PROCESSES)
            started = time.perf_counter()
            floor_scores = pool.map(only_train, collector.jobs, chunksize=1)
            floor_s = time.perf_counter() - started
        with RayEngine(TrialResources()) as engine:
            progress = read_progress(make_plan(sweep, Locations.of(str(root / "ray"))))
            started = time.perf_counter()
            ran = run(progress, engine, lambda line: None)
            ray_s = time.perf_counter() - started
        progress.refresh()
        same = [progress.outcomes[t.spec.fingerprint].score for t in progress.plan.trials] == floor_scores
        print(f"{ran} trials of {options.images:,} images, {PROCESSES} at a time; scores equal: {same}")
        print(f"training alone  {floor_s:6.1f} s")
        print(f"swath on Ray    {ray_s:6.1f} s")
        print(f"ratio {ray_s / floor_s:.3f}; {(ray_s - floor_s) / ran:.2f} s more for each trial")
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
