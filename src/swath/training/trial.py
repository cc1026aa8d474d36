"""One spec -> dataset -> training -> store. What must be kept is written before each report."""

import contextlib
import io
import socket
import traceback
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from swath.config.recipe import Backbone
from swath.config.splits import stratified_half
from swath.config.trial_spec import TrialSpec
from swath.core import metrics
from swath.core.errors import DamagedError, DeviceLostError, InputError
from swath.models import backbones
from swath.models.backbones import Model
from swath.models.device import device_of, give_back_memory, is_out_of_memory, lacks_determinism, prepare, responds
from swath.preprocess.cache.reader import JoinedImages, open_entry
from swath.store import tasks as tasks_
from swath.store.states import State
from swath.store.storage import DiscardingStorage, Storage
from swath.store.trials import Trial, outcome_of
from swath.training.dataset import Part
from swath.training.distributed import WorkerGroup
from swath.training.job import Job, Report
from swath.training.losses import criterion, label_weights, smoothed
from swath.training.trainer import ALONE, EpochResult, Objective, Trainer

_HALVES_SEED = 0  # the same halves for every trial of a split, whatever its training seed


def run_trial(
    job: Job, report: Callable[[Report], None], epochs: Callable[[Job], Generator[Report]] | None = None
) -> None:
    """Train a trial from its last checkpoint, or from the start, to its end.

    Args:
        job: The trial.
        report: Called with the report of each epoch.
        epochs: Trains and yields a report after each epoch; None trains in this process. Several workers train
            elsewhere, while the lease, and the report of a failure, stay with this process.

    Never raises for a failing trial: the error goes to the store and the report. `report` may raise a
    BaseException that is no Exception to stop the trial; the caller then writes its final state. Trains nothing when
    the store is no longer as the driver saw it: another driver got there first.

    Raises:
        DeviceLostError: The GPU broke this process, whose trial another one may go on with.
    """
    try:
        last = _carried_out(job, report, epochs or trial_epochs)
    finally:
        give_back_memory()
    if last:  # when whoever hears it may start another trial, the GPU's memory is free
        report(last)


def _carried_out(
    job: Job, report: Callable[[Report], None], epochs: Callable[[Job], Generator[Report]]
) -> Report | None:
    """What `run_trial` does until its last report, which is returned; None where there is none."""
    trial = Trial(Storage(job.storage), job.spec.fingerprint)
    # As text, because a score that is not a number equals nothing.
    if trial.leased_elsewhere() or str(trial.outcome()) != str(job.seen):
        return Report(trial.fingerprint, 0, float("nan"), State.ELSEWHERE)
    trial.begin(job.spec)
    with trial.lease.kept():
        last = Report(trial.fingerprint, 0, float("nan"), State.RUNNING)
        try:
            with contextlib.closing(epochs(job)) as reports:
                for last in reports:
                    if last.state == State.RUNNING:
                        report(last)
        except DamagedError:
            return None  # the driver builds the cache entry again and starts the trial anew
        except Exception as error:
            if not responds():
                raise DeviceLostError(
                    f"the GPU of trial {trial.fingerprint} broke its process ({_last_line(error)}). Start the sweep "
                    "again: it goes on from the trial's last epoch."
                ) from error
            text = "".join(traceback.format_exception(error))[-4000:]
            outcome = outcome_of(State.FAILED, trial.metrics(), error=text, commit=job.commit)
            trial.finish(outcome)
            last = Report(trial.fingerprint, outcome.epochs, float("nan"), State.FAILED, error=_last_line(error))
    return last


def probe_backbone(backbone: Backbone, image_size: int) -> str:
    """Build a backbone once, which fetches its weights; the problem when that fails, or ""."""
    try:
        backbones.build(backbone, classes=2, in_chans=3, image_size=image_size, seed=0)
    except InputError as error:
        return str(error)
    return ""


@dataclass
class _Limits:
    """What the trials of a cell that this process has trained ran into: the next one begins where they got to.

    Attributes:
        micro_batch: Images per pass that the memory has room for.
        deterministic: Every operation has a deterministic algorithm.
    """

    micro_batch: int
    deterministic: bool = True

    def learn(self, error: RuntimeError, micro_batch: int, alone: bool) -> bool:
        """Take an error into account; False if trying again is of no use.

        Args:
            error: What stopped the training.
            micro_batch: Images per pass of that training.
            alone: The trial has one worker: others would wait in an exchange for one that starts again.
        """
        if self.deterministic and lacks_determinism(error):  # which all workers of a group find in the same place
            self.deterministic = False
            return True
        smaller = micro_batch // 2
        if not alone or smaller < 2 or not is_out_of_memory(error):  # batch statistics of one image cannot be had
            return False
        self.micro_batch = smaller
        return True


_LIMITS: dict[tuple[str, float | None, TrialSpec], _Limits] = {}


def _limits(job: Job) -> _Limits:
    """Of all trials of a cell in a store that have the same share of a GPU."""
    cell = (job.storage, job.gpus, replace(job.spec, seed=0, fold=0))
    return _LIMITS.setdefault(cell, _Limits(job.spec.recipe.batch_size))


def train_in_group(job: Job, group: WorkerGroup, send: Callable[[Report], bool]) -> None:
    """What each worker of a trial does; the first one writes to the store.

    Args:
        job: The trial.
        group: This worker's view of all of them.
        send: Called on the first worker after each epoch; False stops all of them.
    """
    with contextlib.closing(trial_epochs(job, group)) as reports:
        for report in reports:
            if not group.agreed(send(report) if group.rank == 0 else True, device_of(job.gpus)):
                return


def trial_epochs(job: Job, group: WorkerGroup = ALONE) -> Generator[Report]:
    """Train to the end, keeping in the store what must be kept before each report."""
    spec = job.spec
    trial = Trial((DiscardingStorage if group.rank else Storage)(job.storage), spec.fingerprint)
    limits = _limits(job)
    torch.set_num_threads(spec.threads)
    prepare(device_of(job.gpus), job.gpus or 1, spec.recipe.precision, limits.deterministic)
    parts = _parts(job)
    trainer, rows, attempt = _resumed(job, trial, parts, group)
    if trainer.epoch in job.keep_epochs:
        # Killed after its checkpoint and before the driver's decision: the rung is still to be judged.
        yield Report(trial.fingerprint, trainer.epoch, rows[-1]["score"], State.RUNNING, repeated=True)
    while True:
        trainer.micro_batch = min(trainer.micro_batch, limits.micro_batch)
        try:
            yield from _trained(job, trial, trainer, parts, rows, attempt)
            return
        except RuntimeError as error:
            if not limits.learn(error, trainer.micro_batch, alone=group.size == 1):
                raise
        del trainer
        give_back_memory()
        prepare(device_of(job.gpus), job.gpus or 1, spec.recipe.precision, limits.deterministic)
        trainer, rows, _ = _resumed(job, trial, parts, group)


def _trained(
    job: Job, trial: Trial, trainer: Trainer, parts: dict[str, Part], rows: list[dict[str, Any]], attempt: int
) -> Generator[Report]:
    for result in trainer.run(parts["train"], parts["val"]):
        rows = [*rows, _row(job.spec, result, parts["val"], attempt, trainer.device)]
        if trainer.ended:
            yield _completed(job, trial, trainer, parts, rows, result)
            return
        if result.epoch in job.keep_epochs:
            trial.write_logits(f"val/{result.epoch}", parts["val"].ids, result.val_logits)
        if result.epoch in job.keep_epochs or not job.features:
            trial.write_metrics(pd.DataFrame(rows))
        if not job.features:  # a head alone is trained again sooner than its checkpoints are written
            trial.write_checkpoint(_saved(trainer))
        yield Report(trial.fingerprint, result.epoch, rows[-1]["score"], State.RUNNING, numbers=_numbers(rows[-1]))


def _completed(
    job: Job, trial: Trial, trainer: Trainer, parts: dict[str, Part], rows: list[dict[str, Any]], last: EpochResult
) -> Report:
    """Keep the final predictions, and the score of the validation images among them."""
    val, spec = parts["val"], job.spec
    if trainer.best:
        kept = _best_of_other_half(trial, trainer, val, _half_a(job, val))
    else:
        augmented = spec.recipe.tta != "none" or spec.recipe.tta_sizes
        kept = trainer.predict(val, tta=True).numpy().astype(np.float16) if augmented else last.val_logits
        trial.write_logits(f"val/{last.epoch}", val.ids, kept)
    # With test-time augmentation, as its predictions are.
    rows = [*rows[:-1], {**rows[-1], "ms_per_image": trainer.ms_per_image}]
    trial.write_metrics(pd.DataFrame(rows))
    if "test" in parts:
        with trainer.with_weights(trainer.best.weights("all")) if trainer.best else contextlib.nullcontext():
            trial.write_logits("test", parts["test"].ids, trainer.predict(parts["test"], tta=True).numpy())
    score = _scores(spec, kept, val.targets)[spec.metric]
    trial.finish(replace(outcome_of(State.COMPLETE, pd.DataFrame(rows), commit=job.commit), score=score))
    return Report(trial.fingerprint, last.epoch, score, State.COMPLETE, numbers=_numbers(rows[-1]))


def _best_of_other_half(trial: Trial, trainer: Trainer, val: Part, half_a: NDArray[np.bool_]) -> NDArray[np.float16]:
    """Keep each half's predictions by the epoch that was best on the other half; both together, in the part's order."""
    assert trainer.best is not None
    kept = np.empty(val.targets.shape, np.float16)
    for chosen_on, scored in (("a", ~half_a), ("b", half_a)):
        with trainer.with_weights(trainer.best.weights(chosen_on)):
            # All of them, in the batches of the epoch, so that the bits are the epoch's.
            kept[scored] = trainer.predict(val, tta=True).numpy()[scored]
        trial.write_logits(f"val/best_{chosen_on}", val.ids[scored], kept[scored])
    return kept


def _half_a(job: Job, val: Part) -> NDArray[np.bool_]:
    """Which validation images choose the epoch that the others are scored at; stratified, whole groups."""
    rows = tasks_.read_task(Storage(job.storage), job.spec.data).rows
    groups = rows["group"].to_numpy(np.int64)[pd.Index(rows["id"]).get_indexer(pd.Index(val.ids))]
    return stratified_half(val.targets, groups, 0.5, _HALVES_SEED)


def _new_trainer(job: Job, parts: dict[str, Part], group: WorkerGroup) -> Trainer:
    spec = job.spec
    train, device = parts["train"], device_of(job.gpus)
    half_a = _half_a(job, parts["val"]) if spec.recipe.early_stop else None
    objective = _objective(spec, train, device)
    return Trainer(
        model=_model(job, train),
        objective=objective,
        recipe=spec.recipe,
        seed=spec.random_seed,
        device=device,
        group=group,
        half_a=half_a,
    )


def _model(job: Job, train: Part) -> Model:
    """The network; where there are features only its head, which is the same as with the network below it."""
    spec, classes = job.spec, train.targets.shape[1]
    if job.features:
        features = train.images.take([]).shape[1]
        return Model(backbones.new_head(features, classes, spec.backbone.drop_rate, spec.random_seed), (), ())
    backbone = replace(spec.backbone, weights=job.weights_file)
    size = spec.recipe.side_px
    if spec.recipe.freeze == "backbone":
        return backbones.build_frozen(backbone, classes, spec.in_chans, size, spec.seed, spec.random_seed)
    return backbones.build(backbone, classes, spec.in_chans, size, spec.random_seed, check=False)


def _objective(spec: TrialSpec, train: Part, device: torch.device) -> Objective:
    weights = label_weights(spec.loss, spec.recipe.class_weights, torch.from_numpy(train.targets))
    loss = criterion(spec.loss, None if weights is None else weights.to(device))
    return Objective(
        loss=loss,
        training_loss=smoothed(loss, spec.recipe.label_smoothing, spec.kind),
        linear=spec.loss.linear,
        score=lambda logits, targets: _scores(spec, logits, targets)[spec.metric],
    )


def _parts(job: Job) -> dict[str, Part]:
    """`train`, `val` and, where there are test images, `test`, each from its cache entry; bad images left out."""
    storage, spec = Storage(job.storage), job.spec
    record = tasks_.read_task(storage, spec.data)
    folds = tasks_.read_folds(storage, spec.data, spec.split.canonical())
    local = Path(job.local_cache) if job.local_cache else None
    opened = {key: open_entry(Storage(job.cache), key, local) for key in set(job.entries.values())}
    ids = record.rows["id"].to_numpy(str)

    def part(rows: np.ndarray, *names: str) -> Part:
        """The rows as they are in each of these entries, one after the other."""
        entries = [opened[job.entries[name]] for name in names]
        starts = np.cumsum([0, *map(len, entries)])
        at = [start + entry.rows_of(ids[rows]) for start, entry in zip(starts, entries, strict=False)]
        again = np.tile(rows, len(entries))
        images = entries[0] if len(entries) == 1 else JoinedImages(*entries)
        return Part(images, np.concatenate(at), ids[again], record.targets[again])

    train = record.part("train")
    validates = folds[train] == spec.fold
    trained_on = [name for name in ("train", "train_hires") if name in job.entries]
    parts = {"train": part(train[~validates], *trained_on), "val": part(train[validates], "val")}
    if "test" in job.entries and len(record.part("test")):
        parts["test"] = part(record.part("test"), "test")
    return parts


def _resumed(
    job: Job, trial: Trial, parts: dict[str, Part], group: WorkerGroup
) -> tuple[Trainer, list[dict[str, Any]], int]:
    """The trainer as its checkpoint left it, the rows of the epochs behind it, and the number of this attempt.

    A checkpoint that cannot be loaded (cut short by a power failure, written by another version) costs its epochs.
    """
    trainer = _new_trainer(job, parts, group)
    rows = trial.metrics()
    attempt = 1 if rows.empty else int(rows["attempt"].max()) + 1
    saved = trial.checkpoint()
    if saved is None or rows.empty:
        return trainer, [], attempt
    try:
        trainer.load(torch.load(io.BytesIO(saved), map_location="cpu", weights_only=True))
    except Exception:
        return _new_trainer(job, parts, group), [], attempt
    return trainer, rows[rows["epoch"] <= trainer.epoch].to_dict("records"), attempt  # type: ignore[return-value]


def _saved(trainer: Trainer) -> bytes:
    buffer = io.BytesIO()
    torch.save(trainer.state(), buffer)
    return buffer.getvalue()


def _row(spec: TrialSpec, result: EpochResult, val: Part, attempt: int, device: torch.device) -> dict[str, Any]:
    """The epoch's row of metrics.parquet; without test-time augmentation, but for the cost once it ends."""
    scores = _scores(spec, result.val_logits, val.targets)
    return {
        "epoch": result.epoch,
        "train_loss": result.train_loss,
        "val_loss": result.val_loss,
        "score": scores[spec.metric],
        **scores,
        "lr": result.lr,
        "seconds": result.seconds,
        "images_per_s": result.images_per_s,
        "peak_memory_bytes": result.peak_memory_bytes,
        "ms_per_image": result.ms_per_image,
        "parameters": result.parameters,
        "micro_batch": result.micro_batch,
        "attempt": attempt,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "host": socket.gethostname(),
    }


def _numbers(row: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in row.items() if isinstance(value, int | float)}


def _scores(spec: TrialSpec, logits: NDArray[np.float16], targets: NDArray[np.uint8]) -> dict[str, float]:
    """Every metric, computed from float16 logits: those that are kept."""
    if not len(targets):
        return dict.fromkeys(metrics.METRICS, float("nan"))
    p = metrics.probabilities(logits, spec.link)
    return {m: metrics.score(m, spec.kind, targets, p) for m in metrics.METRICS}


def _last_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
