"""Images that show the same picture: near pairs of 64-bit perceptual hashes, each confirmed on the pixels."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from swath.preprocess.image_files import UnreadableImageError, read_image

RADIUS = 8
"""Bits in which two hashes may differ. On 2,100 photographs 95 % of copies cut by 4 px at every side and over 99 % of
copies re-encoded, brightened or halved are within; of 2.2 million pairs of different ones, 3 are."""
ALIKE = 0.75
"""Least correlation of the two images' details. Re-encoded copies have .95 and more (JPEG quality 20: .83, reduced to
a quarter: .69), the most similar pair of different photographs of UC Merced .64."""
_LAYOUT_ALIKE = 0.92
_LOCALLY_ALIKE, _MOST = 0.5, 0.75
"""Least correlation in a place, and the share of the textured places that must have it."""
_PLACES = 4  # along each side
_FLAT = 1.5  # gray levels of detail below which a place has none
_BANDS = 4
_BATCH = 2_000_000
_SIDE = 96

Pairs = NDArray[np.int64]
Floats = NDArray[np.float32]


def pairs_within(hashes: NDArray[np.uint64], radius: int = RADIUS) -> Iterator[Pairs]:
    """All pairs of hashes at most `radius` bits apart, in batches [n, 2], each pair once.

    The 64 bits are dealt into four words of 16. Of two hashes at most r bits apart, one of the words differs in at
    most r // 4 bits, so the candidates are found by joining equal words under every such change (multi-index hashing:
    Norouzi, Punjani, Fleet 2012). No step is quadratic in the number of hashes unless the hashes themselves collide.

    Args:
        hashes: [N].
        radius: 0 to 16.
    """
    words = _words(hashes)
    changes = [
        np.uint16(sum(1 << b for b in bits))
        for flips in range(radius // _BANDS + 1)
        for bits in itertools.combinations(range(16), flips)
    ]
    for band, change in itertools.product(range(_BANDS), changes):
        for left, right in _joined(words[band], words[band] ^ change):
            close = (left < right) & (np.bitwise_count(hashes[left] ^ hashes[right]) <= radius)
            pairs = np.stack([left[close], right[close]], axis=1)
            pairs = pairs[_first_time(words, pairs, band, radius // _BANDS)]
            if len(pairs):
                yield pairs


def _words(hashes: NDArray[np.uint64]) -> NDArray[np.uint16]:
    """uint16 [4, N]: bit b goes to word b % 4, so that neighbouring frequencies, which agree, are spread evenly."""
    bits = np.unpackbits(hashes.astype(">u8").view(np.uint8).reshape(-1, 8), axis=1)
    return np.stack([np.packbits(bits[:, band::_BANDS], axis=1).view(">u2").ravel() for band in range(_BANDS)]).astype(
        np.uint16
    )


def _joined(left: NDArray[np.uint16], right: NDArray[np.uint16]) -> Iterator[tuple[NDArray[np.int64], Pairs]]:
    """Positions (i, j) with left[i] == right[j], in batches."""
    order = np.argsort(right, kind="stable")
    ordered = right[order]
    first = np.searchsorted(ordered, left, side="left")
    matches = np.searchsorted(ordered, left, side="right") - first
    ends = np.cumsum(matches)
    start = 0
    while start < len(left):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _BATCH, side="right")))
        counts = matches[start:stop]
        rows = np.repeat(np.arange(start, stop), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        yield rows, order[np.repeat(first[start:stop], counts) + within]
        start = stop


def _first_time(words: NDArray[np.uint16], pairs: Pairs, band: int, flips: int) -> NDArray[np.bool_]:
    """Which pairs no earlier band has given."""
    earlier = np.bitwise_count(words[:band, pairs[:, 0]] ^ words[:band, pairs[:, 1]]) <= flips
    return ~np.any(earlier, axis=0)


def confirmed(paths: list[str], pairs: Pairs) -> NDArray[np.bool_]:
    """Which pairs of files show the same picture, by correlation of their details.

    Args:
        paths: The files.
        pairs: [n, 2] positions in `paths`, best sorted, for then an image is read once for all its pairs in a row.
    """
    with ThreadPoolExecutor() as pool:
        parts = np.array_split(pairs, max(1, len(pairs) // 256))
        done = list(pool.map(lambda part: _confirm(paths, part), parts))
    return np.concatenate([np.empty(0, bool), *done])


def _confirm(paths: list[str], pairs: Pairs) -> NDArray[np.bool_]:
    kept: tuple[int, Floats | None] = (-1, None)
    answers = np.zeros(len(pairs), bool)
    for at, (left, right) in enumerate(pairs.tolist()):
        if kept[0] != left:
            kept = (left, _view(paths[left]))
        other = _view(paths[right])
        answers[at] = kept[1] is not None and other is not None and alike(kept[1], other)
    return answers


def alike(left: Floats, right: Floats) -> bool:
    """True when two views show one picture: as they are, or after the shift and scale that bring them together."""
    if _agree(left, right, 0):
        return True
    moved = _aligned(left, right)
    return moved is not None and _agree(left, moved, _SIDE // 8)


def _view(path: str) -> Floats | None:
    try:
        image = read_image(path)
    except UnreadableImageError:
        return None
    return view(image)


def view(image: NDArray[np.uint8]) -> Floats:
    """The small gray picture that is compared."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return cv2.resize(gray, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)


def _agree(left: Floats, right: Floats, margin: int) -> bool:
    """Whether layouts correlate, and edges and shapes, over all and in most places; light and contrast are taken off.

    One subject before two backgrounds correlates over all, but not in most places.
    """
    inner = slice(margin, _SIDE - margin)
    layouts = (cv2.resize(x[inner, inner], (12, 12), interpolation=cv2.INTER_AREA) for x in (left, right))
    a, b = (_details(x)[inner, inner] for x in (left, right))
    if _correlation(*cast("tuple[Floats, Floats]", tuple(layouts))) < _LAYOUT_ALIKE or _correlation(a, b) < ALIKE:
        return False
    step = len(a) // _PLACES
    places = [
        (a[y : y + step, x : x + step], b[y : y + step, x : x + step])
        for y in range(0, step * _PLACES, step)
        for x in range(0, step * _PLACES, step)
    ]
    textured = [(p, q) for p, q in places if max(p.std(), q.std()) > _FLAT]
    agreeing = sum(_correlation(p, q) >= _LOCALLY_ALIKE for p, q in textured)
    return agreeing >= _MOST * len(textured)


def _correlation(a: Floats, b: Floats) -> float:
    if min(a.std(), b.std()) < 1e-3:
        return 0.0
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def _details(gray: Floats) -> Floats:
    fine, coarse = (cv2.GaussianBlur(gray, (0, 0), sigma) for sigma in (1.0, 6.0))
    return cast(Floats, fine - coarse)


def _aligned(left: Floats, right: Floats) -> Floats | None:
    """`right` moved onto `left` by an affine alignment (Evangelidis & Psarakis 2008); None when none is near."""
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 1e-3)
    everywhere = np.full(left.shape, 255, np.uint8)
    try:
        _, warp = cv2.findTransformECC(
            left, right, np.eye(2, 3, dtype=np.float32), cv2.MOTION_AFFINE, criteria, everywhere, 5
        )
    except cv2.error:
        return None  # it did not converge
    if np.abs(warp[:, :2] - np.eye(2)).max() > 0.1 or np.abs(warp[:, 2]).max() > _SIDE / 8:
        return None  # so far apart that any two textures can be made to agree
    return cast(Floats, cv2.warpAffine(right, warp, (_SIDE, _SIDE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP))
