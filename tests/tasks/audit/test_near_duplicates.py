from pathlib import Path

import cv2
import numpy as np
import pytest

from swath.preprocess.image_files import read_image
from swath.tasks.audit.near_duplicates import alike, pairs_within, view


@pytest.mark.parametrize("radius", [0, 3, 8, 10])
def test_pairs_are_those_of_comparing_all_with_all(radius: int) -> None:
    rng = np.random.default_rng(radius)
    hashes = rng.integers(0, 2**64, 1200, dtype=np.uint64)
    for i in range(0, 400, 2):
        bits = rng.choice(64, rng.integers(0, 13), replace=False)
        hashes[i + 1] = hashes[i] ^ np.uint64(sum(1 << int(b) for b in bits))
    apart = np.bitwise_count(hashes[:, None] ^ hashes[None])
    expected = set(map(tuple, np.argwhere(np.triu(apart <= radius, 1)).tolist()))
    batches = [batch.tolist() for batch in pairs_within(hashes, radius)]
    found = [tuple(pair) for batch in batches for pair in batch]
    assert len(found) == len(set(found))
    assert set(found) == expected
    assert expected


def encoded(image: np.ndarray, quality: int) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


CHANGES = {
    "re-encoded": lambda image: encoded(image, 30),
    "brighter": lambda image: np.clip(image * 1.1 + 8.0, 0, 255).astype(np.uint8),
    "reduced": lambda image: cv2.resize(image, (100, 100), interpolation=cv2.INTER_AREA),
    "cut": lambda image: image[4:-4, 4:-4],
}


@pytest.mark.shared
@pytest.mark.parametrize("change", CHANGES)
def test_changed_photographs_are_alike(shared: Path, change: str) -> None:
    names = [f"{scene}{k:02d}" for scene in ("airplane", "harbor", "forest", "river", "runway") for k in (3, 40)]
    images = [read_image(shared / f"data/ucmerced/images/{name[:-2]}/{name}.jpg") for name in names]
    assert all(alike(view(image), view(CHANGES[change](image))) for image in images)


@pytest.mark.shared
@pytest.mark.parametrize("pair", [("beach74", "beach75"), ("airplane42", "airplane43"), ("runway21", "runway45")])
def test_different_photographs_of_like_hashes_are_not(shared: Path, pair: tuple[str, str]) -> None:
    views = [view(read_image(shared / f"data/ucmerced/images/{name[:-2]}/{name}.jpg")) for name in pair]
    assert not alike(*views)
