"""Test-time augmentation against a brute-force mean over views."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from swath.training.tta import mean_logits


class Weighted(nn.Module):
    """Logits that depend on where every pixel is."""

    def forward(self, x: Tensor) -> Tensor:
        seen.append(x.numpy().copy())
        side = x.shape[-1]
        rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
        weights = torch.stack([rows * 3.0 + columns**2, (rows - columns) * 1.0 + columns])
        return torch.einsum("bchw,khw->bk", x, weights) / side**3


seen: list[np.ndarray] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    seen.clear()


@pytest.mark.parametrize(("tta", "count"), [("none", 1), ("flip", 2), ("d4", 8)])
def test_the_mean_over_the_views_that_were_asked_for(tta: str, count: int) -> None:
    images = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    x = images.numpy()
    mirror = x[..., ::-1]
    views = {
        "none": [x],
        "flip": [x, mirror],
        "d4": [np.rot90(y, k, (-2, -1)) for y in (x, mirror) for k in range(4)],
    }[tta]
    found = mean_logits(Weighted(), images, tta, ())
    assert len(seen) == count
    assert {v.tobytes() for v in seen} == {np.ascontiguousarray(v).tobytes() for v in views}
    expected = np.mean([Weighted()(torch.from_numpy(v.copy())).numpy() for v in views], axis=0)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_sizes_multiply_the_views_and_the_images_own_size_is_no_copy() -> None:
    images = torch.randn(2, 3, 16, 16)
    mean_logits(Weighted(), images, "flip", (16, 24, 8))
    assert [v.shape[-1] for v in seen] == [16, 16, 24, 24, 8, 8]
    np.testing.assert_array_equal(seen[0], images.numpy())
    flat = torch.ones(1, 3, 16, 16)
    seen.clear()
    mean_logits(Weighted(), flat, "none", (24,))
    np.testing.assert_allclose(seen[0], 1, rtol=1e-6)  # resizing keeps the brightness
