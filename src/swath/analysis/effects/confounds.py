"""What matched trials differ in beside the factor whose effect is asked."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from swath.analysis.results import TrialResult

_NEVER = ("seed", "fold", "schema")
_TITLES = {"stages": "versions of swath's code", "threads": "CPU threads", "data": "images"}
_OF_CHAIN = ("op_weights", "hires")  # what the chain's models and high-resolution images are follows from the chain
Op = Mapping[str, Any]
"""An op of a stored chain: its name, version and fields."""
_ROOTS = ("preprocess", "backbone", "loss", "task")


def confounds(factor: str, pairs: Sequence[tuple[TrialResult, TrialResult]]) -> tuple[str, ...]:
    """Sentences about what else differs between the trials of the pairs; empty for a clean comparison."""
    notes: dict[str, None] = {}
    for one, other in pairs:
        a, b = one.spec, other.spec
        if not a or not b:
            continue
        parts = _beside(factor, _changed(_parts(a), _parts(b)))
        if parts:
            notes[f"its trials differ in {', '.join(parts)} as well"] = None
        if _images_per_epoch(a) != _images_per_epoch(b):
            notes["its levels see different numbers of images in an epoch, so equal epochs are unequal steps"] = None
        if factor.startswith("preprocess") and _channels(a) != _channels(b) and a["backbone"].get("pretrained"):
            notes["one level feeds the model one channel, so its pretrained first layer is not the same"] = None
    return tuple(notes)


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """The parts in which two specs differ, by readable name, each with both values as JSON (`null` where absent)."""
    one, other = _parts(a), _parts(b)
    return {
        _TITLES.get(name, name.removeprefix("recipe.")): (one.get(name, "null"), other.get(name, "null"))
        for name in _changed(one, other)
    }


def _parts(spec: Mapping[str, Any]) -> dict[str, str]:
    """What a trial is, in the parts that a factor may change, as text that can be compared."""
    recipe = spec.get("recipe", {})
    parts: dict[str, Any] = {
        "preprocess": [
            _without_size(spec.get("preprocess"), recipe.get("image_size")),
            *(spec[name] for name in _OF_CHAIN if spec.get(name)),
        ],
        "backbone": [spec.get("backbone"), spec.get("weights")],
        "loss": [spec.get("loss"), spec.get("link")],
        **{f"recipe.{name}": value for name, value in recipe.items()},
    }
    known = {"recipe", "preprocess", *_OF_CHAIN, "backbone", "weights", "loss", "link", *_NEVER}
    parts.update({name: value for name, value in spec.items() if name not in known})
    return {name: json.dumps(value, sort_keys=True) for name, value in parts.items()}


def _without_size(chain: Any, image_size: Any) -> list[list[dict[str, Any]]]:
    """Both halves of the chain; the size of its resize follows the recipe's image size and is no choice of its own."""
    halves = [[dict(op) for op in _ops(chain, half)] for half in ("train", "test")]
    for ops in halves:
        if ops and ops[-1].get("name") == "resize" and ops[-1].get("size_px") == image_size:
            ops[-1]["size_px"] = 0
    return halves


def _ops(chain: Any, half: str) -> Sequence[Op]:
    """The ops of the `train` or the `test` half of a stored chain, which is a list where both are one."""
    return chain.get(half, ()) if isinstance(chain, Mapping) else chain or ()


def _changed(a: Mapping[str, str], b: Mapping[str, str]) -> list[str]:
    return [name for name in dict.fromkeys([*a, *b]) if a.get(name) != b.get(name)]


def _beside(factor: str, changed: list[str]) -> list[str]:
    """The changed parts without the factor's own, by readable name; nothing where one part alone has changed."""
    if len(changed) < 2:
        return []
    root = factor.partition(" ")[0].partition(".")[0]
    factor_part = root if root in _ROOTS else f"recipe.{factor}"
    return [_TITLES.get(name, name.removeprefix("recipe.")) for name in changed if name != factor_part]


def _images_per_epoch(spec: Mapping[str, Any]) -> int:
    """Versions of each image in one epoch: two with `both` among the ops of the training images."""
    return 2 if any(op.get("name") == "both" for op in _ops(spec.get("preprocess"), "train")) else 1


def _channels(spec: Mapping[str, Any]) -> int:
    """Channels that the model is fed: those of the last grayscale, as in `chains.channels`."""
    grays = [op.get("channels", 3) for op in _ops(spec.get("preprocess"), "test") if op.get("name") == "grayscale"]
    return grays[-1] if grays else 3
