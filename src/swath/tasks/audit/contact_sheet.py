"""Contact sheets: the images of a finding with their ids, a group in each row."""

import io
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from swath.preprocess.image_files import UnreadableImageError, read_image

_TILE, _GAP, _TEXT = 160, 8, 30
_WIDEST = 6


def contact_sheet(groups: Sequence[Sequence[str]], path_of: dict[str, str], caption: Callable[[str], str]) -> bytes:
    """Draw groups of images, one group a row, up to six images each.

    Args:
        groups: Ids.
        path_of: Id to file.
        caption: The second line below an image, after its id.

    Returns:
        A PNG.
    """
    columns = min(_WIDEST, max(map(len, groups)))
    size = (_GAP + columns * (_TILE + _GAP), _GAP + len(groups) * (_TILE + _TEXT + _GAP))
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=11)
    for y, group in enumerate(groups):
        for x, name in enumerate(group[:columns]):
            left, top = _GAP + x * (_TILE + _GAP), _GAP + y * (_TILE + _TEXT + _GAP)
            sheet.paste(_tile(path_of[name]), (left, top))
            draw.text((left, top + _TILE + 1), _cut(name), fill="black", font=font)
            draw.text((left, top + _TILE + 14), _cut(caption(name)), fill="#666666", font=font)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _tile(path: str) -> Image.Image:
    """The image inside a square, a cross where it cannot be read."""
    tile = Image.new("RGB", (_TILE, _TILE), "#e6e6e6")
    try:
        image = read_image(path)
    except UnreadableImageError:
        draw = ImageDraw.Draw(tile)
        draw.line((0, 0, _TILE, _TILE), fill="#b00020", width=2)
        draw.line((0, _TILE, _TILE, 0), fill="#b00020", width=2)
        return tile
    scale = _TILE / max(image.shape[:2])
    width, height = (max(1, round(side * scale)) for side in image.shape[1::-1])
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    tile.paste(Image.fromarray(small.astype(np.uint8)), ((_TILE - width) // 2, (_TILE - height) // 2))
    return tile


def _cut(text: str, limit: int = 27) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
