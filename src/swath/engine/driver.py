"""The driver: caches first, then the trials that the store lacks, phase by phase. The same for every engine."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from swath.core.errors import DamagedError, InputError, SwathError, raise_if_any
from swath.engine.base import Engine, Probe
from swath.engine.cache_builder import build_entry, build_features
from swath.engine.scheduler import TrialScheduler
from swath.plan.cache_needs import built_keys
from swath.plan.plan import Plan
from swath.plan.progress import Progress
from swath.plan.records import write_records
from swath.plan.trials import PlannedTrial
from swath.preprocess.cache import entry as caches
from swath.preprocess.cache.manifest import is_built
from swath.preprocess.cache.reader import drop_damaged
from swath.preprocess.contact_sheet import contact_sheet
from swath.store.layout import contact_key
from swath.store.storage import Storage
from swath.store.trials import Trial
from swath.tasks.prepare import TaskPlan, bad_image_note

TRIES_ALLOWED = 3
"""How often a trial that ends without a report (not failed, not stopped, not lost) is started in one run of a sweep."""
_WAIT_S = 3.0


def run(progress: Progress, engine: Engine, say: Callable[[str], None], retry_failed: bool = False) -> int:
    """Carry out what the store lacks.

    Args:
        progress: From `read_progress`; afterwards it has what was added and what became of it.
        engine: Inline or Ray.
        say: Called with lines for the user.
        retry_failed: Run failed trials again.

    Returns:
        Number of trials that were run.

    Raises:
        InputError: Too many images cannot be decoded, or a backbone's weights cannot be had.
    """
    ran: set[str] = set()
    while True:
        _prepare(progress, engine, say, retry_failed)
        ran |= _run_wave(progress, engine, say, 1, retry_failed)
        if not progress.grow():
            break
    write_records(progress)  # the first phase decided who is in the second
    ran |= _run_wave(progress, engine, say, 2, retry_failed)
    return len(ran)


def _prepare(progress: Progress, engine: Engine, say: Callable[[str], None], retry_failed: bool) -> None:
    """What trials need before they start: weights that can be had, caches, records."""
    lacking = progress.lacking(retry_failed)
    engine.get_ready(len(lacking))
    probes = _probes(lacking, progress.plan.locations.cache)
    raise_if_any(engine.probe(probes) if probes else ())
    _build_caches(progress, engine, say, retry_failed)
    engine.get_ready(len(lacking))  # again: what was ready may not have outlasted a long build
    write_records(progress)


def _probes(lacking: list[PlannedTrial], cache: Storage) -> list[Probe]:
    """The pretrained backbones that will be built: not those whose features are all there."""
    built = built_keys(cache, (f.key for t in lacking for f in t.features.values()))
    probes = {
        Probe(replace(t.spec.backbone, weights=t.weights_file), t.spec.recipe.side_px)
        for t in lacking
        if t.spec.backbone.pretrained and (not t.features or any(f.key not in built for f in t.features.values()))
    }
    return sorted(probes, key=lambda p: (p.backbone.canonical(), p.image_size))


def _build_caches(progress: Progress, engine: Engine, say: Callable[[str], None], retry_failed: bool) -> None:
    """Build what is missing, then leave out the images that turned out not to decode."""
    plan = progress.plan
    for left in reversed(range(TRIES_ALLOWED)):
        try:
            _build_entries(progress, engine, say, retry_failed)
            break
        except DamagedError as error:  # images of features, which are checked as they are read
            if not left:
                raise
            say(str(error))
    built = built_keys(plan.locations.cache, (e.key for e in plan.entries()))
    problems = []
    for task in plan.tasks:
        try:
            note = _leave_out_bad(plan, task, built)
        except InputError as error:
            problems += error.problems
            continue
        if note and note not in plan.notes:
            say(note)
    raise_if_any(problems)


def _build_entries(progress: Progress, engine: Engine, say: Callable[[str], None], retry_failed: bool) -> None:
    plan, cache, storage = progress.plan, progress.plan.locations.cache, progress.plan.locations.storage
    for features in plan.features():
        drop_damaged(cache, features.key)
    needs = progress.cache_needs(retry_failed)
    for entry in needs.entries:
        damaged = drop_damaged(cache, entry.key)
        if damaged:
            say(f"cache {entry.describe()}: {', '.join(damaged)} damaged; built again")
        if not is_built(cache, entry.key):  # as it is now: the entry before may have taken hours
            build_entry(cache, entry, engine, say)
        if not storage.exists(contact_key(entry.key)):
            storage.write(contact_key(entry.key), contact_sheet(cache, entry))
    build_features(plan.locations, needs.features_to_build(), engine, say)


def _leave_out_bad(plan: Plan, task: TaskPlan, built: frozenset[str]) -> str:
    for key in {e.key for t in plan.trials if t.spec.data == task.data for e in t.entries.values()} & built:
        task.record.leave_out(caches.bad_images(plan.locations.cache, key))
    return bad_image_note(task.record)


def _run_wave(
    progress: Progress, engine: Engine, say: Callable[[str], None], phase: int, retry_failed: bool
) -> set[str]:
    """Run what the store lacks of a phase; trials that another driver is at work on are waited for.

    Returns:
        Fingerprints of the trials that ended here.

    Raises:
        SwathError: Trials ended again and again without a report.
    """
    plan = progress.plan
    wave = [t for t in plan.trials if t.phase == phase]
    ended: set[str] = set()
    tries: Counter[str] = Counter()
    here = {t.spec.fingerprint for t in wave}
    waited = False
    progress.refresh()
    while lacking := [t for t in progress.lacking(retry_failed) if t.spec.fingerprint in here - ended]:
        owners = plan.read(lacking, Trial.leased_elsewhere)
        ours = [t for t, owner in zip(lacking, owners, strict=True) if not owner]
        if ours:
            lost = [t.label for t in ours if tries[t.spec.fingerprint] >= TRIES_ALLOWED]
            if lost:
                raise SwathError(
                    f"{len(lost)} trials ended {TRIES_ALLOWED} times without a result, e.g. {lost[0]}. "
                    "Nothing is lost: look into Ray's logs for what ends the processes, then start the sweep again."
                )
            if tries:  # a trial that found its cache entry damaged ends without a report
                _build_caches(progress, engine, say, retry_failed)
            together = TrialScheduler(progress, wave, ours)
            together.run(engine)
            ended |= together.ended
            tries.update(t.spec.fingerprint for t in ours if t.spec.fingerprint not in together.elsewhere)
        else:
            if not waited:
                say(f"waiting for {len(lacking)} trials that {', '.join(sorted(set(owners)))} is at work on")
                waited = True
            time.sleep(_WAIT_S)
        progress.refresh(lacking)
    return ended
