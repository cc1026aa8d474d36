"""Models of transformers: the body from its own configuration and weights, pooled, with a new linear head."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from swath.config.recipe import Backbone
from swath.models import hf_names
from swath.models.pooling import pool_tokens, square_prefix

if TYPE_CHECKING:  # imported where a model is built
    from transformers import PreTrainedConfig
    from transformers.modeling_outputs import BaseModelOutput
    from transformers.models.auto.auto_factory import _BaseAutoModelClass


class HfNet(nn.Module):
    """Logits of a transformers model.

    Args:
        net: The model, called with `pixel_values`.
        pool: As `Backbone.pool`; "" where the model gives the head's input itself.
        head: From features to logits.
    """

    def __init__(self, net: nn.Module, pool: str, head: nn.Module) -> None:
        super().__init__()
        self.net, self.pool, self.head = net, pool, head

    def forward(self, images: Tensor) -> Tensor:
        out = self.net(pixel_values=images)
        return self.head(self._pooled(out) if self.pool else out.logits)

    def _pooled(self, out: "BaseModelOutput") -> Tensor:
        pooled = getattr(out, "pooler_output", None)
        if self.pool == "default" and pooled is not None:
            return pooled.flatten(1)
        tokens = out.last_hidden_state
        assert tokens is not None
        if tokens.ndim == 4:  # a convolutional network's maps
            tokens = tokens.flatten(2).transpose(1, 2)
        return pool_tokens(tokens, "mean" if self.pool == "default" else self.pool, square_prefix(tokens.shape[1]))


def body(backbone: Backbone, in_chans: int, image_size: int) -> tuple[nn.Module, int]:
    """The model without a new head, and the number of its features (or of its logits, for a stacked head).

    Raises:
        Exception: transformers', or a ValueError, when the model cannot be had.
    """
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    auto = transformers.AutoModelForImageClassification if backbone.head == "stacked" else transformers.AutoModel
    config = _config(backbone, image_size)
    if not backbone.pretrained:
        config.num_channels = in_chans
        net = auto.from_config(config)
    else:
        net = _loaded(auto, backbone, config)
        if in_chans != 3:
            _fit_stem(net, in_chans, backbone.stem)
    return net, config.num_labels or 0 if backbone.head == "stacked" else _width(config)


def normalisation(backbone: Backbone) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std of the pretrained model's input; ImageNet's for a model from scratch that names none.

    Raises:
        Exception: A pretrained model without a preprocessor_config.json.
    """
    from transformers.image_processing_utils import BaseImageProcessor

    source, revision = _source(backbone)
    try:
        processor_config: dict[str, Any] = BaseImageProcessor.get_image_processor_dict(source, revision=revision)[0]
    except OSError as error:
        if backbone.pretrained:
            raise ValueError(f"how its input is normalised is in its {hf_names.PROCESSOR}, which is missing") from error
        processor_config = {}
    if not processor_config.get("do_normalize", True):
        return (0.0,) * 3, (1.0,) * 3
    mean, std = (
        processor_config.get("image_mean", IMAGENET_DEFAULT_MEAN),
        processor_config.get("image_std", IMAGENET_DEFAULT_STD),
    )
    return tuple(map(float, mean)), tuple(map(float, std))


def _source(backbone: Backbone) -> tuple[str, str | None]:
    """Where the configuration is: a folder, or a name on the hub and its revision."""
    path = hf_names.place(backbone)
    if path and (hf_names.folder_of(path) / hf_names.CONFIG).is_file():
        return str(hf_names.folder_of(path)), None
    return hf_names.hub_id(backbone.model)


def _config(backbone: Backbone, image_size: int) -> "PreTrainedConfig":
    from transformers import AutoConfig

    source, revision = _source(backbone)
    config = AutoConfig.from_pretrained(source, revision=revision)
    if hasattr(config, "image_size"):
        config.image_size = image_size
    if backbone.drop_path_rate is not None:
        if not hasattr(config, "drop_path_rate"):
            raise ValueError(f"it has no stochastic depth; leave drop_path_rate={backbone.drop_path_rate:g} out")
        config.drop_path_rate = backbone.drop_path_rate
    return config


def _loaded(auto: "type[_BaseAutoModelClass]", backbone: Backbone, config: "PreTrainedConfig") -> nn.Module:
    path = hf_names.place(backbone)
    if path and Path(path).is_file():
        kind = type(auto.from_config(config))
        net, info = kind.from_pretrained(None, config=config, state_dict=_read(path), output_loading_info=True)
    else:
        source, revision = (path, None) if path else hf_names.hub_id(backbone.model)
        net, info = auto.from_pretrained(source, config=config, revision=revision, output_loading_info=True)
    missing = sorted(info["missing_keys"])
    if backbone.pool != "default":  # the model's own pooling is not used
        missing = [name for name in missing if not name.startswith("pooler.")]
    if missing and all(name.startswith("pooler.") for name in missing):
        raise ValueError("the weights lack the model's own pooling; give pool='mean' or pool='first_token'")
    if missing:
        raise ValueError(f"the weights lack {len(missing)} of the model's tensors, e.g. {missing[0]}")
    return net


def _read(path: str) -> dict[str, Tensor]:
    if path.endswith(".safetensors"):
        from safetensors.torch import load_file

        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def _width(config: "PreTrainedConfig") -> int:
    width = getattr(config, "hidden_size", None) or getattr(config, "hidden_sizes", [None])[-1]
    if not isinstance(width, int):
        raise ValueError(f"the configuration of a {config.model_type} model does not name its hidden_size")
    return width


def _fit_stem(net: nn.Module, in_chans: int, stem: str) -> None:
    """Replace the first convolution by one for `in_chans` channels: the sum over the colours, or a new draw."""
    name, old = next((n, m) for n, m in net.named_modules() if isinstance(m, nn.Conv2d) and m.in_channels == 3)
    new = nn.Conv2d(
        in_chans,
        old.out_channels,
        old.kernel_size,  # type: ignore[arg-type]
        old.stride,  # type: ignore[arg-type]
        old.padding,  # type: ignore[arg-type]
        bias=old.bias is not None,
    )
    if stem == "adapt":
        with torch.no_grad():
            new.weight.copy_(old.weight.sum(dim=1, keepdim=True).expand_as(new.weight))
            if old.bias is not None and new.bias is not None:
                new.bias.copy_(old.bias)
    net.set_submodule(name, new)
    for module in net.modules():  # transformers' embeddings compare their input with this
        if getattr(module, "num_channels", None) == 3:
            module.num_channels = in_chans  # type: ignore[assignment]
