"""Trials of several workers on real Ray: the same curve as one worker, resumed, stopped and failed alike."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from swath import Recipe, Sweep, asha, grid
from swath.config.sweep import TrialResources
from swath.core.errors import InputError
from swath.engine.base import Engine, Listener
from swath.engine.driver import run
from swath.engine.inline import InlineEngine
from swath.engine.ray_backend.engine import RayEngine
from swath.plan.progress import Progress
from swath.store.storage import Locations
from swath.training.job import Job, Report
from tests.support.planned import planned_sweep

SweepMaker = Callable[..., Sweep]
RATES = Recipe(epochs=3, batch_size=12, optimizer="adamw", lr=grid(1e-3, 1e-7), image_size=32)


class Killed(BaseException):
    """Stands for a kill signal."""


class KilledAfterOneEpoch(InlineEngine):
    """The engine of a driver that dies."""

    def train(self, jobs: Sequence[Job], listener: Listener) -> None:
        def decide(report: Report) -> bool:
            raise Killed

        listener.decide = decide  # type: ignore[method-assign]
        super().train(jobs, listener)


def carried_out(sweep: Sweep, store: Path, engine: Engine) -> Progress:
    progress = planned_sweep(sweep, Locations.of(str(store)))
    run(progress, engine, lambda line: None)
    progress.refresh()
    return progress


def held_groups() -> list[dict[str, object]]:
    from ray.util import placement_group_table

    return [group for group in placement_group_table().values() if group["state"] != "REMOVED"]


@pytest.mark.ray
def test_two_workers_go_on_from_one_workers_checkpoint_and_end_where_it_would_have(
    make_sweep: SweepMaker, tmp_path: Path
) -> None:
    sweep = make_sweep(preprocess=(), recipe=RATES, stop=asha(grace_epochs=1, reduction=3))
    with pytest.raises(Killed):
        carried_out(sweep, tmp_path / "team", KilledAfterOneEpoch())
    with RayEngine(TrialResources(workers=2)) as engine:
        team = carried_out(sweep, tmp_path / "team", engine)
    assert held_groups() == [], "a trial that was stopped last gives its CPUs back"
    alone = carried_out(sweep, tmp_path / "alone", InlineEngine())
    states = [[p.outcomes[t.spec.fingerprint] for t in p.plan.trials] for p in (team, alone)]
    assert [(o.state, o.epochs) for o in states[0]] == [(o.state, o.epochs) for o in states[1]]
    assert states[0][0].state == "COMPLETE"
    assert "STOPPED" in [o.state for o in states[0]], "workers end when Tune stops their trial"
    ours, theirs = (p.plan.handle(p.plan.trials[0]) for p in (team, alone))
    assert ours.metrics()["attempt"].tolist() == [1, 2, 2]
    for column in ("train_loss", "val_loss"):
        assert np.abs(ours.metrics()[column] - theirs.metrics()[column]).max() < 1e-3
    for part in ("val/3", "test"):
        assert ours.logits(part)[0].tolist() == theirs.logits(part)[0].tolist()
        assert np.abs(ours.logits(part)[1] - theirs.logits(part)[1]).max() < 0.02
    assert ours.checkpoint() is None


@pytest.mark.parametrize(
    ("resources", "nodes", "taken"),
    [
        (TrialResources(), [{"CPU": 2}], (TrialResources(1, 0), 0)),
        (TrialResources(), [{"CPU": 2}, {"CPU": 8, "GPU": 2}], (TrialResources(1, 1), 0)),
        (TrialResources(gpus=0.5), [{"CPU": 8, "GPU": 2}], (TrialResources(1, 0.5), 0)),
        (TrialResources(workers=2), [{"CPU": 2}], (TrialResources(1, 0, 2), 1)),
        (TrialResources(2, 1, 4), [{"CPU": 16, "GPU": 4}] * 2, (TrialResources(2, 1, 4), 2)),
        (TrialResources(4, 1, 3), [{"CPU": 8, "GPU": 4}] * 3, (TrialResources(4, 1, 3), 2)),
    ],
)
def test_what_a_trial_takes_of_a_cluster(
    resources: TrialResources, nodes: list[dict[str, float]], taken: tuple[TrialResources, int]
) -> None:
    assert RayEngine(resources).fit(nodes) == taken


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        (TrialResources(4), "a trial asks for 4 CPUs and 0 GPUs, and no node has as many: there are 2 CPUs and 0 GPUs"),
        (TrialResources(workers=3), "3 workers with 1 CPUs and 0 GPUs each, and there is room for 2: there are 2 CPUs"),
    ],
)
def test_a_cluster_that_is_too_small_is_said_before_anything_starts(resources: TrialResources, said: str) -> None:
    with pytest.raises(InputError, match=said):
        RayEngine(resources).fit([{"CPU": 2.0}])
