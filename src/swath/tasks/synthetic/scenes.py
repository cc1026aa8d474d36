"""Synthetic aerial photographs with several labels each: a satellite task that needs no download.

A scene is laid out in its own coordinates (256 units a side, origin in the middle) and drawn through a random
rotation, zoom and shift: grounds, then roads, objects, trees, each by its painter.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from swath.tasks.synthetic.canvas import (
    LABELS,
    REACH,
    SUBPIXEL_BITS,
    VISIBLE_SHARE,
    Canvas,
    Colour,
    blank_canvas,
    blob,
    box,
    cast_shadows,
    cover_ground,
    draw_line,
    fill,
    noise_crop,
    noise_tile,
    photograph,
    to_pixels,
    write_jpeg,
)

Painter = Callable[["Canvas", np.random.Generator], None]
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


def _lot(canvas: Canvas) -> np.ndarray:
    """Centre of a free lot; with none left a place out of sight, where drawing does nothing."""
    return canvas.lots.pop() if canvas.lots else np.array([4 * REACH, 4 * REACH])


def _cars(canvas: Canvas, rng: np.random.Generator, places: np.ndarray, angle: float) -> None:
    """Parks cars, 12 x 5.5 units, at `places` [n, 2], headed along `angle`."""
    bodies = [box(place, rng.uniform(10.5, 13), 5.5, angle) for place in places]
    cast_shadows(canvas, bodies, 3)
    for body in bodies:
        fill(canvas, [body], _PAINTS[rng.integers(len(_PAINTS))], "cars")
    along = np.array([math.cos(angle), math.sin(angle)])
    fill(canvas, [box(place + 1.8 * along, 2.2, 4.6, angle) for place in places], (28, 34, 44))
    fill(canvas, [box(place - 3.6 * along, 1.4, 4.4, angle) for place in places], (34, 40, 48))


def _road(canvas: Canvas, rng: np.random.Generator, busy: bool = False) -> None:
    """Roads between the lots, one along x and at times one across; cars on busy ones only."""
    grey, width, traffic = int(rng.integers(78, 116)), rng.uniform(13, 19), rng.uniform(4, 17) * busy
    for angle in (0.0, math.pi / 2)[: 1 + int(rng.random() < 0.4)]:
        along = np.array([math.cos(angle), math.sin(angle)])
        middle = np.array([-REACH, REACH])[:, None] * along
        draw_line(canvas, [middle], (grey + 56, grey + 54, grey + 50), width + 3.5)
        draw_line(canvas, [middle], (grey, grey, grey + 2), width, "road")
        dashes = np.arange(-REACH, REACH, 13)
        draw_line(canvas, [np.array([d, d + 6])[:, None] * along for d in dashes], (222, 218, 196), 1.1)
        places = rng.permutation(np.arange(-REACH, REACH, 19))[: rng.poisson(traffic)]
        across = rng.choice([-width / 4, width / 4], len(places))
        _cars(canvas, rng, places[:, None] * along + across[:, None] * (-along[1], along[0]), angle)


def _fields(canvas: Canvas, rng: np.random.Generator) -> None:
    """A patchwork of ploughed and resting land on one side of the road, or on both."""
    for side in (-1, 1)[: rng.integers(1, 3)]:
        edges = np.cumsum(np.append(-REACH, rng.uniform(50, 130, 8)))
        for left, right in pairwise(edges):
            label = rng.choice(["field", "grass", "bare soil"], p=[0.8, 0.12, 0.08])
            centre = ((left + right) / 2, side * (10 + REACH / 2))
            cover_ground(canvas, rng, label, box(centre, right - left - 3, REACH))


def _patch(canvas: Canvas, rng: np.random.Generator, label: str) -> None:
    cover_ground(canvas, rng, label, blob(rng, _lot(canvas), rng.uniform(26, 50)))


def _boats(canvas: Canvas, rng: np.random.Generator, places: Sequence[np.ndarray], angle: float) -> None:
    bow, side = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
    for place in places:
        hull = np.array([[-0.5, -0.17], [0.2, -0.2], [0.55, 0], [0.2, 0.2], [-0.5, 0.17]]) * rng.uniform(11, 15)
        fill(canvas, [hull @ np.array([bow, side]) + place], _WHITE)
        fill(canvas, [box(place - 2 * bow, 4, 2.5, angle)], (70, 84, 110))


def _shore(canvas: Canvas, rng: np.random.Generator) -> None:
    """Open water beyond a wavy coast, with a boat or two."""
    edge = rng.uniform(-20, 60)
    x = np.linspace(-REACH, REACH, 40)
    y = edge + rng.uniform(3, 14) * np.sin(x / rng.uniform(18, 60)) + rng.uniform(0, 4) * np.sin(x / 7)
    coast = np.column_stack([x, y])
    cover_ground(canvas, rng, "water", np.concatenate([coast, [[REACH, 2 * REACH], [-REACH, 2 * REACH]]]))
    draw_line(canvas, [coast], (206, 204, 190), 2.5)
    canvas.lots = [lot for lot in canvas.lots if lot[1] + 50 < edge]
    afloat = rng.uniform((-120, edge + 25), (120, edge + 90), (rng.integers(0, 4), 2))
    _boats(canvas, rng, list(afloat), rng.uniform(0, 6.3))


def _harbour(canvas: Canvas, rng: np.random.Generator) -> None:
    """A straight quay with planked docks that boats lie at."""
    quay = rng.uniform(-30, 20)
    cover_ground(canvas, rng, "water", box((0, quay + REACH), 2 * REACH, 2 * REACH))
    cover_ground(canvas, rng, "pavement", box((0, quay), 2 * REACH, rng.uniform(8, 26)))
    canvas.lots = [lot for lot in canvas.lots if lot[1] + 42 < quay]
    wood = (int(rng.integers(130, 190)), 140, 118)
    for x in rng.uniform(-70, 70) + np.arange(rng.integers(1, 4)) * 62:
        length, pitch = rng.uniform(60, 110), rng.uniform(13, 17)
        fingers = np.arange(quay + 22, quay + length, pitch)
        fill(canvas, [box((x, quay + length / 2), 4.5, length)], wood, "dock")
        for side in (-1, 1):
            fill(canvas, [box((x + side * 10, y), 16, 2.2) for y in fingers], wood, "dock")
            berths = [np.array([x + side * 11, y + pitch / 2]) for y in fingers if rng.random() < 0.6]
            _boats(canvas, rng, berths, math.pi * (side < 0))


def _parking(canvas: Canvas, rng: np.random.Generator) -> None:
    """Rows of marked bays, some empty: the white lines alone are no car."""
    x, y = _lot(canvas)
    cover_ground(canvas, rng, "pavement", box((x, y), 84, 80))
    taken = rng.uniform(0.15, 0.95)
    for row in y + np.array([-30, -11, 11, 30]):
        bays = x + np.arange(-36, 37, 8.0)
        draw_line(canvas, [np.array([[bay - 4, row - 7], [bay - 4, row + 7]]) for bay in bays], _WHITE, 0.8)
        _cars(canvas, rng, np.array([(bay, row) for bay in bays if rng.random() < taken]).reshape(-1, 2), math.pi / 2)


def _houses(canvas: Canvas, rng: np.random.Generator) -> None:
    """Up to four houses; the half of a gable roof that faces away from the sun is darker."""
    corners = _lot(canvas) + np.array([(-21, -21), (-21, 21), (21, -21), (21, 21)])[: rng.integers(1, 5)]
    walls = [(corner + rng.uniform(-4, 4, 2), rng.uniform(22, 34), rng.uniform(15, 22)) for corner in corners]
    cast_shadows(canvas, [box(*wall) for wall in walls], 9)
    for centre, length, width in walls:
        roof = _ROOFS[rng.integers(len(_ROOFS))]
        dark = (int(roof[0] * 0.75), int(roof[1] * 0.75), int(roof[2] * 0.75))
        fill(canvas, [box(centre, length, width)], roof, "buildings")
        centre[1] += math.copysign(width / 4, canvas.sun[1])
        fill(canvas, [box(centre, length, width / 2)], dark)


def _hall(canvas: Canvas, rng: np.random.Generator) -> None:
    """One large flat roof with its machinery."""
    lot, length, width = _lot(canvas), rng.uniform(48, 78), rng.uniform(36, 76)
    roof = _ROOFS[rng.integers(2, len(_ROOFS))]
    cast_shadows(canvas, [box(lot, length, width)], rng.uniform(12, 26))
    fill(canvas, [box(lot, length, width)], (roof[0] // 2, roof[1] // 2, roof[2] // 2), "buildings")
    fill(canvas, [box(lot, length - 3, width - 3)], roof)
    spots = rng.permutation([(x, y) for x in (-16, -4, 8) for y in (-10, 2, 14)])[: rng.integers(1, 8)]
    units = [box(lot + spot, 6, 5) for spot in spots]
    cast_shadows(canvas, units, 4)
    fill(canvas, units, (206, 206, 204))


def _tanks(canvas: Canvas, rng: np.random.Generator) -> None:
    """A tank farm: round, ringed, alike."""
    x, y = _lot(canvas)
    count, radius = rng.integers(2, 4), rng.uniform(9, 13)
    turn = np.linspace(0, 2 * math.pi, 28)
    ring = np.column_stack([np.cos(turn), np.sin(turn)])
    offsets = (np.arange(count) - (count - 1) / 2) * radius * 2.5
    centres = [np.array([x + dx, y + dy]) for dx in offsets for dy in offsets if rng.random() < 0.85]
    paint = int(rng.integers(190, 236))
    cast_shadows(canvas, [centre + radius * ring for centre in centres], 14)
    fill(canvas, [centre + radius * ring for centre in centres], (paint, paint, paint - 6), "tanks")
    draw_line(
        canvas, [centre + radius * part * ring for centre in centres for part in (0.97, 0.35)], (120, 116, 112), 1.0
    )
    draw_line(canvas, [np.array([centre, centre + radius * ring[5]]) for centre in centres], (130, 126, 120), 1.0)


def _court(canvas: Canvas, rng: np.random.Generator, lines: bool = True) -> None:
    """A hard court. Without its lines it is a playground in the same colours, which carries no label."""
    x, y = _lot(canvas)
    outer, inner = (_COURTS[k] for k in rng.permutation(len(_COURTS))[:2])
    inner = inner if rng.random() < 0.6 else outer
    for middle in y + np.array([-21, 21])[: rng.integers(1, 3)]:
        fill(canvas, [box((x, middle), 78, 41)], outer, "tennis court" if lines else None)
        fill(canvas, [box((x, middle), 56, 27)], inner)
        if lines:
            ends = np.array(_COURT_LINES, float).reshape(-1, 2, 2) + np.array([x, middle])
            draw_line(canvas, list(ends), _WHITE, 1.0)


def _plant(canvas: Canvas, rng: np.random.Generator, places: np.ndarray, radius: float) -> None:
    """Trees at `places` [n, 2], on dry land only: crowns of lobes that grow lighter towards the sun."""
    column, row = np.clip(to_pixels(canvas, places) >> SUBPIXEL_BITS, 0, canvas.owner.shape[0] - 1).T
    places = places[canvas.owner[row, column] != LABELS.index("water")]
    sizes, greens = radius * rng.uniform(0.7, 1.3, len(places)), rng.uniform(0.75, 1.25, (len(places), 2))
    lean = rng.uniform(-0.5, 0.5, (len(places), 4, 2)) - 0.25 * canvas.sun
    mask = np.zeros_like(canvas.owner)
    scale = canvas.unit_px * 2**SUBPIXEL_BITS
    for place, size in zip(to_pixels(canvas, places + radius * canvas.sun).tolist(), sizes, strict=True):
        cv2.circle(mask, place, int(size * scale), 255, -1, cv2.LINE_AA, SUBPIXEL_BITS)
    canvas.image[:] = canvas.image * (1 - mask[..., None] * np.float32(0.5 / 255))
    for place, size, lobes, (light, hue) in zip(places, sizes, lean, greens, strict=True):
        crown = to_pixels(canvas, np.vstack([place, place + size * lobes])).tolist()
        for step, spot in enumerate(crown):
            bright = light * (0.8 + 0.13 * step)
            colour = (int(46 * bright * hue), int(72 * bright), int(40 * bright))
            reach = int(size * scale * (1 if step == 0 else 0.62 - 0.1 * step))
            cv2.circle(canvas.image, spot, reach, colour, -1, cv2.LINE_AA, SUBPIXEL_BITS)
        cv2.circle(canvas.owner, crown[0], int(size * scale), LABELS.index("trees"), -1, cv2.LINE_8, SUBPIXEL_BITS)


def _copse(canvas: Canvas, rng: np.random.Generator) -> None:
    """A few trees, in a group or in a row, wherever they fall: over cars and roofs as well."""
    centre, heading = rng.uniform(-115, 115, 2), rng.uniform(0, math.pi)
    count, row = rng.integers(1, 8), rng.random() < 0.3
    steps = np.arange(count)[:, None] * 15 * np.array([math.cos(heading), math.sin(heading)])
    _plant(canvas, rng, centre + (steps if row else rng.normal(0, 14, (count, 2))), rng.uniform(6, 10))


def _forest(canvas: Canvas, rng: np.random.Generator) -> None:
    """Closed canopy around a clearing, so that what lies in the middle can still be seen."""
    spots = np.stack(np.meshgrid(*[np.arange(-190, 191, 15.0)] * 2), -1).reshape(-1, 2)
    spots = rng.permutation(spots + rng.uniform(-6, 6, spots.shape))
    clear = rng.uniform(-60, 60, 2)
    _plant(canvas, rng, spots[np.hypot(*(spots - clear).T) > rng.uniform(0, 90)], rng.uniform(11.5, 14))


def _turbine(canvas: Canvas, rng: np.random.Generator) -> None:
    """Thin pale tower and blades, seen at a slant, and their shadow."""
    foot = rng.uniform(-75, 75, 2)
    hub, turn, length = foot + rng.uniform(-26, 26, 2), rng.uniform(0, 2), rng.uniform(34, 52)
    blades = []
    for angle in turn + np.arange(3) * 2 * math.pi / 3:
        tip, side = length * np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
        blades.append(hub + np.array([-1.1 * side, 0.12 * tip + 1.8 * side, tip, 0.06 * tip - 1.1 * side]))
    away = foot + 60 * canvas.sun
    cast_shadows(canvas, [blade - hub + away for blade in blades], 0)
    draw_line(canvas, [np.array([foot, away])], (70, 72, 70), 1.6)
    draw_line(canvas, [np.array([foot, hub])], _WHITE, 2.4, "wind turbine")
    for blade in blades:
        fill(canvas, [blade], _WHITE, "wind turbine")


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
        "bare patch": (0.12, 1), "pond": (0.06, 1), "parking": (0.06, 1), "copse": (0.9, 8)}),
    _Scene(0.13, {"pavement": 0.85, "grass": 0.15}, {
        "street": (0.6, 1), "parking": (0.6, 3), "hall": (0.8, 5), "houses": (0.1, 2), "lawn": (0.3, 2),
        "court": (0.05, 1), "playground": (0.06, 1), "copse": (0.6, 5)}),
    _Scene(0.17, {"grass": 0.6, "field": 0.4}, {
        "fields": (0.9, 1), "road": (0.4, 1), "pond": (0.08, 1), "houses": (0.15, 2), "copse": (0.65, 4),
        "turbine": (0.04, 2)}),
    _Scene(0.12, {"bare soil": 1.0}, {
        "road": (0.3, 1), "street": (0.05, 1), "bare patch": (0.6, 3), "lawn": (0.12, 2), "pond": (0.06, 1),
        "hall": (0.05, 1), "copse": (0.36, 4), "turbine": (0.04, 3)}),
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
    canvas = blank_canvas(rng, size_px * max(1, math.ceil(128 / size_px)))
    scene = _SCENES[rng.choice(len(_SCENES), p=[scene.weight for scene in _SCENES])]
    cover_ground(canvas, rng, rng.choice(list(scene.grounds), p=list(scene.grounds.values())))
    for name, painter in _PAINTERS.items():
        chance, most = scene.features.get(name, (0.0, 1))
        for _ in range(rng.integers(1, most + 1) if rng.random() < chance else 0):
            painter(canvas, rng)
    leaves = 1 + 0.22 * noise_crop(rng, noise_tile(14, 2), canvas.owner.shape[0])
    leaves[canvas.owner != LABELS.index("trees")] = 1
    shares = np.bincount(canvas.owner.ravel(), minlength=256)[: len(LABELS)] / canvas.owner.size
    targets = (shares >= list(VISIBLE_SHARE.values())).astype(np.uint8)
    return photograph(rng, canvas.image * leaves[..., None], size_px), targets


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
