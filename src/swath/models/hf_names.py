"""What can be said about a transformers model without importing transformers: names, folders, sizes.

A model is `hf:OWNER/NAME` on the hub (`hf:OWNER/NAME@REVISION` pins it), or `hf:FOLDER` with a config.json.
"""

import json
import re
from pathlib import Path
from typing import Any

from swath.config.recipe import HF, Backbone
from swath.core.errors import InputError

CONFIG, PROCESSOR = "config.json", "preprocessor_config.json"
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_NATIVE_SIZES = {
    "microsoft/swinv2-base-patch4-window16-256": 256,
    "microsoft/beit-base-patch16-224-pt22k-ft22k": 224,
}
"""Of the models of the bird study, so that its sweeps can be checked without the hub."""


_ONE_SIZE = ("deit", "ijepa", "vit", "vit_mae", "vit_msn")
"""Architectures whose position embeddings transformers does not fit to another size unless told to."""


def is_hf(model: str) -> bool:
    """True for a model of transformers."""
    return model.startswith(HF)


def hub_id(model: str) -> tuple[str, str | None]:
    """`hf:OWNER/NAME@REVISION` to (`OWNER/NAME`, `REVISION`); no revision is None, the hub's newest."""
    name, _, revision = model.removeprefix(HF).partition("@")
    return name, revision or None


def place(backbone: Backbone) -> str:
    """Folder or weights file on this machine that the model comes from, or "" for the hub."""
    if backbone.weights:
        return backbone.weights
    folder = Path(backbone.model.removeprefix(HF)).expanduser()
    return str(folder) if folder.is_dir() else ""


def folder_of(path: str) -> Path:
    """The folder where a model's configuration is: the path itself, or that of a weights file."""
    given = Path(path).expanduser()
    return given if given.is_dir() else given.parent


def files(path: str) -> list[Path]:
    """The files that a model given by a folder or a weights file is made of, where they exist."""
    given, folder = Path(path).expanduser(), folder_of(path)
    weights = [given]
    if given == folder:
        matches = (sorted(folder.glob(pattern)) for pattern in _WEIGHTS)
        weights = next((f for f in matches if f), [])
    return [*(folder / name for name in (CONFIG, PROCESSOR) if (folder / name).is_file()), *weights]


def problems(backbone: Backbone) -> list[str]:
    """A sentence about a name that is neither a hub's nor a folder's."""
    if _is_name(backbone) or (place(backbone) and not backbone.weights):
        return []
    return [
        f"unknown backbone {backbone.model!r}: there is no such folder, and a model of the hub is called "
        "hf:OWNER/NAME, as in 'hf:microsoft/swinv2-base-patch4-window16-256'."
    ]


def _is_name(backbone: Backbone) -> bool:
    return _HUB_ID.fullmatch(backbone.model.removeprefix(HF)) is not None


def file_problems(backbone: Backbone) -> list[str]:
    """A sentence about a folder or a weights file that is not there, or lacks something."""
    path = place(backbone)
    if not path:
        return []
    if not Path(path).expanduser().exists():
        return [
            f"backbone {backbone.model!r}: weights={path!r} does not exist. Give a folder with {CONFIG} and "
            ".safetensors files, or a weights file beside its config.json."
        ]
    folder = folder_of(path)
    if not (folder / CONFIG).is_file() and not (_is_name(backbone) and folder != Path(path).expanduser()):
        return [f"backbone {backbone.model!r}: {folder} has no {CONFIG}. Give a folder as `save_pretrained` writes it."]
    if backbone.pretrained and not any(f.suffix != ".json" for f in files(path)):
        return [
            f"backbone {backbone.model!r}: {folder} holds no weights (*.safetensors, pytorch_model.bin). Put them "
            "there, or train from scratch with pretrained=False."
        ]
    return []


def model_type(path: str) -> str:
    """The architecture that a folder's configuration names, e.g. `swinv2`."""
    return str(_json(folder_of(path) / CONFIG).get("model_type", "unknown"))


def takes_one_size(backbone: Backbone) -> bool:
    """True when the model's configuration is at hand and names an architecture that refuses all sizes but its own."""
    path = place(backbone)
    return bool(path) and (folder_of(path) / CONFIG).is_file() and model_type(path) in _ONE_SIZE


def native_size(backbone: Backbone) -> int:
    """Side of the images a model was pretrained on, in pixels.

    Raises:
        InputError: The configuration does not say, or cannot be had.
    """
    path, (name, revision) = place(backbone), hub_id(backbone.model)
    if path and (folder_of(path) / CONFIG).is_file():
        size = _json(folder_of(path) / CONFIG).get("image_size")
    elif name in _NATIVE_SIZES:
        size = _NATIVE_SIZES[name]
    else:
        size = _hub_config(name, revision).get("image_size")
    size = size[-1] if isinstance(size, list) and size else size
    if not isinstance(size, int):
        raise InputError(
            f"backbone {backbone.model!r}: its configuration names no image_size, so image_size='native' has no "
            "meaning. Give a number of pixels."
        )
    return size


def _hub_config(name: str, revision: str | None) -> dict[str, Any]:
    from huggingface_hub import hf_hub_download

    try:
        return _json(Path(hf_hub_download(name, CONFIG, revision=revision)))
    except Exception as error:
        raise InputError(
            f"image_size='native' of backbone 'hf:{name}' is in its configuration, which cannot be had "
            f"({type(error).__name__}). Give a number of pixels, connect to the hub, or give weights=FOLDER."
        ) from error


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))
