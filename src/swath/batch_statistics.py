"""Batch normalisation over the images of all workers, on any device.

torch's own SyncBatchNorm needs a GPU, replaces modules, and knows no worker whose images do not count. Every batch
normalisation (torch's, timm's with its activation, those of transformers) calls `torch.nn.functional.batch_norm`; this
takes its place while a model trains.
"""

from typing import Any

import torch
from torch import Tensor, distributed
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class SharedBatchStatistics(TorchFunctionMode):
    """Within it, batch normalisation in training uses mean and variance over the batches of all workers.

    Args:
        counts: This worker's images are part of the batch.
    """

    def __init__(self, counts: bool) -> None:
        super().__init__()
        self._counts = counts

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is functional.batch_norm and kwargs.get("training"):
            return _batch_norm(*args, **kwargs, counts=self._counts)
        return func(*args, **kwargs)


def _batch_norm(
    images: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    counts: bool,
) -> Tensor:
    """`functional.batch_norm` of the workers' images [B, C, ...] together."""
    normalised, mean, var, count = _Normalise.apply(images, eps, counts)  # type: ignore[misc]
    if running_mean is not None and running_var is not None:
        unbiased = var * (count / (count - 1).clamp(min=1))
        running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        running_var.lerp_(unbiased.to(running_var.dtype), momentum)
    shape = [1, -1] + [1] * (images.ndim - 2)
    if weight is not None:
        normalised = normalised * weight.view(shape)
    if bias is not None:
        normalised = normalised + bias.view(shape)
    return normalised.to(images.dtype)


class _Normalise(torch.autograd.Function):
    """(x - mean) / sqrt(var + eps) with mean and variance of all workers' images, in float32 or better.

    Statistics of several batches combine as in Chan, Golub & LeVeque (1983), which subtracts no large numbers. The
    gradient is that of batch normalisation (Ioffe & Szegedy 2015) with both of its sums taken over all workers.
    """

    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, images: Tensor, eps: float, counts: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x = images.to(torch.promote_types(images.dtype, torch.float32))
        axes = [0, *range(2, x.ndim)]
        var, mean = torch.var_mean(x, axes, correction=0)
        count = torch.full_like(mean, x.numel() / x.shape[1] if counts else 0)
        own = torch.stack([count, mean, var])
        every = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
        distributed.all_gather(every, own)
        ns, means, variances = torch.stack(every, dim=1)
        n = ns.sum(0)
        mean = (ns * means).sum(0) / n
        var = (ns * (variances + (means - mean) ** 2)).sum(0) / n
        shape = [1, -1] + [1] * (x.ndim - 2)
        inverse = torch.rsqrt(var + eps)
        normalised = (x - mean.view(shape)) * inverse.view(shape)
        ctx.save_for_backward(normalised, inverse, n)
        ctx.mark_non_differentiable(mean, var, n)
        ctx.dtype = images.dtype
        return normalised, mean, var, n

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore
        normalised, inverse, n = ctx.saved_tensors
        grad = grads[0]
        axes = [0, *range(2, grad.ndim)]
        shape = [1, -1] + [1] * (grad.ndim - 2)
        sums = torch.stack([grad.sum(axes), (grad * normalised).sum(axes)])
        distributed.all_reduce(sums)
        along, across = (s.view(shape) for s in sums / n)
        return ((grad - along - normalised * across) * inverse.view(shape)).to(ctx.dtype), None, None
