"""How a network's last features become one vector per image, where the model's own way is not wanted."""

import math
from typing import Any, cast

from timm.layers.adaptive_avgmax_pool import SelectAdaptivePool2d
from torch import Tensor, nn


def pool_tokens(tokens: Tensor, pool: str, prefix: int) -> Tensor:
    """[B, N, F] to [B, F].

    Args:
        tokens: A vector per position, class and register tokens first.
        pool: `mean`, `max`, or `first_token`.
        prefix: How many class and register tokens there are; `mean` and `max` leave them out.
    """
    if pool == "first_token":
        return tokens[:, 0]
    return tokens[:, prefix:].mean(dim=1) if pool == "mean" else tokens[:, prefix:].amax(dim=1)


class MapPool(nn.Module):
    """Pools maps in place of timm's pooling layer, with the same shape of result.

    Args:
        pool: `mean`, `max`, or `first_token`: the top left position.
        dims: Height and width among the map's dimensions.
        keepdim: Leave them as dimensions of length one.
    """

    def __init__(self, pool: str, dims: tuple[int, int], keepdim: bool) -> None:
        super().__init__()
        self.pool, self.dims, self.keepdim = pool, dims, keepdim

    def forward(self, maps: Tensor) -> Tensor:
        if self.pool == "mean":
            return maps.mean(self.dims, keepdim=self.keepdim)
        if self.pool == "max":
            return maps.amax(self.dims, keepdim=self.keepdim)
        first = maps.narrow(self.dims[0], 0, 1).narrow(self.dims[1], 0, 1)
        return first if self.keepdim else first.squeeze(self.dims[1]).squeeze(self.dims[0])


class TokenPooled(nn.Module):
    """A timm network that makes tokens (ViT, BEiT, EVA), with another pooling before its own norm and head."""

    def __init__(self, net: nn.Module, pool: str) -> None:
        super().__init__()
        self.net, self.pool = net, pool
        self.pretrained_cfg = net.pretrained_cfg

    def forward(self, images: Tensor) -> Tensor:
        net = cast(Any, self.net)
        vectors = pool_tokens(net.forward_features(images), self.pool, net.num_prefix_tokens)
        return net.head(net.head_drop(net.fc_norm(vectors)))


def with_pool(net: nn.Module, pool: str) -> nn.Module:
    """A timm network that pools in another way; the layers around the pooling stay.

    Raises:
        ValueError: The network pools in a way of its own that cannot be replaced.
    """
    if pool == "default":
        return net
    if hasattr(net, "num_prefix_tokens") and hasattr(net, "fc_norm") and hasattr(net, "head_drop"):
        return TokenPooled(net, pool)
    pool_names = [name for name, module in net.named_modules() if isinstance(module, SelectAdaptivePool2d)]
    if len(pool_names) != 1:
        raise ValueError(f"its pooling is its own, and pool={pool!r} cannot take its place; leave pool out")
    net.set_submodule(pool_names[0], _like(cast(SelectAdaptivePool2d, net.get_submodule(pool_names[0])), pool))
    return net


def _like(layer: SelectAdaptivePool2d, pool: str) -> MapPool:
    # timm's fast layers work on either order of dimensions and flatten themselves; torch's need NCHW and a Flatten.
    dims = cast(tuple[int, int], tuple(getattr(layer.pool, "dim", (2, 3))))
    flattens = getattr(layer.pool, "flatten", False) or isinstance(layer.flatten, nn.Flatten)
    return MapPool(pool, dims, keepdim=not flattens)


def square_prefix(count: int) -> int:
    """Class and register tokens among `count` tokens of a square image: what its square of positions leaves over."""
    return count - math.isqrt(count) ** 2
