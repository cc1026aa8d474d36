"""TrialSpec: everything that decides a trial's result, and its fingerprint."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from swath.config import chains
from swath.config.chains import Preprocess
from swath.config.losses import Loss
from swath.config.recipe import Backbone, Recipe
from swath.config.splits import Split
from swath.core.description import changed, digest, to_json

SCHEMA = 1
"""Of the spec. Raise it, or the version of a stage below, when the same spec would give other results."""
STAGES = {"preprocess": 1, "dataset": 1, "backbones": 1, "criteria": 1, "train": 1}
HALF_STAGES = {**STAGES, "train": 2}
"""Of trials in `bf16` and `fp16`, whose heads have been in fp32 since version 2."""


@dataclass(frozen=True)
class TrialSpec:
    """One training run. Two equal specs are the same trial, whoever asks, wherever the files lie.

    Attributes:
        task: The task's label.
        kind: Kind of the task.
        metric: Metric of the task.
        data: Data fingerprint: labels, ids, targets, groups and the content of every image.
        split: How training images are divided.
        fold: Which fold validates.
        preprocess: The chain with its resize.
        backbone: The model; its weight file is left to `weights`.
        weights: What the model starts from: a resolved timm name, `hf:NAME`, `file:<hash>`, or `scratch`.
        loss: The loss.
        recipe: The training settings.
        threads: CPU threads of the trial; results differ in the last bits between thread counts.
        seed: Training seed.
        op_weights: SHA-256 of the model file of each op of the chain; () when none has any.
        hires: Hash over the high-resolution images, where the chain reads them, else "".
        streams: `own`: its random numbers are its own; `common`: they follow from the seed alone.
    """

    task: str
    kind: str
    metric: str
    data: str
    split: Split
    fold: int
    preprocess: Preprocess
    backbone: Backbone
    weights: str
    loss: Loss
    recipe: Recipe
    threads: int
    seed: int
    op_weights: tuple[str, ...] = ()
    hires: str = ""
    streams: Literal["own", "common"] = "common"

    @property
    def random_seed(self) -> int:
        """What its random numbers follow from: the seed and all else that it is, or the seed alone."""
        # 15 hex digits are 60 bits: what every generator takes.
        return int(self.fingerprint[:15], 16) if self.streams == "own" else self.seed

    @property
    def link(self) -> str:
        """How this trial's logits become probabilities."""
        return self.loss.link(self.kind)

    @property
    def in_chans(self) -> int:
        """Channels of the input."""
        return chains.channels(self.preprocess)

    @cached_property
    def fingerprint(self) -> str:
        """20 hex digits over the spec, the schema and the code versions of the stages.

        Fields at their defaults are left out, so a new field with a neutral default orphans no trial that is stored.
        Changing a default therefore means raising the description's `version`.
        """
        return digest(self._form(changed))

    def json(self) -> dict[str, Any]:
        """The canonical form that is stored: every field, but for the place of the weight file."""
        form = self._form(to_json)
        del form["backbone"]["weights"]
        return form

    def _form(self, described: Callable[[Any], Any]) -> dict[str, Any]:
        later = {
            "op_weights": list(self.op_weights),
            "hires": self.hires,
            "streams": "" if self.streams == "common" else self.streams,
        }
        return {
            "schema": SCHEMA,
            "stages": HALF_STAGES if self.recipe.precision in ("bf16", "fp16") else STAGES,
            "task": self.task,
            "kind": self.kind,
            "metric": self.metric,
            "data": self.data,
            "split": described(self.split),
            "fold": self.fold,
            "preprocess": described(self.preprocess),
            "backbone": described(replace(self.backbone, weights="")),
            "weights": self.weights,
            "loss": described(self.loss),
            "recipe": described(self.recipe),
            "threads": self.threads,
            "seed": self.seed,
            "link": self.link,
            **{name: value for name, value in later.items() if value},
        }
