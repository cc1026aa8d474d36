"""Checks that need a GPU: `make gpu-check` runs them, elsewhere they are skipped."""

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def gpu() -> None:
    """First of all fixtures, so that nothing is started for a test that is skipped."""
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA GPU, and torch.cuda.is_available() is False")
