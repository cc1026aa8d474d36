"""COCO json: annotations of high-resolution images, written in the standard form, read in that or as a flat list."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from swath.core.errors import InputError, raise_if_any
from swath.models.detection.boxes import Box, Detection, Polygon
from swath.store.storage import write_atomic


@dataclass(frozen=True)
class Labelled:
    """An image and what was found in it.

    Attributes:
        name: File name, relative to the images' folder.
        width: In pixels.
        height: In pixels.
        found: Its objects; () where nothing was found.
    """

    name: str
    width: int
    height: int
    found: tuple[Detection, ...]


@dataclass(frozen=True)
class Annotation:
    """One object as read.

    Attributes:
        row: Id of the task's row.
        category: Name of its class.
        box: In pixels of the high-resolution image.
        contour: Its outline, in the same pixels; () where the file has none.
        size: Width and height of that image as the file gives them, or None.
    """

    row: str
    category: str
    box: Box
    contour: tuple[Polygon, ...]
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Annotations:
    """A file as read.

    Attributes:
        items: Annotations of the task's images.
        categories: Names of the classes, in the order of their ids.
        foreign: Number of annotations of images that the task does not train on.
        crowds: Number of annotations left out because they stand for a crowd (iscrowd = 1).
    """

    items: tuple[Annotation, ...]
    categories: tuple[str, ...]
    foreign: int = 0
    crowds: int = 0


def write(path: Path, images: Sequence[Labelled], categories: Sequence[str]) -> None:
    """Write the standard form: images, categories, annotations. Ids count from 1."""
    numbers = {name: i for i, name in enumerate(categories, 1)}
    pairs = [(i, found) for i, image in enumerate(images, 1) for found in image.found]
    content = {
        "info": {"description": "boxes and contours in pixels of the high-resolution images, made by swath"},
        "images": [
            {"id": i, "file_name": image.name, "width": image.width, "height": image.height}
            for i, image in enumerate(images, 1)
        ],
        "categories": [{"id": number, "name": name} for name, number in numbers.items()],
        "annotations": [
            _annotation(number, image, numbers[found.label], found) for number, (image, found) in enumerate(pairs, 1)
        ],
    }
    write_atomic(path, json.dumps(content, ensure_ascii=False).encode())


def _annotation(number: int, image: int, category: int, found: Detection) -> dict[str, Any]:
    left, top, right, bottom = found.box
    area = sum(polygon_area(p) for p in found.contour) if found.contour else (right - left) * (bottom - top)
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": [round(v, 2) for v in (left, top, right - left, bottom - top)],
        "segmentation": [[round(v, 2) for v in polygon.ravel().tolist()] for polygon in found.contour],
        "area": round(area, 2),
        "iscrowd": 0,
        "score": round(found.score, 4),
    }


def polygon_area(polygon: Polygon) -> float:
    """Shoelace formula."""
    x, y = polygon.T
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def image_names(rows: Iterable[tuple[str, Sequence[str]]]) -> dict[str, str]:
    """What an annotation file may call an image -> row id: the id, and the ends of its paths that mean one row only.

    Args:
        rows: Row id and paths (low and high resolution) of each row.
    """
    names: dict[str, str] = {}
    ambiguous = set()
    for row, paths in rows:
        for name in {row, *(end for path in paths if path for end in _ends(path))}:
            if names.setdefault(name, row) != row:
                ambiguous.add(name)
    return {name: row for name, row in names.items() if name not in ambiguous}


def _ends(path: str) -> list[str]:
    """`a/b/c.png` -> a/b/c.png, b/c.png, c.png, c."""
    parts = PurePosixPath(path.replace("\\", "/")).parts
    return ["/".join(parts[i:]) for i in range(len(parts))] + [PurePosixPath(parts[-1]).stem]


def read(path: Path, names: Mapping[str, str]) -> Annotations:
    """Read annotations: COCO's object of images, categories and annotations, or a flat list of annotations.

    In a flat list `image_id` is a row's id or the name of its file, and each annotation may name its `category`.

    Args:
        path: The json file.
        names: From `image_names`.

    Raises:
        InputError: Lists every kind of problem, with how many annotations have it and one of them.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(
            f"annotations {path} cannot be read as json: {error}. `swath detect label` writes such a file."
        ) from error
    return _Reader(path, names).read(content)


class _Reader:
    """Collects problems by kind: a file of 15,000 annotations has few kinds of them."""

    def __init__(self, path: Path, names: Mapping[str, str]) -> None:
        self._path = path
        self._names = names
        self._found: dict[str, list[str]] = {}

    def read(self, content: Any) -> Annotations:
        flat = isinstance(content, list)
        if not flat and not (isinstance(content, dict) and isinstance(content.get("annotations"), list)):
            raise InputError(
                f"annotations {self._path}: the file holds {_kind(content)}. It must hold COCO's object with the lists "
                "images, categories and annotations, or a flat list of annotations."
            )
        annotations = content if flat else content["annotations"]
        images = None if flat else self._table(content, "images", "file_name")
        categories = {} if flat else self._table(content, "categories", "name")
        items: list[Annotation] = []
        foreign = crowds = 0
        for position, raw in enumerate(annotations):
            where = f"annotation {position + 1}"
            if not isinstance(raw, dict):
                self._note("is no json object", f"{where} is {_kind(raw)}")
                continue
            if raw.get("iscrowd") == 1:
                crowds += 1
                continue
            image = self._image(raw, images, where)
            category = self._category(raw, categories, where)
            box = self._box(raw, where)
            contour = self._contour(raw, where)
            if image is None or category is None or box is None:
                continue
            row = self._row(str(image.get("file_name")))
            if row is None:
                foreign += 1
            else:
                items.append(Annotation(row, category, box, contour, _size(image)))
        raise_if_any(self._problems())
        if annotations and foreign == len(annotations) - crowds:
            raise InputError(
                f"annotations {self._path}: none of the images they name is a training image of the task. They are "
                f"matched by id or file name, e.g. {next(iter(self._names), '(the task has no images)')!r}."
            )
        listed = [entry["name"] for _, entry in sorted(categories.items())]
        order = dict.fromkeys([*listed, *(item.category for item in items)])
        return Annotations(tuple(items), tuple(order), foreign, crowds)

    def _note(self, kind: str, example: str) -> None:
        self._found.setdefault(kind, []).append(example)

    def _problems(self) -> list[str]:
        return [
            f"annotations {self._path}: {len(examples)} with {kind}, e.g. {examples[0]}."
            for kind, examples in self._found.items()
        ]

    def _table(self, content: dict[str, Any], key: str, name: str) -> dict[Any, dict[str, Any]]:
        """A list of COCO's object by id."""
        entries = content.get(key)
        if not isinstance(entries, list):
            self._note(f"no list {key!r} beside them", f"the file has {', '.join(map(repr, content))}")
            return {}
        table: dict[Any, dict[str, Any]] = {}
        for entry in entries:
            if not isinstance(entry, dict) or not isinstance(entry.get("id"), int | str) or not entry.get(name):
                self._note(f"entries of {key!r} that lack 'id' or {name!r}", json.dumps(entry)[:80])
            elif entry["id"] in table:
                self._note(f"ids that {key!r} gives twice", repr(entry["id"]))
            else:
                table[entry["id"]] = entry
        return table

    def _image(self, raw: dict[str, Any], images: Any, where: str) -> dict[str, Any] | None:
        given = raw.get("image_id")
        if not isinstance(given, int | str) or isinstance(given, bool):
            self._note("no 'image_id'", where)
            return None
        if images is None:
            return {"file_name": str(given)}
        if given not in images:
            self._note("an image_id that 'images' lacks", f"{given!r} in {where}")
        return images.get(given)

    def _category(self, raw: dict[str, Any], categories: dict[Any, dict[str, Any]], where: str) -> str | None:
        """Its name; a flat list names it, gives a number, or means one class only."""
        if not categories:
            return str(raw.get("category", raw.get("category_id", "object")))
        given = raw.get("category_id")
        entry = categories.get(given) if isinstance(given, int | str) else None
        if entry is None:
            self._note("a category_id that 'categories' lacks", f"{given!r} in {where}")
            return None
        return str(entry["name"])

    def _box(self, raw: dict[str, Any], where: str) -> Box | None:
        values = raw.get("bbox")
        if not isinstance(values, list) or len(values) != 4 or not all(map(_is_number, values)):
            self._note("a bbox that is not [x, y, width, height] in pixels", f"{values!r} in {where}")
            return None
        x, y, width, height = map(float, values)
        if width <= 0 or height <= 0:
            self._note("a bbox without width or height", f"{values!r} in {where}")
            return None
        return x, y, x + width, y + height

    def _contour(self, raw: dict[str, Any], where: str) -> tuple[Polygon, ...]:
        """Its polygons; run-length masks count as no contour."""
        given = raw.get("segmentation") or []
        if isinstance(given, dict):
            return ()
        sound = isinstance(given, list) and all(
            isinstance(p, list) and len(p) >= 6 and len(p) % 2 == 0 and all(map(_is_number, p)) for p in given
        )
        if not sound:
            self._note("a segmentation that is not [[x, y, x, y, x, y, ...], ...]", where)
            return ()
        return tuple(np.array(polygon, np.float64).reshape(-1, 2) for polygon in given)

    def _row(self, name: str) -> str | None:
        return next((self._names[end] for end in (name, *_ends(name)) if end in self._names), None) if name else None


def _size(image: dict[str, Any]) -> tuple[int, int] | None:
    width, height = image.get("width"), image.get("height")
    return (int(width), int(height)) if _is_number(width) and _is_number(height) else None  # type: ignore[arg-type]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _kind(value: object) -> str:
    """A json value in words."""
    return {dict: "an object", list: "a list", str: "a text", type(None): "null"}.get(type(value), repr(value))
