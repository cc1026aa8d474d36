"""Synthetic aerial photographs with several labels each: a satellite task that needs no download.

A scene is laid out in its own coordinates (256 units a side, origin in the middle) and drawn through a random
rotation, zoom and shift. Beside the picture, `owner` records whose object is on top of every pixel, so a label is set
because something of it can be seen, and not because something was drawn that a tree then covered.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

Colour = tuple[int, int, int]
Place = np.ndarray | tuple[float, float]
Painter = Callable[["_Canvas", np.random.Generator], None]

# Label -> smallest share of the picture that counts as visible: a patch of ground, a recognisable part of an object.
_VISIBLE_SHARE = {
    "bare soil": 0.012, "buildings": 0.003, "cars": 0.0006, "dock": 0.002, "field": 0.012, "grass": 0.012,
    "pavement": 0.012, "road": 0.005, "snow": 0.012, "tanks": 0.002, "tennis court": 0.005, "trees": 0.002,
    "water": 0.012, "wind turbine": 0.0008,
}  # fmt: skip
LABELS: tuple[str, ...] = tuple(_VISIBLE_SHARE)
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
_ROOFS: tuple[Colour, ...] = (
    (164, 84, 66), (142, 72, 58), (118, 112, 108), (198, 194, 188), (96, 92, 94), (132, 108, 86), (92, 112, 138),
)  # fmt: skip
_PAINTS: tuple[Colour, ...] = (
    (236, 236, 236), (190, 192, 196), (36, 36, 40), (168, 36, 34), (44, 72, 140), (222, 222, 214), (92, 94, 98),
)  # fmt: skip
_COURTS: tuple[Colour, ...] = ((64, 118, 84), (58, 98, 150), (172, 96, 70))
# Where lines start and end (x, y, x, y) on a court 56 by 27 units: sides, ends, service lines, net.
_COURT_LINES = (
    (-28, -13.5, 28, -13.5), (-28, 13.5, 28, 13.5), (-28, -10, 28, -10), (-28, 10, 28, 10), (-28, -13.5, -28, 13.5),
    (28, -13.5, 28, 13.5), (-15, -10, -15, 10), (15, -10, 15, 10), (-15, 0, 15, 0), (0, -15, 0, 15),
)  # fmt: skip
_WHITE: Colour = (240, 240, 236)
_REACH = 230.0  # half the side of the square that covers the frame at any rotation, zoom and shift
_SUBPIXEL_BITS = 4


@dataclass
class _Canvas:
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


def _blank(rng: np.random.Generator, side_px: int) -> _Canvas:
    """An empty canvas, seen from a random direction and height, in the light of a random hour."""
    angle, bearing = rng.uniform(0, 2 * math.pi, 2)
    unit_px = side_px / 256 * rng.uniform(0.85, 1.35)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]) * unit_px
    lots = [np.array([x, y]) for x in (-150, -54, 54, 150) for y in (-150, -54, 54, 150)]
    return _Canvas(
        image=np.zeros((side_px, side_px, 3), np.uint8),
        owner=np.full((side_px, side_px), _NOBODY, np.uint8),
        grain=noise_crop(rng, noise_tile(90, 2.5), side_px),
        frame=np.column_stack([turn, side_px / 2 + rng.uniform(-20, 20, 2) * unit_px]),
        unit_px=unit_px,
        sun=rng.uniform(0.4, 0.9) * np.array([math.cos(bearing), math.sin(bearing)]),
        lots=sorted(rng.permutation(lots), key=lambda lot: -np.hypot(*lot)),
    )


def _box(centre: Place, length: float, width: float, angle: float = 0.0) -> np.ndarray:
    """Corners [4, 2] of a rectangle whose length lies along `angle` (radians)."""
    half = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (length / 2, width / 2)
    c, s = math.cos(angle), math.sin(angle)
    return half @ np.array([[c, s], [-s, c]]) + centre


def _blob(rng: np.random.Generator, centre: Place, radius: float) -> np.ndarray:
    """Corners [24, 2] of a smooth irregular outline."""
    turn = np.linspace(0, 2 * math.pi, 24, endpoint=False)
    waves = [rng.uniform(0, 0.2) * np.cos(k * turn + rng.uniform(0, 6.3)) for k in (2, 3, 4)]
    return (radius * (1 + np.sum(waves, axis=0)))[:, None] * np.column_stack([np.cos(turn), np.sin(turn)]) + centre


def _pixels(canvas: _Canvas, points: np.ndarray) -> np.ndarray:
    """Scene points [..., 2] as the fixed-point pixels that OpenCV draws with `shift`."""
    return np.round((points @ canvas.frame[:, :2].T + canvas.frame[:, 2]) * 2**_SUBPIXEL_BITS).astype(np.int32)


def _fill(canvas: _Canvas, outlines: Sequence[np.ndarray], colour: Colour, label: str | None = None) -> None:
    """Fills polygons, which must not overlap each other, with a flat colour. Without a label the owner stays."""
    pixels = [_pixels(canvas, outline) for outline in outlines]
    cv2.fillPoly(canvas.image, pixels, colour, cv2.LINE_AA, _SUBPIXEL_BITS)
    if label:
        cv2.fillPoly(canvas.owner, pixels, LABELS.index(label), cv2.LINE_8, _SUBPIXEL_BITS)


def _line(canvas: _Canvas, paths: Sequence[np.ndarray], colour: Colour, width: float, label: str | None = None) -> None:
    """Draws open lines `width` units wide, at least one pixel. Without a label the owner stays."""
    pixels, width_px = [_pixels(canvas, path) for path in paths], max(1, round(width * canvas.unit_px))
    cv2.polylines(canvas.image, pixels, False, colour, width_px, cv2.LINE_AA, _SUBPIXEL_BITS)
    if label:
        cv2.polylines(canvas.owner, pixels, False, LABELS.index(label), width_px, cv2.LINE_8, _SUBPIXEL_BITS)


def _ground(canvas: _Canvas, rng: np.random.Generator, label: str, outline: np.ndarray | None = None) -> None:
    """Covers `outline` (None: everything) with a textured surface; fields are ploughed in stripes."""
    pixels = _pixels(canvas, _box((0, 0), 2 * _REACH, 2 * _REACH) if outline is None else outline)
    colour = np.array(_GROUNDS[label][rng.integers(len(_GROUNDS[label]))]) * rng.uniform(0.78, 1.2)
    angle, period, phase, depth = rng.uniform((0, 6, 0, 0.06), (math.pi, 12, 6.3, 0.16))
    x, y, w, h = cv2.boundingRect(pixels >> _SUBPIXEL_BITS)
    side = canvas.owner.shape[0]
    rows, columns = slice(max(y, 0), min(y + h + 1, side)), slice(max(x, 0), min(x + w + 1, side))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    mask = np.zeros_like(canvas.owner)
    cv2.fillPoly(mask, [pixels], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
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


def _shade(canvas: _Canvas, outlines: Sequence[np.ndarray], height: float) -> None:
    """Darkens the shadows of convex objects of that height (units); call it before drawing the objects."""
    mask = np.zeros_like(canvas.owner)
    for outline in outlines:
        swept = np.concatenate([outline, outline + height * canvas.sun]).astype(np.float32)
        cv2.fillConvexPoly(mask, _pixels(canvas, cv2.convexHull(swept)[:, 0]), 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    canvas.image[:] = canvas.image * (1 - mask[..., None] * np.float32(0.5 / 255))


def _lot(canvas: _Canvas) -> np.ndarray:
    """Centre of a free lot; with none left a place out of sight, where drawing does nothing."""
    return canvas.lots.pop() if canvas.lots else np.array([4 * _REACH, 4 * _REACH])


def _cars(canvas: _Canvas, rng: np.random.Generator, places: np.ndarray, angle: float) -> None:
    """Parks cars, 12 x 5.5 units, at `places` [n, 2], headed along `angle`."""
    bodies = [_box(place, rng.uniform(10.5, 13), 5.5, angle) for place in places]
    _shade(canvas, bodies, 3)
    for body in bodies:
        _fill(canvas, [body], _PAINTS[rng.integers(len(_PAINTS))], "cars")
    along = np.array([math.cos(angle), math.sin(angle)])
    _fill(canvas, [_box(place + 1.8 * along, 2.2, 4.6, angle) for place in places], (28, 34, 44))
    _fill(canvas, [_box(place - 3.6 * along, 1.4, 4.4, angle) for place in places], (34, 40, 48))


def _road(canvas: _Canvas, rng: np.random.Generator, busy: bool = False) -> None:
    """Roads between the lots, one along x and at times one across; cars on busy ones only."""
    grey, width, traffic = int(rng.integers(78, 116)), rng.uniform(13, 19), rng.uniform(4, 17) * busy
    for angle in (0.0, math.pi / 2)[: 1 + int(rng.random() < 0.4)]:
        along = np.array([math.cos(angle), math.sin(angle)])
        middle = np.array([-_REACH, _REACH])[:, None] * along
        _line(canvas, [middle], (grey + 56, grey + 54, grey + 50), width + 3.5)
        _line(canvas, [middle], (grey, grey, grey + 2), width, "road")
        dashes = np.arange(-_REACH, _REACH, 13)
        _line(canvas, [np.array([d, d + 6])[:, None] * along for d in dashes], (222, 218, 196), 1.1)
        places = rng.permutation(np.arange(-_REACH, _REACH, 19))[: rng.poisson(traffic)]
        across = rng.choice([-width / 4, width / 4], len(places))
        _cars(canvas, rng, places[:, None] * along + across[:, None] * (-along[1], along[0]), angle)


def _fields(canvas: _Canvas, rng: np.random.Generator) -> None:
    """A patchwork of ploughed and resting land on one side of the road, or on both."""
    for side in (-1, 1)[: rng.integers(1, 3)]:
        edges = np.cumsum(np.append(-_REACH, rng.uniform(50, 130, 8)))
        for left, right in pairwise(edges):
            label = rng.choice(["field", "grass", "bare soil"], p=[0.8, 0.12, 0.08])
            centre = ((left + right) / 2, side * (10 + _REACH / 2))
            _ground(canvas, rng, label, _box(centre, right - left - 3, _REACH))


def _patch(canvas: _Canvas, rng: np.random.Generator, label: str) -> None:
    _ground(canvas, rng, label, _blob(rng, _lot(canvas), rng.uniform(26, 50)))


def _boats(canvas: _Canvas, rng: np.random.Generator, places: Sequence[np.ndarray], angle: float) -> None:
    bow, side = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
    for place in places:
        hull = np.array([[-0.5, -0.17], [0.2, -0.2], [0.55, 0], [0.2, 0.2], [-0.5, 0.17]]) * rng.uniform(11, 15)
        _fill(canvas, [hull @ np.array([bow, side]) + place], _WHITE)
        _fill(canvas, [_box(place - 2 * bow, 4, 2.5, angle)], (70, 84, 110))


def _shore(canvas: _Canvas, rng: np.random.Generator) -> None:
    """Open water beyond a wavy coast, with a boat or two."""
    edge = rng.uniform(-20, 60)
    x = np.linspace(-_REACH, _REACH, 40)
    y = edge + rng.uniform(3, 14) * np.sin(x / rng.uniform(18, 60)) + rng.uniform(0, 4) * np.sin(x / 7)
    coast = np.column_stack([x, y])
    _ground(canvas, rng, "water", np.concatenate([coast, [[_REACH, 2 * _REACH], [-_REACH, 2 * _REACH]]]))
    _line(canvas, [coast], (206, 204, 190), 2.5)
    canvas.lots = [lot for lot in canvas.lots if lot[1] + 50 < edge]
    afloat = rng.uniform((-120, edge + 25), (120, edge + 90), (rng.integers(0, 4), 2))
    _boats(canvas, rng, list(afloat), rng.uniform(0, 6.3))


def _harbour(canvas: _Canvas, rng: np.random.Generator) -> None:
    """A straight quay with planked docks that boats lie at."""
    quay = rng.uniform(-30, 20)
    _ground(canvas, rng, "water", _box((0, quay + _REACH), 2 * _REACH, 2 * _REACH))
    _ground(canvas, rng, "pavement", _box((0, quay), 2 * _REACH, rng.uniform(8, 26)))
    canvas.lots = [lot for lot in canvas.lots if lot[1] + 42 < quay]
    wood = (int(rng.integers(130, 190)), 140, 118)
    for x in rng.uniform(-70, 70) + np.arange(rng.integers(1, 4)) * 62:
        length, pitch = rng.uniform(60, 110), rng.uniform(13, 17)
        fingers = np.arange(quay + 22, quay + length, pitch)
        _fill(canvas, [_box((x, quay + length / 2), 4.5, length)], wood, "dock")
        for side in (-1, 1):
            _fill(canvas, [_box((x + side * 10, y), 16, 2.2) for y in fingers], wood, "dock")
            berths = [np.array([x + side * 11, y + pitch / 2]) for y in fingers if rng.random() < 0.6]
            _boats(canvas, rng, berths, math.pi * (side < 0))


def _parking(canvas: _Canvas, rng: np.random.Generator) -> None:
    """Rows of marked bays, some empty: the white lines alone are no car."""
    x, y = _lot(canvas)
    _ground(canvas, rng, "pavement", _box((x, y), 84, 80))
    taken = rng.uniform(0.15, 0.95)
    for row in y + np.array([-30, -11, 11, 30]):
        bays = x + np.arange(-36, 37, 8.0)
        _line(canvas, [np.array([[bay - 4, row - 7], [bay - 4, row + 7]]) for bay in bays], _WHITE, 0.8)
        _cars(canvas, rng, np.array([(bay, row) for bay in bays if rng.random() < taken]).reshape(-1, 2), math.pi / 2)


def _houses(canvas: _Canvas, rng: np.random.Generator) -> None:
    """Up to four houses; the half of a gable roof that faces away from the sun is darker."""
    corners = _lot(canvas) + np.array([(-21, -21), (-21, 21), (21, -21), (21, 21)])[: rng.integers(1, 5)]
    walls = [(corner + rng.uniform(-4, 4, 2), rng.uniform(22, 34), rng.uniform(15, 22)) for corner in corners]
    _shade(canvas, [_box(*wall) for wall in walls], 9)
    for centre, length, width in walls:
        roof = _ROOFS[rng.integers(len(_ROOFS))]
        dark = (int(roof[0] * 0.75), int(roof[1] * 0.75), int(roof[2] * 0.75))
        _fill(canvas, [_box(centre, length, width)], roof, "buildings")
        centre[1] += math.copysign(width / 4, canvas.sun[1])
        _fill(canvas, [_box(centre, length, width / 2)], dark)


def _hall(canvas: _Canvas, rng: np.random.Generator) -> None:
    """One large flat roof with its machinery."""
    lot, length, width = _lot(canvas), rng.uniform(48, 78), rng.uniform(36, 76)
    roof = _ROOFS[rng.integers(2, len(_ROOFS))]
    _shade(canvas, [_box(lot, length, width)], rng.uniform(12, 26))
    _fill(canvas, [_box(lot, length, width)], (roof[0] // 2, roof[1] // 2, roof[2] // 2), "buildings")
    _fill(canvas, [_box(lot, length - 3, width - 3)], roof)
    spots = rng.permutation([(x, y) for x in (-16, -4, 8) for y in (-10, 2, 14)])[: rng.integers(1, 8)]
    units = [_box(lot + spot, 6, 5) for spot in spots]
    _shade(canvas, units, 4)
    _fill(canvas, units, (206, 206, 204))


def _tanks(canvas: _Canvas, rng: np.random.Generator) -> None:
    """A tank farm: round, ringed, alike."""
    x, y = _lot(canvas)
    count, radius = rng.integers(2, 4), rng.uniform(9, 13)
    turn = np.linspace(0, 2 * math.pi, 28)
    ring = np.column_stack([np.cos(turn), np.sin(turn)])
    offsets = (np.arange(count) - (count - 1) / 2) * radius * 2.5
    centres = [np.array([x + dx, y + dy]) for dx in offsets for dy in offsets if rng.random() < 0.85]
    paint = int(rng.integers(190, 236))
    _shade(canvas, [centre + radius * ring for centre in centres], 14)
    _fill(canvas, [centre + radius * ring for centre in centres], (paint, paint, paint - 6), "tanks")
    _line(canvas, [centre + radius * part * ring for centre in centres for part in (0.97, 0.35)], (120, 116, 112), 1.0)
    _line(canvas, [np.array([centre, centre + radius * ring[5]]) for centre in centres], (130, 126, 120), 1.0)


def _court(canvas: _Canvas, rng: np.random.Generator, lines: bool = True) -> None:
    """A hard court. Without its lines it is a playground in the same colours, which carries no label."""
    x, y = _lot(canvas)
    outer, inner = (_COURTS[k] for k in rng.permutation(len(_COURTS))[:2])
    inner = inner if rng.random() < 0.6 else outer
    for middle in y + np.array([-21, 21])[: rng.integers(1, 3)]:
        _fill(canvas, [_box((x, middle), 78, 41)], outer, "tennis court" if lines else None)
        _fill(canvas, [_box((x, middle), 56, 27)], inner)
        if lines:
            ends = np.array(_COURT_LINES, float).reshape(-1, 2, 2) + np.array([x, middle])
            _line(canvas, list(ends), _WHITE, 1.0)


def _plant(canvas: _Canvas, rng: np.random.Generator, places: np.ndarray, radius: float) -> None:
    """Trees at `places` [n, 2], on dry land only: crowns of lobes that grow lighter towards the sun."""
    column, row = np.clip(_pixels(canvas, places) >> _SUBPIXEL_BITS, 0, canvas.owner.shape[0] - 1).T
    places = places[canvas.owner[row, column] != LABELS.index("water")]
    sizes, greens = radius * rng.uniform(0.7, 1.3, len(places)), rng.uniform(0.75, 1.25, (len(places), 2))
    lean = rng.uniform(-0.5, 0.5, (len(places), 4, 2)) - 0.25 * canvas.sun
    mask = np.zeros_like(canvas.owner)
    scale = canvas.unit_px * 2**_SUBPIXEL_BITS
    for place, size in zip(_pixels(canvas, places + radius * canvas.sun).tolist(), sizes, strict=True):
        cv2.circle(mask, place, int(size * scale), 255, -1, cv2.LINE_AA, _SUBPIXEL_BITS)
    canvas.image[:] = canvas.image * (1 - mask[..., None] * np.float32(0.5 / 255))
    for place, size, lobes, (light, hue) in zip(places, sizes, lean, greens, strict=True):
        crown = _pixels(canvas, np.vstack([place, place + size * lobes])).tolist()
        for step, spot in enumerate(crown):
            bright = light * (0.8 + 0.13 * step)
            colour = (int(46 * bright * hue), int(72 * bright), int(40 * bright))
            reach = int(size * scale * (1 if step == 0 else 0.62 - 0.1 * step))
            cv2.circle(canvas.image, spot, reach, colour, -1, cv2.LINE_AA, _SUBPIXEL_BITS)
        cv2.circle(canvas.owner, crown[0], int(size * scale), LABELS.index("trees"), -1, cv2.LINE_8, _SUBPIXEL_BITS)


def _copse(canvas: _Canvas, rng: np.random.Generator) -> None:
    """A few trees, in a group or in a row, wherever they fall: over cars and roofs as well."""
    centre, heading = rng.uniform(-115, 115, 2), rng.uniform(0, math.pi)
    count, row = rng.integers(1, 8), rng.random() < 0.3
    steps = np.arange(count)[:, None] * 15 * np.array([math.cos(heading), math.sin(heading)])
    _plant(canvas, rng, centre + (steps if row else rng.normal(0, 14, (count, 2))), rng.uniform(6, 10))


def _forest(canvas: _Canvas, rng: np.random.Generator) -> None:
    """Closed canopy around a clearing, so that what lies in the middle can still be seen."""
    spots = np.stack(np.meshgrid(*[np.arange(-190, 191, 15.0)] * 2), -1).reshape(-1, 2)
    spots = rng.permutation(spots + rng.uniform(-6, 6, spots.shape))
    clear = rng.uniform(-60, 60, 2)
    _plant(canvas, rng, spots[np.hypot(*(spots - clear).T) > rng.uniform(0, 90)], rng.uniform(11.5, 14))


def _turbine(canvas: _Canvas, rng: np.random.Generator) -> None:
    """Thin pale tower and blades, seen at a slant, and their shadow."""
    foot = rng.uniform(-75, 75, 2)
    hub, turn, length = foot + rng.uniform(-26, 26, 2), rng.uniform(0, 2), rng.uniform(34, 52)
    blades = []
    for angle in turn + np.arange(3) * 2 * math.pi / 3:
        tip, side = length * np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
        blades.append(hub + np.array([-1.1 * side, 0.12 * tip + 1.8 * side, tip, 0.06 * tip - 1.1 * side]))
    away = foot + 60 * canvas.sun
    _shade(canvas, [blade - hub + away for blade in blades], 0)
    _line(canvas, [np.array([foot, away])], (70, 72, 70), 1.6)
    _line(canvas, [np.array([foot, hub])], _WHITE, 2.4, "wind turbine")
    for blade in blades:
        _fill(canvas, [blade], _WHITE, "wind turbine")


# From the ground up: what comes later covers what came before.
_PAINTERS: dict[str, Painter] = {
    "fields": _fields,
    "shore": _shore,
    "harbour": _harbour,
    "lawn": partial(_patch, label="grass"),
    "bare patch": partial(_patch, label="bare soil"),
    "pond": partial(_patch, label="water"),
    "road": _road,
    "street": partial(_road, busy=True),
    "court": _court,
    "playground": partial(_court, lines=False),
    "tanks": _tanks,
    "parking": _parking,
    "houses": _houses,
    "hall": _hall,
    "forest": _forest,
    "copse": _copse,
    "turbine": _turbine,
}


@dataclass(frozen=True)
class _Scene:
    weight: float
    """Share of all scenes."""
    grounds: dict[str, float]
    """What the scene stands on -> probability."""
    features: dict[str, tuple[float, int]]
    """Painter -> probability that it takes part, and then at most how many times."""


_SCENES: tuple[_Scene, ...] = (
    _Scene(0.23, {"grass": 0.8, "bare soil": 0.1, "pavement": 0.1}, {
        "street": (0.6, 1), "road": (0.15, 1), "houses": (0.9, 8), "court": (0.07, 2), "playground": (0.08, 1),
        "bare patch": (0.12, 1), "pond": (0.06, 1), "parking": (0.06, 1), "copse": (0.95, 8)}),
    _Scene(0.13, {"pavement": 0.85, "grass": 0.15}, {
        "street": (0.6, 1), "parking": (0.6, 3), "hall": (0.8, 5), "houses": (0.1, 2), "lawn": (0.3, 2),
        "court": (0.05, 1), "playground": (0.06, 1), "copse": (0.6, 5)}),
    _Scene(0.17, {"grass": 0.6, "field": 0.4}, {
        "fields": (0.9, 1), "road": (0.4, 1), "pond": (0.08, 1), "houses": (0.15, 2), "copse": (0.7, 4),
        "turbine": (0.04, 2)}),
    _Scene(0.12, {"bare soil": 1.0}, {
        "road": (0.3, 1), "street": (0.05, 1), "bare patch": (0.6, 3), "lawn": (0.12, 2), "pond": (0.06, 1),
        "hall": (0.05, 1), "copse": (0.4, 4), "turbine": (0.04, 3)}),
    _Scene(0.08, {"grass": 0.5, "bare soil": 0.3, "pavement": 0.2}, {
        "shore": (1.0, 1), "street": (0.25, 1), "houses": (0.25, 4), "parking": (0.1, 1), "copse": (0.6, 5)}),
    _Scene(0.045, {"grass": 0.5, "bare soil": 0.2, "pavement": 0.3}, {
        "harbour": (1.0, 1), "street": (0.2, 1), "houses": (0.3, 4), "parking": (0.2, 1), "copse": (0.5, 4)}),
    _Scene(0.13, {"grass": 0.7, "bare soil": 0.3}, {
        "road": (0.3, 1), "pond": (0.15, 1), "houses": (0.1, 1), "forest": (1.0, 1)}),
    _Scene(0.05, {"snow": 1.0}, {
        "road": (0.25, 1), "street": (0.1, 1), "pond": (0.1, 1), "houses": (0.3, 4), "copse": (0.5, 6)}),
    _Scene(0.045, {"pavement": 0.6, "bare soil": 0.4}, {
        "road": (0.4, 1), "street": (0.3, 1), "tanks": (0.45, 4), "hall": (0.8, 3), "parking": (0.25, 1),
        "lawn": (0.3, 2), "copse": (0.2, 3)}),
)  # fmt: skip


def draw_scene(rng: np.random.Generator, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws one aerial scene; small pictures are drawn larger and reduced.

    Returns:
        RGB, uint8 [size_px, size_px, 3], and targets, uint8 [len(LABELS)], at least one of them 1.
    """
    canvas = _blank(rng, size_px * max(1, math.ceil(128 / size_px)))
    scene = _SCENES[rng.choice(len(_SCENES), p=[scene.weight for scene in _SCENES])]
    _ground(canvas, rng, rng.choice(list(scene.grounds), p=list(scene.grounds.values())))
    for name, painter in _PAINTERS.items():
        chance, most = scene.features.get(name, (0.0, 1))
        for _ in range(rng.integers(1, most + 1) if rng.random() < chance else 0):
            painter(canvas, rng)
    leaves = 1 + 0.22 * noise_crop(rng, noise_tile(14, 2), canvas.owner.shape[0])
    leaves[canvas.owner != LABELS.index("trees")] = 1
    shares = np.bincount(canvas.owner.ravel(), minlength=256)[: len(LABELS)] / canvas.owner.size
    targets = (shares >= list(_VISIBLE_SHARE.values())).astype(np.uint8)
    return photograph(rng, canvas.image * leaves[..., None], size_px), targets


def write_jpeg(path: Path, image: np.ndarray) -> None:
    """Writes RGB uint8 [H, W, 3] with quality 95, as the competitions' files have it."""
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    assert done, f"OpenCV could not encode {path}"
    path.write_bytes(data.tobytes())


def write_satellite(root: Path, train: int, test: int, size_px: int, seed: int) -> None:
    """Writes a synthetic multi-label task in the layout of DACON 236201 (satellite).

    Image i of a part depends on (seed, part, i) only: a larger set begins with the smaller one. The tables are written
    last, so their presence means that every image is there. `answers.csv` holds the test labels, for judging only.

    Args:
        root: Folder, created if missing; files of the same names are replaced.
        train: Number of labelled images.
        test: Number of images without labels.
        size_px: Side of the square images.
        seed: Non-negative; another seed is another data set.
    """
    tables: dict[str, pd.DataFrame] = {}
    for part, (name, count) in enumerate({"train": train, "test": test}.items()):
        (root / name).mkdir(parents=True, exist_ok=True)
        rows: list[list[object]] = []
        for i in range(count):
            image, targets = draw_scene(np.random.default_rng([seed, part, i]), size_px)
            # Multiplying by a number prime to 36**8 never repeats and hides the order, as the real identifiers do.
            img_id = np.base_repr((2 * i + part + 1) * 1_743_477_068_953 % 36**8, 36).rjust(8, "0")
            write_jpeg(root / name / f"{img_id}.jpg", image)
            rows.append([img_id, f"./{name}/{img_id}.jpg", *targets])
        tables[name] = pd.DataFrame(rows, columns=["img_id", "img_path", *LABELS])
    answers = tables["test"].drop(columns="img_path")
    answers.to_csv(root / "answers.csv", index=False)
    answers.assign(**dict.fromkeys(LABELS, 0.0)).to_csv(root / "sample_submission.csv", index=False)
    tables["test"][["img_id", "img_path"]].to_csv(root / "test.csv", index=False)
    tables["train"].to_csv(root / "train.csv", index=False)
