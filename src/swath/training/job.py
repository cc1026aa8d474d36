"""What the driver hands to a trial, and what the trial reports. Plain data: importing it loads no torch."""

from dataclasses import dataclass, field

from swath.config.trial_spec import TrialSpec
from swath.store.states import State
from swath.store.trials import Outcome


@dataclass(frozen=True)
class Job:
    """A spec and where its files lie on this cluster; nothing here can change a result, but for its last bits.

    Attributes:
        spec: What to train.
        storage: Root of the store.
        cache: Root of the preprocess cache.
        local_cache: Node-local folder for copies of cache entries; "" maps them where they are.
        entries: Key of the cache entry of each part: `train` (training rows through the train chain), with `Both` also
            `train_hires`, `val` (training rows through the test chain) and, where there are test images, `test`.
        weights_file: File or folder the backbone starts from, or "".
        features: The entries hold features of a frozen backbone, not images.
        keep_epochs: Rung epochs, whose validation predictions are kept.
        seen: The final state that the driver found and means to replace, or None.
        gpus: GPUs of each worker, or a share of one. 0 trains on the CPU, whatever is visible; None takes a GPU where
            there is one.
        commit: The git commit of swath's code, or "".
        described: What experiment trackers get of it: `cell`, the level of each factor, `seed` and `fold`.
    """

    spec: TrialSpec
    storage: str
    cache: str
    local_cache: str
    entries: dict[str, str]
    weights_file: str
    features: bool
    keep_epochs: tuple[int, ...]
    seen: Outcome | None = None
    gpus: float | None = None
    commit: str = ""
    described: dict[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """What a trial reports after each epoch.

    Attributes:
        fingerprint: Of the trial.
        epoch: From 1; 0 from a trial that failed before its first.
        score: The task's metric; NaN when there is none.
        state: RUNNING; the final state that this epoch ended in, COMPLETE or FAILED; or ELSEWHERE.
        error: Last line of the error for FAILED.
        repeated: The epoch was trained before a restart; its rung may not have been judged then.
        numbers: The numbers of the epoch, by the names they have in metrics.parquet; empty where there are none.
    """

    fingerprint: str
    epoch: int
    score: float
    state: State
    error: str = ""
    repeated: bool = False
    numbers: dict[str, float] = field(default_factory=dict)
