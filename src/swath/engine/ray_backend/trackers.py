"""Experiment trackers that people have: TensorBoard, MLflow, Weights & Biases, through Tune's own callbacks.

Nothing is sent anywhere unless `--track` asks. No ray is imported before the engine has set it up.
"""

import importlib.util
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ray.tune import Callback
    from ray.tune.experiment import Trial

Tracker = Literal["tensorboard", "mlflow", "wandb"]
PACKAGES: dict[Tracker, str] = {"tensorboard": "tensorboardX", "mlflow": "mlflow", "wandb": "wandb"}
"""The package that each tracker's callback imports, and that pip installs."""


@dataclass(frozen=True)
class Tracking:
    """The experiment trackers that get the trials of a sweep.

    Attributes:
        sweep: Name of the sweep: the experiment of MLflow, the group of Weights & Biases.
        trackers: Which, each at most once.
        folder: Where TensorBoard's event files go, a folder per trial; the others know their own place.
    """

    sweep: str = ""
    trackers: tuple[Tracker, ...] = ()
    folder: Path | None = None

    def problems(self) -> list[str]:
        """Sentences about packages that are not installed and a folder that is missing."""
        problems = [
            f"--track {name} needs the package {package}, which is not installed: pip install {package}"
            for name, package in PACKAGES.items()
            if name in self.trackers and importlib.util.find_spec(package) is None
        ]
        if "tensorboard" in self.trackers and self.folder is None:
            problems.append("--track tensorboard writes its files beside the report: name a folder for it with --out.")
        return problems

    def callbacks(self) -> "list[Callback]":
        """New callbacks for one run of Tune."""
        made = {"tensorboard": _tensorboard, "mlflow": _mlflow, "wandb": _wandb}
        return [made[name](self) for name in self.trackers]


NOBODY = Tracking()


def folder_name(trial: dict[str, Any]) -> str:
    """`sharpen-resnet50-bce-seed0-1a2b3c`: distinct to people and, by the fingerprint, always.

    Args:
        trial: `fingerprint`, `cell`, `seed` and `fold`, as in a trial's configuration.
    """
    words = f"{trial['cell']} seed{trial['seed']}" + (f" fold{trial['fold']}" if trial["fold"] else "")
    return f"{re.sub(r'[^A-Za-z0-9_.=+]+', '-', words).strip('-')[:100]}-{trial['fingerprint'][:6]}"


def _tensorboard(tracking: Tracking) -> "Callback":
    from ray.tune.logger import TBXLoggerCallback

    folder = tracking.folder
    assert folder is not None

    class TensorBoard(TBXLoggerCallback):
        """In the folder that was asked for: a trial's own is scratch, gone when the sweep ends."""

        def log_trial_start(self, trial: "Trial") -> None:
            if trial in self._trial_writer:
                self._trial_writer[trial].close()
            name = folder_name(trial.config["trial"])
            self._trial_writer[trial] = self._summary_writer_cls(str(folder / name), flush_secs=30)
            self._trial_result[trial] = {}

        def __getstate__(self) -> dict[str, Any]:
            return {}  # open files are no part of Tune's snapshots

    return TensorBoard()


def _mlflow(tracking: Tracking) -> "Callback":
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    return MLflowLoggerCallback(
        tracking_uri=os.environ.get("MLFLOW_TRACKING_URI"), experiment_name=tracking.sweep, save_artifact=False
    )


def _wandb(tracking: Tracking) -> "Callback":
    from ray.air.integrations.wandb import WandbLoggerCallback

    return WandbLoggerCallback(
        project=os.environ.get("WANDB_PROJECT", "swath"),
        group=tracking.sweep,
        # a trial's own folder is scratch, and with WANDB_MODE=offline the runs would go with it
        dir=os.environ.get("WANDB_DIR", str(Path.cwd())),
    )
