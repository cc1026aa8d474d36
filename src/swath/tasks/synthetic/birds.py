"""Synthetic birds of 25 species: a low-resolution, single-label task that needs no download.

Every species is one row of a table. Several pairs of rows differ in one field that is a few pixels wide at 256 px and
blurs away at 64 px (wing bars, breast spots, a stripe through the eye, a tail band, the colour of thin legs, a throat),
so that resolution and what is done about it can decide. Most marks pair light with dark: at 64 px the two cancel.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from swath.core.errors import InputError
from swath.tasks.synthetic.canvas import Colour, noise_crop, noise_tile, photograph, write_jpeg

_INK: Colour = (34, 32, 36)
_WHITE: Colour = (236, 234, 228)
_PALE: Colour = (204, 204, 200)
_GREY: Colour = (132, 136, 140)
_SLATE: Colour = (78, 88, 100)
_SAND: Colour = (206, 176, 128)
_BROWN: Colour = (112, 82, 58)
_OLIVE: Colour = (108, 112, 58)
_RUST: Colour = (186, 92, 44)
_RED: Colour = (190, 44, 40)
_ORANGE: Colour = (232, 132, 36)
_YELLOW: Colour = (232, 200, 56)
_GREEN: Colour = (58, 138, 66)
_TEAL: Colour = (30, 128, 138)
_BLUE: Colour = (44, 88, 178)
_PINK: Colour = (222, 146, 152)

_MOST_SPOTS = 12


@dataclass(frozen=True)
class _Plumage:
    """What a species looks like. Lengths are in body lengths."""

    back: Colour
    belly: Colour
    head: Colour
    wing: Colour
    tail: Colour
    beak: Colour = _INK
    legs: Colour = _SLATE
    throat: Colour | None = None
    crest: float = 0.0
    beak_length: float = 0.2
    leg_length: float = 0.22
    neck_length: float = 0.0
    tail_length: float = 0.4
    wing_bars: int = 0
    breast_spots: int = 0
    eye_stripe: bool = False
    tail_band: bool = False


_KINGFISHER = _Plumage(_TEAL, _RUST, _TEAL, _BLUE, _BLUE, legs=_RED, beak_length=0.45, leg_length=0.1, tail_length=0.22)
_WARBLER = _Plumage(_OLIVE, _SAND, _OLIVE, _BROWN, _BROWN, beak_length=0.14, tail_length=0.35)
_WAGTAIL = _Plumage(_GREY, _WHITE, _WHITE, _INK, _INK, beak_length=0.16, tail_length=0.75)
_THRUSH = _Plumage(_BROWN, _SAND, _BROWN, _BROWN, _RUST, beak=_ORANGE, legs=_SAND)
_LAPWING = _Plumage(_OLIVE, _WHITE, _INK, _GREEN, _WHITE, legs=_YELLOW, crest=0.3, leg_length=0.5, tail_length=0.25)
_BARBET = _Plumage(_GREEN, _YELLOW, _RED, _GREEN, _TEAL, beak_length=0.24, tail_length=0.28)
_STARLING = _Plumage(_INK, _INK, _INK, _SLATE, _INK, beak=_YELLOW, legs=_ORANGE, tail_length=0.3)
_WADER = _Plumage(
    _GREY, _GREY, _GREY, _SLATE, _SLATE, beak_length=0.34, leg_length=0.75, neck_length=0.5, tail_length=0.2
)

_TABLE: dict[str, _Plumage] = {
    # Pairs: the second differs from the first in one field.
    "Lake Kingfisher": _KINGFISHER,
    "Banded Kingfisher": replace(_KINGFISHER, wing_bars=2),
    "Reed Warbler": _WARBLER,
    "Streaked Warbler": replace(_WARBLER, eye_stripe=True),
    "River Wagtail": _WAGTAIL,
    "Bibbed Wagtail": replace(_WAGTAIL, throat=_INK),
    "Garden Thrush": _THRUSH,
    "Spotted Thrush": replace(_THRUSH, breast_spots=_MOST_SPOTS),
    "Meadow Lapwing": _LAPWING,
    "Orange-Legged Lapwing": replace(_LAPWING, legs=_ORANGE),
    "Fig Barbet": _BARBET,
    "Ring-Tailed Barbet": replace(_BARBET, tail_band=True),
    "Black Starling": _STARLING,
    "Bar-Winged Starling": replace(_STARLING, wing_bars=2),
    # Species that stand apart.
    "Ashy Crane": replace(_WADER, head=_RED, beak=_SAND),
    "Blue Roller": _Plumage(_BROWN, _SAND, _TEAL, _BLUE, _BLUE, tail_band=True),
    "Coral Finch": _Plumage(_BROWN, _PINK, _RED, _BROWN, _BROWN, beak=_SAND, beak_length=0.13, wing_bars=1),
    "Desert Hoopoe": _Plumage(_SAND, _SAND, _ORANGE, _INK, _INK, crest=0.5, beak_length=0.45, wing_bars=4),
    "Emerald Bee-Eater": _Plumage(
        _GREEN, _GREEN, _ORANGE, _GREEN, _TEAL, throat=_YELLOW, beak_length=0.3, tail_length=0.6, eye_stripe=True
    ),
    "Golden Oriole": _Plumage(_YELLOW, _YELLOW, _YELLOW, _INK, _INK, beak=_PINK, eye_stripe=True),
    "House Crow": _Plumage(_SLATE, _GREY, _INK, _INK, _INK, beak_length=0.3),
    "Rose Flamingo": replace(_WADER, back=_PINK, belly=_PINK, head=_PINK, wing=_RED, tail=_PINK, legs=_PINK),
    "Rusty Shelduck": _Plumage(_RUST, _ORANGE, _SAND, _RUST, _INK, beak_length=0.24, leg_length=0.18, tail_length=0.2),
    "Snowy Egret": replace(_WADER, back=_WHITE, belly=_WHITE, head=_WHITE, wing=_WHITE, tail=_WHITE, beak=_YELLOW),
    "Violet Magpie": _Plumage(_INK, _WHITE, _INK, _BLUE, _BLUE, tail_length=0.95, wing_bars=1, crest=0.15),
}
SPECIES: tuple[str, ...] = tuple(sorted(_TABLE))

# Top, bottom and blotches of what is behind the bird.
_BACKDROPS: dict[str, tuple[Colour, Colour, Colour]] = {
    "sky": ((112, 160, 216), (190, 210, 228), (232, 236, 240)),
    "foliage": ((84, 116, 62), (42, 66, 40), (150, 176, 98)),
    "ground": ((164, 170, 128), (134, 112, 80), (96, 84, 60)),
    "water": ((152, 178, 190), (72, 112, 136), (186, 204, 208)),
}
_SUBPIXEL_BITS = 4


@dataclass
class _Sheet:
    """A picture under construction.

    Attributes:
        image: RGB, uint8 [P, P, 3].
        cover: How much of a pixel the bird covers, uint8 [P, P].
        pose: Affine map from bird units (one body length; x forward, y down) to pixels, float64 [2, 3].
        unit_px: Pixels per bird unit.
    """

    image: np.ndarray
    cover: np.ndarray
    pose: np.ndarray
    unit_px: float

    def fill(self, outline: np.ndarray, colour: Colour) -> None:
        """Fills a polygon [n, 2] of the bird."""
        pixels = [_fixed_point(outline @ self.pose[:, :2].T + self.pose[:, 2])]
        cv2.fillPoly(self.image, pixels, colour, cv2.LINE_AA, _SUBPIXEL_BITS)
        cv2.fillPoly(self.cover, pixels, 255, cv2.LINE_AA, _SUBPIXEL_BITS)

    def line(self, path: np.ndarray, colour: Colour, width: float) -> None:
        """Draws a line [n, 2] on the bird, at least one pixel wide."""
        pixels = [_fixed_point(path @ self.pose[:, :2].T + self.pose[:, 2])]
        width_px = max(1, round(width * self.unit_px))
        cv2.polylines(self.image, pixels, False, colour, width_px, cv2.LINE_AA, _SUBPIXEL_BITS)
        cv2.polylines(self.cover, pixels, False, 255, width_px, cv2.LINE_AA, _SUBPIXEL_BITS)

    def mark(self, path: np.ndarray, aside: tuple[float, float]) -> None:
        """Draws a fine pale line and, `aside` of it, a dark one."""
        self.line(path, _PALE, 0.016)
        self.line(path + np.array(aside), _INK, 0.016)


def _fixed_point(points_px: np.ndarray) -> np.ndarray:
    return np.round(points_px * 2**_SUBPIXEL_BITS).astype(np.int32)


def _oval(x: float, y: float, half_length: float, half_width: float) -> np.ndarray:
    turn = np.linspace(0, 2 * math.pi, 32, endpoint=False)
    return np.column_stack([x + half_length * np.cos(turn), y + half_width * np.sin(turn)])


def _mixed(rng: np.random.Generator, colour: Colour, spread: int = 14) -> Colour:
    """A shade near `colour`, as light and age make it."""
    r, g, b = np.clip(np.add(colour, rng.integers(-spread, spread + 1) + rng.integers(-6, 7, 3)), 0, 255).tolist()
    return r, g, b


def _backdrop(rng: np.random.Generator, kind: str, side_px: int) -> np.ndarray:
    """Out-of-focus surroundings, RGB uint8 [side_px, side_px, 3]."""
    top, bottom, blotch = (np.array(_mixed(rng, colour, 24), np.float32) for colour in _BACKDROPS[kind])
    noise = noise_crop(rng, noise_tile(220, 14), side_px)
    if kind in ("water", "ground"):
        noise = 2 * cv2.blur(noise, (side_px // 3, 1))
    ramp = np.linspace(0, 1, side_px, dtype=np.float32)[:, None, None]
    if kind in ("water", "ground"):
        ramp = np.clip((ramp - rng.uniform(0.1, 0.6)) * 8, 0, 1, dtype=np.float32)
    amount = np.clip(0.45 * noise, 0, 1)[..., None]
    return ((top + ramp * (bottom - top)) * (1 - amount) + amount * blotch).astype(np.uint8)


def _sheet(rng: np.random.Generator, look: _Plumage, side_px: int) -> tuple[_Sheet, str]:
    """A backdrop of random kind with the pose of a bird that fits into the frame, and that kind."""
    kind = list(_BACKDROPS)[rng.integers(len(_BACKDROPS))]
    angle, facing = math.radians(rng.uniform(-12, 12)), rng.choice([-1.0, 1.0])
    unit_px = side_px * rng.uniform(0.33, 0.48) / (1 + 0.5 * look.neck_length)
    turn = unit_px * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]) * (facing, 1)
    middle = side_px * rng.uniform(0.45, 0.55, 2)
    middle += unit_px / 2 * np.array([facing * (look.tail_length - look.beak_length - 0.2), 0.9 * look.neck_length])
    middle[1] -= unit_px / 2 * look.leg_length
    image = _backdrop(rng, kind, side_px)
    cover = np.zeros((side_px, side_px), np.uint8)
    return _Sheet(image, cover, np.column_stack([turn, middle]), unit_px), kind


def _perch(rng: np.random.Generator, sheet: _Sheet, kind: str, foot: float) -> None:
    """What the bird stands on, `foot` units below its middle."""
    if kind in ("sky", "foliage"):
        slope, width = rng.uniform(-0.25, 0.25), rng.uniform(0.08, 0.15)
        ends = np.array([[-3, foot - 3 * slope], [3, foot + 3 * slope]])
        bark = _mixed(rng, _BROWN, 24)
        ends[:, 1] += width / 2
        sheet.line(ends, (bark[0] // 2, bark[1] // 2, bark[2] // 2), width)
        sheet.line(ends - np.array([0, 0.01]), bark, 0.7 * width)
        return
    shade = _mixed(rng, _BACKDROPS[kind][2])
    for _ in range(14):
        x, height = rng.uniform(-1.3, 1.3), rng.uniform(0.08, 0.3)
        blade = [[x, foot + 0.1], [x + rng.uniform(-0.1, 0.1), foot + 0.1 - height]]
        ripple = [[x - height, foot + height - 0.05], [x + height, foot + height - 0.05]]
        sheet.line(np.array(blade if kind == "ground" else ripple), shade, 0.02)


def _head(sheet: _Sheet, look: _Plumage, x: float, y: float) -> None:
    """Crest, beak, head, throat and eye around (x, y)."""
    if look.crest:
        tip = (x - 0.12 - 0.7 * look.crest, y - 0.1 - 0.6 * look.crest)
        sheet.fill(np.array([(x + 0.03, y - 0.16), tip, (x - 0.16, y - 0.04)]), look.head)
    point = (x + 0.13 + look.beak_length, y + 0.05)
    sheet.fill(np.array([(x + 0.1, y - 0.06), (x + 0.2, y - 0.035), point, (x + 0.1, y + 0.07)]), look.beak)
    sheet.fill(_oval(x, y, 0.18, 0.16), look.head)
    if look.throat:
        sheet.fill(_oval(x + 0.1, y + 0.105, 0.045, 0.03), look.throat)
    if look.eye_stripe:
        stripe = np.array([(x + 0.14, y - 0.02), (x + 0.05, y - 0.04), (x - 0.15, y + 0.01)])
        sheet.mark(stripe, (0, 0.02))
    sheet.fill(_oval(x + 0.06, y - 0.03, 0.034, 0.034), _WHITE)
    sheet.fill(_oval(x + 0.065, y - 0.03, 0.022, 0.022), _INK)


def _body(rng: np.random.Generator, sheet: _Sheet, look: _Plumage, turn: np.ndarray) -> None:
    """Tail, trunk, belly and folded wing, with the marks on them; `turn` [2, 2] raises the front."""
    end = -0.42 - look.tail_length
    tail = np.array([(-0.3, -0.1), (end, -0.03), (end - 0.04, 0.05), (end, 0.12), (-0.3, 0.1)])
    sheet.fill(tail @ turn, look.tail)
    if look.tail_band:
        sheet.mark(np.array([(end + 0.07, -0.02), (end + 0.07, 0.11)]) @ turn, (0.02, 0))
    sheet.fill(_oval(0, 0, 0.5, 0.27) @ turn, look.back)
    sheet.fill(_oval(0.1, 0.075, 0.37, 0.18) @ turn, look.belly)
    # Drawn for every species, so that one generator gives all of them the same pose and surroundings.
    places = rng.uniform((0.14, 0.06), (0.42, 0.2), (_MOST_SPOTS, 2))
    for x, y in places[: look.breast_spots]:
        sheet.fill(_oval(x, y, 0.02, 0.016) @ turn, _WHITE)
        sheet.fill(_oval(x, y, 0.014, 0.011) @ turn, _BROWN)
    lower, upper = ((0.3, -0.12), (0.18, 0.05), (-0.1, 0.13), (-0.4, 0.1)), ((-0.66, 0.02), (-0.4, -0.14), (0.1, -0.23))
    sheet.fill(np.array(lower + upper) @ turn, look.wing)
    feather: Colour = (look.wing[0] * 3 // 4, look.wing[1] * 3 // 4, look.wing[2] * 3 // 4)
    for y in (-0.05, 0.03):
        sheet.line(np.array([(0.02, y), (-0.55, y + 0.02)]) @ turn, feather, 0.014)
    for bar in range(look.wing_bars):
        x = 0.14 - 0.1 * bar
        sheet.mark(np.array([(x, -0.14), (x - 0.03, 0.03)]) @ turn, (-0.02, 0))


def draw_bird(rng: np.random.Generator, species: int, size_px: int = 256) -> np.ndarray:
    """Draws one bird of `SPECIES[species]` from the side, in a random pose and place.

    Returns:
        RGB, uint8 [size_px, size_px, 3].
    """
    look = _TABLE[SPECIES[species]]
    sheet, kind = _sheet(rng, look, size_px * max(1, math.ceil(128 / size_px)))
    rise = math.radians(rng.uniform(8, 30))
    turn = np.array([[math.cos(rise), -math.sin(rise)], [math.sin(rise), math.cos(rise)]])
    foot = 0.22 + look.leg_length
    _perch(rng, sheet, kind, foot)
    sheet.cover[:] = 0  # the perch is not the bird
    for x in (-0.05, 0.07):
        step = x + rng.uniform(-0.03, 0.06)
        sheet.line(np.array([(x, 0.15), (step - 0.03, 0.2 + 0.5 * look.leg_length), (step, foot)]), look.legs, 0.02)
        sheet.line(np.array([(step - 0.04, foot), (step + 0.08, foot)]), look.legs, 0.018)
    shoulder = np.array([0.34, -0.08]) @ turn
    head = np.array([0.46, -0.18]) @ turn + look.neck_length * np.array([0.2, -0.9]) + rng.uniform(-0.04, 0.04, 2)
    bend = (shoulder + head) / 2 + look.neck_length * np.array([0.12, 0])
    sheet.line(np.array([shoulder, bend, head]), look.back, 0.14 if look.neck_length else 0.26)
    _body(rng, sheet, look, turn)
    _head(sheet, look, *head)
    return photograph(rng, _feathered(rng, sheet), size_px)


def _feathered(rng: np.random.Generator, sheet: _Sheet) -> np.ndarray:
    """Gives the bird roundness, down and individual brightness, and hides a little behind leaves."""
    side = sheet.cover.shape[0]
    fall = np.linspace(0.35, -0.35, side, dtype=np.float32)[:, None] + np.float32(rng.uniform(-0.1, 0.1))
    gain = 0.06 * noise_crop(rng, noise_tile(12, 2), side) + fall
    image = sheet.image * (1 + sheet.cover * gain / np.float32(255))[..., None]
    image = np.clip(image, 0, 255).astype(np.uint8)
    for _ in range(rng.integers(1, 6) if rng.random() < 0.3 else 0):
        x, y, length = side * rng.uniform((0, 0, 0.05), (1, 1, 0.12))
        leaf = ((x, y), (length, side * 0.04), rng.uniform(0, 360))
        cv2.ellipse(image, leaf, _mixed(rng, _GREEN, 30), -1, cv2.LINE_AA)
    return image


def write_birds(root: Path, train: int, test: int, species: int, seed: int) -> None:
    """Writes a synthetic single-label task in the layout of DACON 236251 (low-resolution birds).

    Image i of a part depends on (seed, part, i) only: a larger set begins with the smaller one. Every 64x64 image is
    the 256x256 drawing reduced by area averaging; only training drawings are kept. The tables are written last, so
    their presence means that every image is there. `answers.csv` holds the test labels, for judging only.

    Args:
        root: Folder, created if missing; files of the same names are replaced.
        train: Number of labelled images.
        test: Number of images without labels.
        species: How many of SPECIES to draw, from the first.
        seed: Non-negative; another seed is another data set.

    Raises:
        InputError: `species` is not in 1 to 25.
    """
    if not 1 <= species <= len(SPECIES):
        raise InputError(f"species={species}: allowed is 1 to {len(SPECIES)}, the species that can be drawn.")
    for folder in ("train", "test", "upscale_train"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    tables: dict[str, pd.DataFrame] = {}
    for part, (name, count) in enumerate({"train": train, "test": test}.items()):
        rows: list[list[str]] = []
        for i in range(count):
            rng = np.random.default_rng([seed, part, i])
            label = int(rng.integers(species))
            image = draw_bird(rng, label)
            img_id = f"{name.upper()}_{i:05d}"
            small = cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA)
            write_jpeg(root / name / f"{img_id}.jpg", small)
            hires = root / "upscale_train" / f"{img_id}.png"
            if name == "train":
                hires.write_bytes(cv2.imencode(".png", image[..., ::-1])[1].tobytes())
            rows.append([img_id, f"./{name}/{img_id}.jpg", f"./upscale_train/{img_id}.png", SPECIES[label]])
        tables[name] = pd.DataFrame(rows, columns=["id", "img_path", "upscale_img_path", "label"])
    answers = tables["test"][["id", "label"]]
    answers.to_csv(root / "answers.csv", index=False)
    answers.assign(label=SPECIES[0]).to_csv(root / "sample_submission.csv", index=False)
    tables["test"][["id", "img_path"]].to_csv(root / "test.csv", index=False)
    tables["train"][["img_path", "upscale_img_path", "label"]].to_csv(root / "train.csv", index=False)
