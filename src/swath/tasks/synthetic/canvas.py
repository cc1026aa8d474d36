"""Drawing aerial scenes: the canvas, its grounds, shadows and lines, and the camera that photographs it.

Beside the picture, `owner` records whose object is on top of every pixel, so a label is set because something of it
can be seen, and not because something was drawn that a tree then covered.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np

Colour = tuple[int, int, int]
Place = np.ndarray | tuple[float, float]
# Label -> smallest share of the picture that counts as visible: a patch of ground, a recognisable part of an object.
VISIBLE_SHARE = {
    "bare soil": 0.012, "buildings": 0.003, "cars": 0.0006, "dock": 0.002, "field": 0.012, "grass": 0.012,
    "pavement": 0.012, "road": 0.005, "snow": 0.012, "tanks": 0.002, "tennis court": 0.005, "trees": 0.002,
    "water": 0.012, "wind turbine": 0.0008,
}  # fmt: skip
LABELS: tuple[str, ...] = tuple(VISIBLE_SHARE)
_NOBODY = 255
# Brightness varies from patch to patch, so the greys of these grounds overlap and only hue tells them apart.
_GROUNDS: dict[str, tuple[Colour, ...]] = {
    "bare soil": ((168, 124, 88), (150, 116, 92), (178, 140, 98)),
    "field": ((104, 136, 66), (186, 164, 96), (134, 104, 78), (150, 158, 84)),
    "grass": ((92, 130, 70), (108, 138, 74), (84, 120, 72)),
    "pavement": ((146, 145, 143), (160, 157, 152), (128, 129, 132)),
    "snow": ((214, 226, 244), (206, 220, 240)),
    "water": ((66, 104, 128), (58, 96, 104), (84, 124, 142)),
}
REACH = 230.0  # half the side of the square that covers the frame at any rotation, zoom and shift
SUBPIXEL_BITS = 4


@dataclass
class Canvas:
    """A picture under construction.

    Attributes:
        image: RGB, uint8 [P, P, 3].
        owner: Index into LABELS of the object on top, uint8 [P, P]; `_NOBODY` where no label applies.
        grain: Texture shared by all grounds, float32 [P, P], mean 0, deviation 1.
        frame: Affine map from scene units to pixels, float64 [2, 3], which enlarges by `unit_px`.
        sun: Shadow of one unit of height, float64 [2].
        lots: Centres of the free building lots, 84 units a side; the last ones are nearest the middle.
    """

    image: np.ndarray
    owner: np.ndarray
    grain: np.ndarray
    frame: np.ndarray
    unit_px: float
    sun: np.ndarray
    lots: list[np.ndarray]


@cache
def noise_tile(coarsest: float, finest: float) -> np.ndarray:
    """Noise that repeats without a seam, with details between two sizes in pixels.

    One tile serves every image at its own place and turn: fresh coloured noise would cost most of the drawing time.

    Returns:
        float32 [512, 512], mean 0, deviation 1, shared by all callers: not to be written to.
    """
    side = 512
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    band = (frequency > 1 / coarsest) & (frequency < 1 / finest)
    spectrum = np.fft.rfft2(np.random.default_rng(0).standard_normal((side, side)))
    tile = np.fft.irfft2(spectrum * band / np.maximum(frequency, 1 / side), (side, side))
    return ((tile - tile.mean()) / tile.std()).astype(np.float32)


def noise_crop(rng: np.random.Generator, tile: np.ndarray, side_px: int) -> np.ndarray:
    """A randomly placed and turned piece of `tile`, scaled as in a 256 px picture: float32 [side_px, side_px]."""
    turn = cv2.getRotationMatrix2D((0, 0), rng.uniform(0, 360), side_px / 256)
    turn[:, 2] = rng.uniform(0, tile.shape[0], 2) * side_px / 256
    return cv2.warpAffine(tile, turn, (side_px, side_px), borderMode=cv2.BORDER_WRAP)


def photograph(rng: np.random.Generator, image: np.ndarray, size_px: int) -> np.ndarray:
    """What a camera makes of a drawing: light, colour cast, haze, at times blur, then reduction and sensor noise.

    Everything random but the sensor noise is drawn before it, so one generator gives the same scene at every size.
    """
    side = image.shape[0]
    ramp = np.linspace(-0.5, 0.5, side, dtype=np.float32)
    slope = rng.uniform(-0.2, 0.2, 2).astype(np.float32)
    light = rng.uniform(0.8, 1.2) * (1 + slope[0] * ramp[:, None] + slope[1] * ramp)
    cast, haze = rng.uniform(0.96, 1.04, 3), rng.choice([0.0, 0.0, rng.uniform(0.0, 0.25)])
    blur, noise = rng.choice([0.0, 0.0, rng.uniform(0.4, 1.3)]) * side / 256, rng.uniform(1.0, 6.0)
    picture = image * (light[..., None] * (cast * (1 - haze)).astype(np.float32)) + np.float32(205 * haze)
    if blur > 0.2:
        picture = cv2.GaussianBlur(picture, (0, 0), blur)
    if side != size_px:
        picture = cv2.resize(picture, (size_px, size_px), interpolation=cv2.INTER_AREA)
    picture += np.float32(noise) * rng.standard_normal(picture.shape, np.float32)
    return np.clip(picture, 0, 255).astype(np.uint8)


def blank_canvas(rng: np.random.Generator, side_px: int) -> Canvas:
    """An empty canvas, seen from a random direction and height, in the light of a random hour."""
    angle, bearing = rng.uniform(0, 2 * math.pi, 2)
    unit_px = side_px / 256 * rng.uniform(0.85, 1.35)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]) * unit_px
    lots = [np.array([x, y]) for x in (-150, -54, 54, 150) for y in (-150, -54, 54, 150)]
    return Canvas(
        image=np.zeros((side_px, side_px, 3), np.uint8),
        owner=np.full((side_px, side_px), _NOBODY, np.uint8),
        grain=noise_crop(rng, noise_tile(90, 2.5), side_px),
        frame=np.column_stack([turn, side_px / 2 + rng.uniform(-20, 20, 2) * unit_px]),
        unit_px=unit_px,
        sun=rng.uniform(0.4, 0.9) * np.array([math.cos(bearing), math.sin(bearing)]),
        lots=sorted(rng.permutation(lots), key=lambda lot: -np.hypot(*lot)),
    )


def box(centre: Place, length: float, width: float, angle: float = 0.0) -> np.ndarray:
    """Corners [4, 2] of a rectangle whose length lies along `angle` (radians)."""
    half = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (length / 2, width / 2)
    c, s = math.cos(angle), math.sin(angle)
    return half @ np.array([[c, s], [-s, c]]) + centre


def blob(rng: np.random.Generator, centre: Place, radius: float) -> np.ndarray:
    """Corners [24, 2] of a smooth irregular outline."""
    turn = np.linspace(0, 2 * math.pi, 24, endpoint=False)
    waves = [rng.uniform(0, 0.2) * np.cos(k * turn + rng.uniform(0, 6.3)) for k in (2, 3, 4)]
    return (radius * (1 + np.sum(waves, axis=0)))[:, None] * np.column_stack([np.cos(turn), np.sin(turn)]) + centre


def to_pixels(canvas: Canvas, points: np.ndarray) -> np.ndarray:
    """Scene points [..., 2] as the fixed-point pixels that OpenCV draws with `shift`."""
    return np.round((points @ canvas.frame[:, :2].T + canvas.frame[:, 2]) * 2**SUBPIXEL_BITS).astype(np.int32)


def fill(canvas: Canvas, outlines: Sequence[np.ndarray], colour: Colour, label: str | None = None) -> None:
    """Fills polygons, which must not overlap each other, with a flat colour. Without a label the owner stays."""
    pixels = [to_pixels(canvas, outline) for outline in outlines]
    cv2.fillPoly(canvas.image, pixels, colour, cv2.LINE_AA, SUBPIXEL_BITS)
    if label:
        cv2.fillPoly(canvas.owner, pixels, LABELS.index(label), cv2.LINE_8, SUBPIXEL_BITS)


def draw_line(
    canvas: Canvas, paths: Sequence[np.ndarray], colour: Colour, width: float, label: str | None = None
) -> None:
    """Draws open lines `width` units wide, at least one pixel. Without a label the owner stays."""
    pixels, width_px = [to_pixels(canvas, path) for path in paths], max(1, round(width * canvas.unit_px))
    cv2.polylines(canvas.image, pixels, False, colour, width_px, cv2.LINE_AA, SUBPIXEL_BITS)
    if label:
        cv2.polylines(canvas.owner, pixels, False, LABELS.index(label), width_px, cv2.LINE_8, SUBPIXEL_BITS)


def cover_ground(canvas: Canvas, rng: np.random.Generator, label: str, outline: np.ndarray | None = None) -> None:
    """Covers `outline` (None: everything) with a textured surface; fields are ploughed in stripes."""
    pixels = to_pixels(canvas, box((0, 0), 2 * REACH, 2 * REACH) if outline is None else outline)
    colour = np.array(_GROUNDS[label][rng.integers(len(_GROUNDS[label]))]) * rng.uniform(0.78, 1.2)
    angle, period, phase, depth = rng.uniform((0, 6, 0, 0.06), (math.pi, 12, 6.3, 0.16))
    x, y, w, h = cv2.boundingRect(pixels >> SUBPIXEL_BITS)
    side = canvas.owner.shape[0]
    rows, columns = slice(max(y, 0), min(y + h + 1, side)), slice(max(x, 0), min(x + w + 1, side))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    mask = np.zeros_like(canvas.owner)
    cv2.fillPoly(mask, [pixels], 255, cv2.LINE_AA, SUBPIXEL_BITS)
    mask = mask[rows, columns]
    shade = 1 + 0.07 * canvas.grain[rows, columns]
    if label == "field":
        wave = (2 * math.pi / (period * canvas.unit_px) * np.arange(side)).astype(np.float32)
        across = math.cos(angle) * wave[columns] + math.sin(angle) * wave[rows, None]
        shade += np.float32(depth) * np.sin(across + phase)
    old = canvas.image[rows, columns]
    fresh = np.clip(shade[..., None] * colour.astype(np.float32), 0, 255)
    canvas.image[rows, columns] = old + (mask[..., None] / np.float32(255)) * (fresh - old)
    canvas.owner[rows, columns][mask > 127] = LABELS.index(label)


def cast_shadows(canvas: Canvas, outlines: Sequence[np.ndarray], height: float) -> None:
    """Darkens the shadows of convex objects of that height (units); call it before drawing the objects."""
    mask = np.zeros_like(canvas.owner)
    for outline in outlines:
        swept = np.concatenate([outline, outline + height * canvas.sun]).astype(np.float32)
        cv2.fillConvexPoly(mask, to_pixels(canvas, cv2.convexHull(swept)[:, 0]), 255, cv2.LINE_AA, SUBPIXEL_BITS)
    canvas.image[:] = canvas.image * (1 - mask[..., None] * np.float32(0.5 / 255))


def write_jpeg(path: Path, image: np.ndarray) -> None:
    """Writes RGB uint8 [H, W, 3] with quality 95, as the competitions' files have it."""
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    assert done, f"OpenCV could not encode {path}"
    path.write_bytes(data.tobytes())
