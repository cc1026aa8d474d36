"""A small store written with the predictions API: scripted logits, no training."""

import itertools
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from swath import losses, ops
from swath.analysis.load import read_results
from swath.analysis.results import Results, TrialResult
from swath.config import chains
from swath.config.recipe import Backbone, Recipe
from swath.config.splits import Holdout
from swath.config.task import SubmissionForm
from swath.config.trial_spec import TrialSpec
from swath.store import sweeps as sweeps_
from swath.store import tasks as tasks_
from swath.store.storage import Storage
from swath.store.sweeps import ListedTask, ListedTrial, SweepRecord
from swath.store.tasks import TaskRecord
from swath.store.trials import Outcome, Trial

CHAINS = {"raw": (), "grayscale|sharpen": (ops.Grayscale(), ops.Sharpen())}
LOSSES = {"bce": losses.BCE(), "focal": losses.Focal()}
RULE = "asha(grace_epochs=2,reduction=2)"
SPLIT = Holdout(0.5)


@dataclass
class FakeTask:
    """A task's record with the folds of its rows, and the form of its submission."""

    label: str = "scenes"
    kind: str = "multilabel"
    metric: str = "map"
    labels: tuple[str, ...] = ("water", "trees", "cars", "pavement")
    train: int = 120
    test: int = 12
    folds: int = 1
    group_size: int = 2
    bad: tuple[str, ...] = ()
    seed: int = 0
    columns: tuple[str, ...] | None = None
    record: TaskRecord = field(init=False)
    folds_of: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        n, c = self.train + self.test, len(self.labels)
        if self.kind == "multiclass":
            # Unequal shares, so that the most frequent label is known: the second.
            shares = np.array([1, 3] + [1] * (c - 2)) / (c + 2)
            targets = np.eye(c, dtype=np.uint8)[rng.choice(c, n, p=shares)]
        else:
            targets = (rng.random((n, c)) < np.linspace(0.2, 0.6, c)).astype(np.uint8)
        targets[self.train :] = 0
        ids = [f"{self.label}{i:04d}" for i in range(n)]
        rows = pd.DataFrame(
            {
                "id": ids,
                "split": ["train"] * self.train + ["test"] * self.test,
                "group": np.concatenate([np.arange(self.train) // self.group_size, 10_000 + np.arange(self.test)]),
                "bad": ["cannot be decoded" if i in self.bad else "" for i in ids],
            }
        )
        form = SubmissionForm(
            id_column="img_id",
            ids=tuple(ids[self.train :][::-1]),  # the sample's order is its own
            columns=self.columns if self.columns is not None else self.labels[::-1],
        )
        submission = form if self.test else None
        self.record = TaskRecord(self.label, self.kind, self.metric, self.labels, rows, targets, submission)
        group = rows["group"].to_numpy()
        self.folds_of = np.where(rows["split"] == "test", -1, group % self.folds if self.folds > 1 else -(group % 2))

    @property
    def data(self) -> str:
        return f"data-{self.label}"

    def validation(self, fold: int = 0) -> NDArray[np.int64]:
        return np.flatnonzero((self.folds_of == fold) & (self.record.rows["bad"] == ""))

    def train_ids(self, rows: NDArray[np.int64]) -> NDArray[np.str_]:
        return self.record.rows["id"].to_numpy(str)[rows]


@dataclass
class FakeTrial:
    """One trial to write. `state` None is a trial that never began, "RUNNING" one that has no final state.

    Every trial draws its own noise (`logits`), which is what `streams` says unless a test has it say otherwise.
    """

    preprocess: str = "raw"
    backbone: str = "resnet18"
    loss: str = "bce"
    seed: int = 0
    fold: int = 0
    state: str | None = "COMPLETE"
    quality: float = 1.0
    epochs: int = 4
    error: str = ""
    extra: dict[str, str] = field(default_factory=dict)
    entry: dict[str, Any] = field(default_factory=dict)
    streams: Literal["own", "common"] = "own"

    @property
    def cell(self) -> str:
        return " / ".join([self.preprocess, self.backbone, self.loss, *self.extra.values()])

    def spec(self, task: FakeTask) -> TrialSpec:
        chain = chains.finished(CHAINS[self.preprocess], 64)
        return TrialSpec(
            task=task.label,
            kind=task.kind,
            metric=task.metric,
            data=task.data,
            split=SPLIT,
            fold=self.fold,
            preprocess=chain,
            backbone=Backbone(self.backbone),
            weights=f"{self.backbone}.a1_in1k" + "".join(self.extra.values()),
            loss=LOSSES[self.loss],
            recipe=Recipe(epochs=self.epochs, image_size=64),
            threads=1,
            seed=self.seed,
            streams=self.streams,
        )

    def logits(self, task: FakeTask, rows: NDArray[np.int64], epoch: int) -> NDArray[np.float16]:
        """Targets times quality and noise; better with every epoch; the same whenever it is asked."""
        key = [ord(c) for c in f"{self.cell}/{self.seed}/{epoch}"]
        noise = np.random.default_rng(key).normal(size=task.record.targets.shape)[rows]
        signal = task.record.targets[rows] * self.quality * (0.5 + epoch / self.epochs)
        return (signal + noise).astype(np.float16)


def write_trial(storage: Storage, task: FakeTask, trial: FakeTrial) -> str:
    """Write what a trial in its state leaves in the store; its fingerprint."""
    spec = trial.spec(task)
    handle = Trial(storage, spec.fingerprint)
    if trial.state is None:
        return spec.fingerprint
    handle.begin(spec)
    done = {"COMPLETE": trial.epochs, "STOPPED": 2, "FAILED": 1, "RUNNING": 2}[trial.state]
    rows = task.validation(trial.fold)
    ids = task.train_ids(rows)
    table = [{"epoch": e, "score": 0.1 * e, "seconds": 10.0} for e in range(1, done + 1)]
    handle.write_metrics(pd.DataFrame(table))
    if done >= 2 and trial.epochs > 2:  # the rung, kept as trials keep it
        handle.write_logits("val/2", ids, trial.logits(task, rows, 2))
    if trial.state == "RUNNING":
        return spec.fingerprint
    if trial.state != "FAILED":
        handle.write_logits(f"val/{done}", ids, trial.logits(task, rows, done))
    if trial.state == "COMPLETE" and task.test:
        test = task.record.part("test")
        handle.write_logits("test", task.train_ids(test), trial.logits(task, test, 99))
    outcome = Outcome(
        trial.state,  # type: ignore[arg-type]
        epochs=done,
        score=0.123,
        error=trial.error,
        rule=RULE if trial.state == "STOPPED" else "",
        device_s=10.0 * done,
        device="cpu",
        host="node",
        versions={"torch": "2.14"},
    )
    handle.finish(outcome)
    return spec.fingerprint


def write_fake_sweep(
    storage: Storage,
    trials: dict[str, list[FakeTrial]],
    tasks: list[FakeTask],
    name: str = "study",
    rule: str = RULE,
    extra: dict[str, Any] | None = None,
) -> None:
    """A whole sweep: task records, folds, trials by task label, sweep.json; `extra` are fields of that."""
    listed = []
    for task in tasks:
        tasks_.write_task(storage, task.data, task.record)
        tasks_.write_folds(storage, task.data, SPLIT.canonical(), task.folds_of)
        for trial in trials[task.label]:
            factors = {"preprocess": trial.preprocess, "backbone": trial.backbone, "loss": trial.loss, **trial.extra}
            if len(tasks) > 1:
                factors = {"task": task.label, **factors}
            listed.append(
                ListedTrial(
                    fingerprint=write_trial(storage, task, trial),
                    cell=f"{task.label} / {trial.cell}" if len(tasks) > 1 else trial.cell,
                    factors=factors,
                    baseline=task is tasks[0] and trial.cell == trials[task.label][0].cell,
                    data=task.data,
                    fold=trial.fold,
                    seed=trial.seed,
                    epochs=trial.epochs,
                    rungs=(2,),
                    **trial.entry,
                )
            )
    record = SweepRecord(
        name=name,
        tasks=tuple(
            ListedTask(data=t.data, label=t.label, labels=t.record.labels, metric=t.record.metric) for t in tasks
        ),
        split=SPLIT.canonical(),
        rule=rule,
        seeds=tuple(sorted({t.seed for some in trials.values() for t in some})),
        notes=(),
        trials=tuple(listed),
    )
    sweeps_.write_sweep(storage, replace(record, **(extra or {})))


def scene_trials() -> list[FakeTrial]:
    """Eight cells with two seeds: one stopped, so that its second seed never ran, one failed, one unfinished."""
    quality = {"raw": 0.6, "grayscale|sharpen": 0.9, "resnet18": 0.2, "vit": 0.5, "bce": 0.1, "focal": 0.0}
    found = []
    for seed, chain, backbone, loss in itertools.product((0, 1), CHAINS, ("resnet18", "vit"), LOSSES):
        trial = FakeTrial(chain, backbone, loss, seed, quality=quality[chain] + quality[backbone] + quality[loss])
        if trial.cell == "raw / vit / focal":
            trial.state = "STOPPED" if seed == 0 else None
        if trial.cell == "raw / resnet18 / focal" and seed == 1:
            trial.state = "FAILED"
            trial.error = (
                "Traceback (most recent call last):\n  File x\nDivergedError: the loss is <nan> | at `step` 3\n"
            )
        if trial.cell == "grayscale|sharpen / vit / focal" and seed == 1:
            trial.state = "RUNNING"
        found.append(trial)
    return found


@dataclass
class Study:
    """A written sweep with what it was written from."""

    storage: Storage
    tasks: dict[str, FakeTask]
    trials: dict[str, list[FakeTrial]]

    def read(self) -> Results:
        return read_results(self.storage, "study")

    def fake(self, label: str, trial: TrialResult) -> FakeTrial:
        """The trial as scripted."""
        return next(t for t in self.trials[label] if t.spec(self.tasks[label]).fingerprint == trial.fingerprint)


def write_study(storage: Storage, tasks: list[FakeTask], trials: dict[str, list[FakeTrial]], **more: Any) -> Study:
    write_fake_sweep(storage, trials, tasks, **more)
    return Study(storage, {t.label: t for t in tasks}, trials)
