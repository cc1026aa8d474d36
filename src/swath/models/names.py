"""A backbone before it is built: is its name known, what does it start from, which size was it made for. No torch."""

from dataclasses import dataclass, replace
from pathlib import Path

from swath.config.recipe import HF, Backbone
from swath.core.description import digest
from swath.models import hf_names, timm_names
from swath.store import file_hashes as contents
from swath.store.paths import absolute


@dataclass(frozen=True)
class ResolvedBackbone:
    """A backbone with the weights it starts from.

    Attributes:
        backbone: The description as it identifies a trial: a resolved name, no path.
        weights: A resolved timm name, `hf:NAME`, `file:<hash>`, `scratch`, or `scratch:<hash of the configuration>`.
        path: Absolute path of the file or folder it is built from, or "".
    """

    backbone: Backbone
    weights: str
    path: str = ""


def problems(backbone: Backbone) -> list[str]:
    """Sentences about names that nobody knows, and weights that do not exist."""
    if not isinstance(backbone.model, str):
        return []  # told by the backbone itself
    if hf_names.is_hf(backbone.model):
        return hf_names.problems(backbone)
    sentences = timm_names.problems(backbone.model)
    if backbone.pretrained and not backbone.weights:
        sentences += timm_names.pretrained_problems(backbone.model)
    return sentences


def file_problems(backbone: Backbone) -> list[str]:
    """Sentences about files and folders that are not there, or lack something."""
    if not isinstance(backbone.model, str) or not isinstance(backbone.weights, str):
        return []
    if hf_names.is_hf(backbone.model):
        return hf_names.file_problems(backbone)
    if not backbone.weights or Path(absolute(backbone.weights, "weights")).is_file():
        return []
    return [
        f"backbone {backbone.model!r}: the weights file {backbone.weights!r} does not exist. "
        "Give the path of a .safetensors or .pth file."
    ]


def resolve_backbone(backbone: Backbone) -> ResolvedBackbone:
    """The resolved name and the weights of a backbone without problems; hashes its files."""
    if hf_names.is_hf(backbone.model):
        return _resolve_hf_backbone(backbone)
    if not backbone.pretrained:
        return ResolvedBackbone(backbone, "scratch")
    if backbone.weights:
        path = absolute(backbone.weights, "weights")
        return ResolvedBackbone(replace(backbone, weights=""), f"file:{contents.file_digest(path)}", path)
    resolved = timm_names.resolved(backbone.model)
    return ResolvedBackbone(replace(backbone, model=resolved), resolved)


def _resolve_hf_backbone(backbone: Backbone) -> ResolvedBackbone:
    place = hf_names.place(backbone)
    if not place:
        return ResolvedBackbone(backbone, backbone.model if backbone.pretrained else "scratch")
    path = absolute(str(Path(place).expanduser()), "weights")
    files = [f for f in hf_names.files(path) if backbone.pretrained or f.suffix == ".json"]
    files_digest = digest([[f.name, contents.file_digest(f)] for f in files], 32)
    # A folder's place and name say nothing about the model: its architecture stands in for them.
    model = backbone.model if backbone.weights else HF + hf_names.model_type(path)
    kind = "file" if backbone.pretrained else "scratch"
    return ResolvedBackbone(replace(backbone, model=model, weights=""), f"{kind}:{files_digest}", path)


def takes_one_size(backbone: Backbone) -> bool:
    """True when a backbone without problems is known to refuse images of any size but the one it is built for."""
    if hf_names.is_hf(backbone.model):
        return hf_names.takes_one_size(backbone)
    return timm_names.takes_one_size(backbone.model)


def native_size(backbone: Backbone) -> int:
    """Side in pixels of the images a backbone was pretrained on.

    Raises:
        InputError: Nobody says, or the hub cannot be reached.
    """
    if hf_names.is_hf(backbone.model):
        return hf_names.native_size(backbone)
    return timm_names.native_size(backbone.model)
