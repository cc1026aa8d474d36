"""Where a process computes, how exactly, with how much memory: the one place that asks for GPUs (decision 0025).

Importing it asks CUDA for nothing, and neither does a process whose job has no GPU: a context takes half a gigabyte of
a card that belongs to others.
"""

import contextlib
import ctypes
import gc
import os
import sys

import torch

from swath.core.errors import SwathError

USABLE = 0.9
"""Of a share of a GPU: CUDA contexts and the driver take some of every GPU's memory for themselves."""
SWITCH = "SWATH_DETERMINISTIC"
"""Environment variable; `0` lets a GPU use algorithms that give other last bits each time, where they are faster."""
_NOT_DETERMINISTIC = "does not have a deterministic implementation"
_OUT_OF_MEMORY = (
    "out of memory",  # of CUDA's own calls, which are AcceleratorErrors or RuntimeErrors
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",  # making a handle: it is the first to need memory
    "CUSOLVER_STATUS_ALLOC_FAILED",
    "CUFFT_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "DEVICE_ALLOCATION_FAILED",  # CUDNN_STATUS_INTERNAL_ERROR_..., since cuDNN 9
    "Unable to find a valid cuDNN algorithm",  # none whose workspace could be had
    "unable to find an engine to execute this computation",
)


def device_of(gpus: float | None) -> torch.device:
    """The device of a process.

    Args:
        gpus: GPUs that it was given, or a share of one: 0 is the CPU, whatever is visible; None is a GPU where there is
            one.

    Raises:
        SwathError: It was given a GPU, and torch reaches none.
    """
    if gpus == 0:
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    if gpus is None:
        return torch.device("cpu")
    raise SwathError(
        f"{gpus:g} GPUs were given to a process in which torch {torch.__version__} reaches none. Install a torch that "
        "is built for the GPU and its driver, or train on CPUs with --gpus 0."
    )


def named_device(name: str, gpus: float | None = None) -> torch.device:
    """The device of a name such as `cpu` or `cuda:1`; "" is that of `gpus`."""
    return torch.device(name) if name else device_of(gpus)


def prepare(device: torch.device, share: float = 1, precision: str = "fp32", deterministic: bool = True) -> None:
    """Set the arithmetic of this process and cap its memory; before anything of it lies on the device.

    Args:
        device: From `device_of`. Nothing asks CUDA for anything where it is the CPU.
        share: Of a GPU; below 1 the process gets no more of its memory.
        precision: A recipe's. float32 products and convolutions are IEEE's, but with `tf32`.
        deterministic: Raise where an operation has no deterministic algorithm, which `lacks_determinism` recognises;
            False only prefers them. Elsewhere the same inputs give the same bits, unless `SWITCH` says 0.
    """
    wanted = device.type == "cuda" and os.environ.get(SWITCH, "1") != "0"
    # Only so are the backward passes of flash and memory-efficient attention deterministic: "warn only" leaves them.
    torch.use_deterministic_algorithms(wanted, warn_only=wanted and not deterministic)
    # A write of every buffer, which is for debugging.
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
    # The older names: they set the newer ones (`fp32_precision`) too, and after the newer ones they cannot be read.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = device.type != "cuda" or wanted
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read by cuBLAS when it starts
        if share < 1:
            torch.cuda.set_per_process_memory_fraction(share * USABLE, device)
        torch.cuda.reset_peak_memory_stats(device)


def give_back_memory() -> None:
    """Return to the system, and to the other processes of a GPU, what a trial of this process leaves behind.

    Tune runs every trial of a reused actor in a new thread, and glibc keeps a thread's freed memory for that thread's
    successors only by chance: without this an actor grows by the activations of a batch with every trial.
    """
    gc.collect()
    if torch.cuda.is_initialized():
        with contextlib.suppress(RuntimeError):  # a GPU that answers no more; whoever trains there says so
            torch.cuda.empty_cache()
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def is_out_of_memory(error: BaseException) -> bool:
    """True if a GPU had too little memory, whichever library says so in whatever words."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY)


def lacks_determinism(error: BaseException) -> bool:
    """True if an operation was refused because it has no deterministic algorithm."""
    return isinstance(error, RuntimeError) and _NOT_DETERMINISTIC in str(error)


def responds() -> bool:
    """False once an error of CUDA has broken this process: an illegal access, a failed assertion or launch.

    After such an error every later call fails, so that nothing can be trained here any more. True without CUDA.
    """
    if not torch.cuda.is_initialized():
        return True
    try:
        torch.cuda.synchronize()
        return torch.ones(1, device="cuda").add(1).item() == 2
    except RuntimeError as error:
        return is_out_of_memory(error)


def can_compute() -> bool:
    """True if this process reaches a GPU: something is computed there."""
    try:
        return torch.ones(1, device="cuda").add(1).item() == 2
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        return is_out_of_memory(error)
