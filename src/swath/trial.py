"""One spec -> dataset -> training -> store. What must be kept is written before each report."""

import contextlib
import importlib.metadata
import io
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from swath import backbones, metrics, predictions
from swath.criteria import criterion
from swath.dataset import Part
from swath.errors import InputError
from swath.paths import Storage
from swath.predictions import LEASE_TIMEOUT_S, Outcome, Trial
from swath.preprocess.cache import CachedImages, open_entry
from swath.recipe import Backbone
from swath.spec import TrialSpec
from swath.train import EpochResult, Trainer
from swath.trial_job import Job, Report

VERSIONED = ("torch", "timm", "numpy", "opencv-python-headless", "ray")


def run_trial(job: Job, report: Callable[[Report], None]) -> None:
    """Train a trial from its last checkpoint, or from the start, to its end.

    Never raises for a failing trial: the error goes to the store and the report. `report` may raise a
    BaseException that is no Exception to stop the trial; the caller then writes its final state.
    """
    trial = Trial(Storage(job.storage), job.spec.fingerprint)
    trial.begin(job.spec)
    with _heartbeat(trial):
        last = Report(trial.fingerprint, 0, float("nan"), "RUNNING")
        try:
            for last in _epochs(job, trial):
                if last.state == "RUNNING":
                    report(last)
        except Exception as error:
            done = trial.metrics()
            last = Report(trial.fingerprint, len(done), float("nan"), "FAILED", error=_last_line(error))
            trial.finish(_outcome("FAILED", done, _device(), error="".join(traceback.format_exception(error))[-4000:]))
    report(last)


def probe_backbone(backbone: Backbone) -> str:
    """Build a backbone once, which fetches its weights; the problem when that fails, or ""."""
    try:
        backbones.build(backbone, classes=2, in_chans=3, image_size=224, seed=0)
    except InputError as error:
        return str(error)
    return ""


@contextlib.contextmanager
def _heartbeat(trial: Trial) -> Iterator[None]:
    """Renew the lease from a thread while the block runs, and give it up after."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(LEASE_TIMEOUT_S / 4):
            with contextlib.suppress(OSError):  # a storage that is away for a moment must not end the training
                trial.heartbeat()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        trial.release()


def _epochs(job: Job, trial: Trial) -> Iterator[Report]:
    spec, device = job.spec, _device()
    torch.set_num_threads(spec.threads)
    parts = _parts(job)
    backbone = replace(spec.backbone, weights=job.weights_file)
    classes = parts["train"].targets.shape[1]
    model = backbones.build(backbone, classes, spec.in_chans, spec.recipe.image_size, spec.seed)
    trainer = Trainer(model, criterion(spec.loss), spec.recipe, spec.seed, device)
    rows, attempt = _resume(trial, trainer)
    for result in trainer.run(parts["train"], parts["val"]):
        rows.append(_row(spec, result, parts["val"], attempt))
        final = result.epoch == spec.recipe.epochs
        if final or result.epoch in job.keep_epochs:
            trial.write_logits(f"val/{result.epoch}", parts["val"].ids, result.val_logits)
        trial.write_metrics(pd.DataFrame(rows))
        if final:
            if "test" in parts:
                trial.write_logits("test", parts["test"].ids, trainer.predict(parts["test"]).numpy())
            trial.finish(_outcome("COMPLETE", pd.DataFrame(rows), device))
        else:
            trial.write_checkpoint(_saved(trainer))
        state = "COMPLETE" if final else "RUNNING"
        yield Report(trial.fingerprint, result.epoch, rows[-1]["score"], state, result.seconds)


def _parts(job: Job) -> dict[str, Part]:
    """`train` and `val` from the training entry, `test` where there is one; bad images left out."""
    storage, spec = Storage(job.storage), job.spec
    record = predictions.read_task(storage, spec.data)
    folds = predictions.read_folds(storage, spec.data, spec.split.canonical())
    opened: dict[str, CachedImages] = {}
    local = Path(job.local_cache) if job.local_cache else None
    for name, key in job.entries.items():
        opened[name] = open_entry(Storage(job.cache), key, local)
    in_part = {name: _row_in_part(record.rows["split"].to_numpy(), name) for name in opened}
    ids = record.rows["id"].to_numpy(str)

    def part(entry: str, rows: np.ndarray) -> Part:
        return Part(opened[entry], in_part[entry][rows], ids[rows], record.targets[rows])

    train = record.part("train")
    validates = folds[train] == spec.fold
    parts = {"train": part("train", train[~validates]), "val": part("train", train[validates])}
    if "test" in opened:
        parts["test"] = part("test", record.part("test"))
    return parts


def _row_in_part(split: np.ndarray, part: str) -> np.ndarray:
    """For each table row its row in the part's cache entry."""
    return np.cumsum(split == part) - 1


def _resume(trial: Trial, trainer: Trainer) -> tuple[list[dict[str, Any]], int]:
    """Load the checkpoint if there is one; the rows of the epochs it covers and the number of this attempt."""
    rows = trial.metrics()
    attempt = 1 if rows.empty else int(rows["attempt"].max()) + 1
    saved = trial.checkpoint()
    if saved is None:
        return [], attempt
    trainer.load(torch.load(io.BytesIO(saved), map_location=trainer.device, weights_only=True))
    return rows[rows["epoch"] <= trainer.epoch].to_dict("records"), attempt  # type: ignore[return-value]


def _saved(trainer: Trainer) -> bytes:
    buffer = io.BytesIO()
    torch.save(trainer.state(), buffer)
    return buffer.getvalue()


def _row(spec: TrialSpec, result: EpochResult, val: Part, attempt: int) -> dict[str, Any]:
    """The epoch's row of metrics.parquet. Scores are computed from the float16 logits that are kept."""
    p = metrics.probabilities(result.val_logits, spec.link)
    scores = {m: metrics.score(m, spec.kind, val.targets, p) for m in metrics.METRICS}
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
        "attempt": attempt,
    }


def _outcome(state: predictions.State, rows: pd.DataFrame, device: torch.device, error: str = "") -> Outcome:
    empty = rows.empty
    return Outcome(
        state=state,
        epochs=0 if empty else int(rows["epoch"].max()),
        score=None if empty else float(rows["score"].iloc[-1]),
        error=error,
        device_s=0.0 if empty else float(rows["seconds"].sum()),
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        host=socket.gethostname(),
        versions={name: _version(name) for name in VERSIONED},
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _last_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
