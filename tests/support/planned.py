"""A sweep as a script would start it: planned, and the store asked how far it is."""

from swath.config.sweep import Sweep
from swath.plan.make import make_plan
from swath.plan.progress import Progress, read_progress
from swath.store.storage import Locations


def planned_sweep(sweep: Sweep, locations: Locations, threads: int = 1) -> Progress:
    return read_progress(make_plan(sweep, locations, threads))
