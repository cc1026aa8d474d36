"""What a GPU would be asked, with torch's calls replaced by notes; the tests in tests/gpu ask a real one."""

import os
from typing import Any

import pytest
import torch

from swath.core.errors import SwathError
from swath.models import device

CUDA = torch.device("cuda")


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Settings of the process, put back."""
    for name in (device.SWITCH, "CUBLAS_WORKSPACE_CONFIG"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    yield
    device.prepare(torch.device("cpu"))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What CUDA is asked for, with the arguments."""
    calls: list[tuple[Any, ...]] = []
    for name in ("set_per_process_memory_fraction", "reset_peak_memory_stats", "empty_cache", "synchronize"):
        monkeypatch.setattr(torch.cuda, name, lambda *given, _name=name: calls.append((_name, *given)))
    return calls


def visible(monkeypatch: pytest.MonkeyPatch, answer: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: answer)


def test_the_device_is_the_one_that_was_given_not_the_one_that_is_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    visible(monkeypatch, True)
    assert [device.device_of(gpus).type for gpus in (0, 0.0, 0.5, 1, None)] == ["cpu", "cpu", "cuda", "cuda", "cuda"]
    visible(monkeypatch, False)
    assert [device.device_of(gpus).type for gpus in (0, None)] == ["cpu", "cpu"]
    with pytest.raises(SwathError, match=r"0\.5 GPUs were given .* or train on CPUs with --gpus 0"):
        device.device_of(0.5)
    assert device.named_device("cuda:1") == torch.device("cuda", 1)
    assert device.named_device("", 0) == torch.device("cpu")


def test_a_process_that_trains_on_the_cpu_never_asks_whether_there_is_a_gpu(
    monkeypatch: pytest.MonkeyPatch, asked: list[tuple[Any, ...]]
) -> None:
    def fail() -> bool:
        raise AssertionError("asked")

    monkeypatch.setattr(torch.cuda, "is_available", fail)
    device.prepare(device.device_of(0), share=1)
    device.give_back_memory()
    assert device.responds()
    assert asked == []
    assert not torch.are_deterministic_algorithms_enabled(), "the CPU's bits are what they were"


def test_a_share_caps_the_process_before_anything_else(asked: list[tuple[Any, ...]]) -> None:
    device.prepare(CUDA, share=0.5)
    assert asked[0] == ("set_per_process_memory_fraction", pytest.approx(0.45), CUDA)
    asked.clear()
    device.prepare(CUDA, share=1)
    assert asked == [("reset_peak_memory_stats", CUDA)]


@pytest.mark.parametrize(("precision", "tf32"), [("fp32", False), ("tf32", True), ("bf16", False), ("fp16", False)])
def test_only_tf32_is_tf32_in_products_and_in_convolutions(
    asked: list[tuple[Any, ...]], precision: str, tf32: bool
) -> None:
    for before in ("tf32", "fp32"):
        device.prepare(CUDA, precision=before)
        device.prepare(CUDA, precision=precision)
        assert torch.backends.cuda.matmul.allow_tf32 is tf32
        assert torch.backends.cudnn.allow_tf32 is tf32
        assert torch.get_float32_matmul_precision() == ("high" if tf32 else "highest")
        assert (torch.backends.cudnn.conv.fp32_precision == "tf32") is tf32  # type: ignore[attr-defined]


def test_a_gpu_repeats_its_bits_unless_it_is_told_otherwise(
    asked: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    device.prepare(CUDA)
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled(), "attention's backward pass would not be"
    assert torch.backends.cudnn.deterministic
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    device.prepare(CUDA, deterministic=False)
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    monkeypatch.setenv(device.SWITCH, "0")
    device.prepare(CUDA)
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark


ENOUGH = RuntimeError("Expected all tensors to be on the same device")
SHORT = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    torch.AcceleratorError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError("Unable to find a valid cuDNN algorithm to run convolution"),
    RuntimeError("GET was unable to find an engine to execute this computation"),
    RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`"),
]
OTHERS = [
    ENOUGH,
    ValueError("out of memory"),
    torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
    RuntimeError("CUDA error: device-side assert triggered"),
    RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"),
]


def test_out_of_memory_is_recognised_in_every_librarys_words() -> None:
    assert [e for e in SHORT if not device.is_out_of_memory(e)] == []
    assert [e for e in OTHERS if device.is_out_of_memory(e)] == []


def test_a_missing_deterministic_algorithm_is_recognised() -> None:
    words = "adaptive_avg_pool2d_backward_cuda does not have a deterministic implementation, but you set"
    assert device.lacks_determinism(RuntimeError(words))
    assert not device.lacks_determinism(ENOUGH)


@pytest.mark.parametrize(
    ("error", "well"),
    [(None, True), (OTHERS[2], False), (OTHERS[3], False), (SHORT[0], True), (SHORT[1], True)],
    ids=["well", "illegal access", "assertion", "no memory", "no memory of CUDA's"],
)
def test_a_process_whose_gpu_answers_no_more_is_told_by_asking_it(
    monkeypatch: pytest.MonkeyPatch, error: RuntimeError | None, well: bool
) -> None:
    real = torch.ones

    def ones(count: int, device: str) -> torch.Tensor:
        if error:
            raise error
        return real(count)

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch, "ones", ones)
    assert device.responds() is well
    assert device.can_compute() is well
