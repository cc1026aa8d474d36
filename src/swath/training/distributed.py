"""Workers that train one model together: each takes its share of every batch, and all end each step alike.

Plain torch.distributed, any backend. The sums below are the whole of it: no wrapper around the model, so that frozen
layers, unused parameters, averaged weights and checkpoints are what they are with one worker (decision 0016).
"""

import contextlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.nn.modules._functions import SyncBatchNorm
from torch.overrides import TorchFunctionMode


class Slice(NamedTuple):
    """One worker's part of some consecutive images.

    Attributes:
        start: First image.
        end: Behind the last one.
        counts: False where there are fewer images than workers: a worker without one computes on another's, because
            all must take part in every exchange, and what it finds is not counted.
        all_count: There are at least as many images as workers.
    """

    start: int
    end: int
    counts: bool
    all_count: bool

    def __len__(self) -> int:
        return self.end - self.start


class WorkerGroup:
    """The workers of a trial, as one of them sees it; of one worker by default.

    Args:
        rank: This worker, from 0. The first one writes and reports.
        size: Number of workers. Above 1 torch.distributed's default process group must have been set up.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank = rank
        self.size = size

    def share(self, start: int, end: int, rank: int | None = None) -> Slice:
        """This worker's (or another's) part of the images `start` to `end`; parts differ by one image at most."""
        images, rank = end - start, self.rank if rank is None else rank
        first, last = (start + images * r // self.size for r in (rank, rank + 1))
        if first < last:
            return Slice(first, last, True, images >= self.size)
        return Slice(start, min(start + 1, end), False, False)

    def batch_statistics(self, share: Slice) -> contextlib.AbstractContextManager[object]:
        """Within it batch normalisation sees the images of all workers."""
        if self.size == 1:
            return contextlib.nullcontext()
        return SharedBatchStatistics(share.counts, share.all_count)

    def sum_gradients(self, parameters: Iterable[nn.Parameter], loss: float) -> float:
        """Replace each gradient by its sum over the workers.

        A loss that is not a number on one worker is none on all of them, so all of them stop there.

        Args:
            parameters: The model's. One that has a gradient on no worker keeps none.
            loss: This worker's share of the batch's loss.

        Returns:
            The sum of the losses.
        """
        if self.size == 1:
            return loss
        trained = [p for p in parameters if p.requires_grad]
        loss_and_counts = torch.tensor([loss, *(float(p.grad is not None) for p in trained)], dtype=torch.float64)
        loss_and_counts = loss_and_counts.to(trained[0].device, torch.float32)
        distributed.all_reduce(loss_and_counts)
        total, *counts = loss_and_counts.tolist()
        reduced = [p for p, count in zip(trained, counts, strict=True) if count]
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in reduced]
        flat = torch.cat([g.reshape(-1) for g in grads])
        distributed.all_reduce(flat)
        for p, grad in zip(reduced, flat.split([p.numel() for p in reduced]), strict=True):
            # In the memory format of its parameter; not in its old place, which autograd may have given to two of them.
            p.grad = torch.empty_like(p).copy_(grad.view(p.shape))
        return total

    def gathered(self, rows: Tensor, count: int, device: torch.device) -> Tensor:
        """All rows of a table of which each worker computed its `share(0, count)`; on the CPU, for every worker.

        Args:
            rows: [share, C].
            count: Rows of the whole table.
            device: Where the process group can exchange tensors.
        """
        if self.size == 1:
            return rows
        shares = [self.share(0, count, rank) for rank in range(self.size)]
        padded = torch.zeros((max(map(len, shares)), *rows.shape[1:]), dtype=rows.dtype, device=device)
        padded[: len(rows)] = rows.to(device)
        every = [torch.empty_like(padded) for _ in shares]
        distributed.all_gather(every, padded)
        return torch.cat([e[: len(s)] for e, s in zip(every, shares, strict=True) if s.counts]).cpu()

    def agreed(self, decision: bool, device: torch.device) -> bool:
        """The first worker's decision, for all."""
        if self.size == 1:
            return decision
        shared = torch.tensor(int(decision), device=device)
        distributed.broadcast(shared, src=0)
        return bool(shared.item())


class SharedBatchStatistics(TorchFunctionMode):
    """Within it, batch normalisation in training uses mean and variance over the batches of all workers.

    Args:
        counts: This worker's images are part of the batch.
        all_count: So are those of every other one: on a GPU torch's own kernels do it, which are faster.
    """

    def __init__(self, counts: bool, all_count: bool = False) -> None:
        super().__init__()
        self._counts = counts
        self._all_count = all_count

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is functional.batch_norm and kwargs.get("training"):
            if self._all_count and args[0].device.type == "cuda":
                return _kernels(*args, **kwargs)
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


def _kernels(
    images: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> Tensor:
    """The same by the kernels of `nn.SyncBatchNorm`, which are for GPUs only."""
    world = distributed.group.WORLD
    return SyncBatchNorm.apply(
        images, weight, bias, running_mean, running_var, eps, momentum, world, distributed.get_world_size()
    )  # type: ignore[return-value]


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
        statistics = torch.stack([count, mean, var])
        every = [torch.empty_like(statistics) for _ in range(distributed.get_world_size())]
        distributed.all_gather(every, statistics)
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
