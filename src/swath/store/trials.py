"""Trials in the store: spec, epochs, predictions, checkpoint, and how they ended.

`trial.json` is written last and only for final states, so a trial is what its `trial.json` says, or unfinished.
All objects are written whole (`Storage.write`), so the same code works on a folder, NFS and object stores.
"""

import importlib.metadata
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from swath.config.trial_spec import TrialSpec
from swath.store.json_files import SCHEMA, read_record, to_bytes, write_record
from swath.store.layout import trial_key
from swath.store.lease import Lease
from swath.store.parquet import read_frame
from swath.store.states import State
from swath.store.storage import Storage

VERSIONED = ("torch", "timm", "numpy", "opencv-python-headless", "ray")


@dataclass(frozen=True)
class Outcome:
    """The content of trial.json.

    Attributes:
        state: COMPLETE, STOPPED or FAILED.
        epochs: Epochs trained.
        score: The task's metric at the last epoch; None when no epoch finished.
        error: The traceback's end for FAILED, else "".
        rule: The stopping rule under which it was STOPPED, else "".
        device_s: Seconds of training and validation of the epochs that count; epochs lost to a kill are not in it.
        device: `cpu` or the GPU's name.
        host: Where the last epoch was trained.
        versions: Versions of the packages.
        commit: The git commit of swath's code, or "".
        schema: Of the record; see `swath.store.json_files`.
    """

    state: State
    epochs: int
    score: float | None
    error: str = ""
    rule: str = ""
    device_s: float = 0.0
    device: str = ""
    host: str = ""
    versions: dict[str, str] | None = None
    commit: str = ""
    schema: int = SCHEMA


def outcome_of(state: State, rows: pd.DataFrame, error: str = "", rule: str = "", commit: str = "") -> Outcome:
    """The final state of a trial with this table of epochs."""
    last = {} if rows.empty else rows.iloc[-1].to_dict()
    return Outcome(
        state=state,
        epochs=int(last.get("epoch", 0)),
        score=float(last["score"]) if last else None,
        error=error,
        rule=rule,
        device_s=float(rows["seconds"].sum()) if last else 0.0,
        device=last.get("device", ""),
        host=last.get("host", ""),
        versions={name: _version(name) for name in VERSIONED},
        commit=commit,
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


class Trial:
    """One trial's objects in the store.

    Args:
        storage: The store.
        fingerprint: Of the trial's spec.
    """

    def __init__(self, storage: Storage, fingerprint: str) -> None:
        self.storage = storage
        self.fingerprint = fingerprint
        self.lease = Lease(storage, self._key("lease.json"))

    def _key(self, name: str = "") -> str:
        return trial_key(self.fingerprint, name)

    def outcome(self) -> Outcome | None:
        """The final state, or None while there is none."""
        return read_record(self.storage, self._key("trial.json"), Outcome)

    def spec(self) -> dict[str, Any]:
        """The canonical spec."""
        spec = read_record(self.storage, self._key("spec.json"), dict[str, Any])
        if spec is None:
            raise FileNotFoundError(self._key("spec.json"))
        return spec

    def has_begun(self) -> bool:
        """True if its spec was written."""
        return self.storage.exists(self._key("spec.json"))

    def has_lease(self) -> bool:
        """True if a process has taken its lease, and not given it up."""
        return self.storage.exists(self._key("lease.json"))

    def begin(self, spec: TrialSpec) -> None:
        """Write the lease (`leased_elsewhere` comes first) and the spec; an earlier final state no longer counts."""
        self.heartbeat()
        self.write_spec(spec.json())
        self.storage.delete(self._key("trial.json"))

    def write_spec(self, spec: dict[str, Any]) -> None:
        """Replace the canonical spec."""
        self.storage.write(self._key("spec.json"), to_bytes(spec))

    def heartbeat(self) -> None:
        """Say that this process is at work on the trial."""
        self.lease.heartbeat()

    def leased_elsewhere(self) -> str:
        """The other process that is at work on the trial, as `host:pid`; "" when there is none."""
        return self.lease.elsewhere()

    def release(self) -> None:
        """Give up the lease, if it is this process's."""
        self.lease.release()

    def metrics(self) -> pd.DataFrame:
        """One row per epoch, in order; empty before the first."""
        data = self.storage.read_or_none(self._key("metrics.parquet"))
        return pd.DataFrame() if data is None else read_frame(data)

    def write_metrics(self, rows: pd.DataFrame) -> None:
        """Replace the table of epochs."""
        self.storage.write(self._key("metrics.parquet"), rows.to_parquet(index=False))

    def write_logits(self, part: str, ids: NDArray[np.str_], logits: NDArray[np.float16]) -> None:
        """Keep predictions.

        Args:
            part: `val/<epoch>`, `val/best_a`, `val/best_b` or `test`.
            ids: [N] image ids.
            logits: [N, C].
        """
        buffer = io.BytesIO()
        np.savez_compressed(buffer, ids=ids.astype(str), logits=logits.astype(np.float16))
        self.storage.write(self._key(f"{part}.npz"), buffer.getvalue())

    def logits(self, part: str) -> tuple[NDArray[np.str_], NDArray[np.float16]]:
        """Ids [N] and logits [N, C] of `val/<epoch>` or `test`; FileNotFoundError when they were not written."""
        with np.load(io.BytesIO(self.storage.read(self._key(f"{part}.npz")))) as file:
            return file["ids"], file["logits"]

    def final_logits(self, outcome: Outcome, spec: dict[str, Any]) -> tuple[NDArray[np.str_], NDArray[np.float16]]:
        """Ids [N] and logits [N, C] of the validation images as they count; see `final_parts`."""
        ids, logits = zip(*map(self.logits, final_parts(outcome, spec)), strict=True)
        return np.concatenate(ids), np.concatenate(logits)

    def checkpoint(self) -> bytes | None:
        """The last epoch's training state, or None."""
        return self.storage.read_or_none(self._key("checkpoint/last.pt"))

    def write_checkpoint(self, data: bytes) -> None:
        """Replace the training state."""
        self.storage.write(self._key("checkpoint/last.pt"), data)

    def finish(self, outcome: Outcome) -> None:
        """Write the final state, then drop what only an unfinished trial needs.

        A FAILED trial keeps its checkpoint, so that a retry goes on from its last epoch.
        """
        write_record(self.storage, self._key("trial.json"), outcome)
        if outcome.state != State.FAILED:
            self.storage.delete(self._key("checkpoint"))
        self.release()


def final_parts(outcome: Outcome, spec: dict[str, Any]) -> tuple[str, ...]:
    """Which validation predictions of a trial count: those of its last epoch.

    With early stopping there are two: `val/best_a` has half B at the epoch that was best on half A, `val/best_b` the
    reverse; together they cover every image.

    Args:
        outcome: COMPLETE or STOPPED.
        spec: The canonical spec.
    """
    if outcome.state == State.COMPLETE and spec.get("recipe", {}).get("early_stop"):
        return ("val/best_a", "val/best_b")
    return (f"val/{outcome.epochs}",)
