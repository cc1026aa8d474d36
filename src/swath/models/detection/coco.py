"""COCO json: annotations of high-resolution images, written in the standard form, read in that or as a flat list."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

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
    pairs = [(i, detection) for i, image in enumerate(images, 1) for detection in image.found]
    content = {
        "info": {"description": "boxes and contours in pixels of the high-resolution images, made by swath"},
        "images": [
            {"id": i, "file_name": image.name, "width": image.width, "height": image.height}
            for i, image in enumerate(images, 1)
        ],
        "categories": [{"id": number, "name": name} for name, number in numbers.items()],
        "annotations": [
            _annotation(number, image, numbers[detection.label], detection)
            for number, (image, detection) in enumerate(pairs, 1)
        ],
    }
    write_atomic(path, json.dumps(content, ensure_ascii=False).encode())


def _annotation(number: int, image: int, category: int, detection: Detection) -> dict[str, Any]:
    left, top, right, bottom = detection.box
    area = sum(polygon_area(p) for p in detection.contour) if detection.contour else (right - left) * (bottom - top)
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": [round(v, 2) for v in (left, top, right - left, bottom - top)],
        "segmentation": [[round(v, 2) for v in polygon.ravel().tolist()] for polygon in detection.contour],
        "area": round(area, 2),
        "iscrowd": 0,
        "score": round(detection.score, 4),
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
    content = _content(path)
    flat = isinstance(content, list)
    annotations = content if flat else content["annotations"]
    images, image_problems = (None, []) if flat else _table(content, "images", "file_name")
    categories, category_problems = ({}, []) if flat else _table(content, "categories", "name")
    crowds = [isinstance(raw, dict) and raw.get("iscrowd") == 1 for raw in annotations]
    parsed = [
        _object(raw, f"annotation {number}", images, categories)
        for number, (raw, crowd) in enumerate(zip(annotations, crowds, strict=True), 1)
        if not crowd
    ]
    of_objects = [problem for _, problems in parsed for problem in problems]
    raise_if_any(_by_kind(path, [*image_problems, *category_problems, *of_objects]))
    objects = [(one, _row(one.image, names)) for one, _ in parsed if one is not None]
    items = [Annotation(row, one.category, one.box, one.contour, one.size) for one, row in objects if row is not None]
    if annotations and not items:
        raise InputError(
            f"annotations {path}: none of the images they name is a training image of the task. They are "
            f"matched by id or file name, e.g. {next(iter(names), '(the task has no images)')!r}."
        )
    listed = [entry["name"] for _, entry in sorted(categories.items())]
    order = dict.fromkeys([*listed, *(item.category for item in items)])
    return Annotations(tuple(items), tuple(order), len(objects) - len(items), sum(crowds))


def _content(path: Path) -> Any:
    """A flat list, or an object with a list of annotations."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(
            f"annotations {path} cannot be read as json: {error}. `swath detect label` writes such a file."
        ) from error
    if isinstance(content, list) or (isinstance(content, dict) and isinstance(content.get("annotations"), list)):
        return content
    raise InputError(
        f"annotations {path}: the file holds {_kind(content)}. It must hold COCO's object with the lists "
        "images, categories and annotations, or a flat list of annotations."
    )


class _Problem(NamedTuple):
    """What is wrong with an annotation, or with an entry of a table.

    Attributes:
        kind: What others may have, too: a file of 15,000 annotations has few kinds of problems.
        example: This one.
    """

    kind: str
    example: str


@dataclass(frozen=True)
class _Object:
    """An annotation before its image is looked for in the task; `image` is the file's name of it."""

    image: str
    category: str
    box: Box
    contour: tuple[Polygon, ...]
    size: tuple[int, int] | None


Table = dict[Any, dict[str, Any]]
"""Entries of a list of COCO's object by their id."""


def _by_kind(path: Path, problems: Iterable[_Problem]) -> list[str]:
    """A sentence for each kind of problem."""
    examples: dict[str, list[str]] = {}
    for problem in problems:
        examples.setdefault(problem.kind, []).append(problem.example)
    return [f"annotations {path}: {len(some)} with {kind}, e.g. {some[0]}." for kind, some in examples.items()]


def _table(content: dict[str, Any], key: str, name: str) -> tuple[Table, list[_Problem]]:
    """A list of COCO's object by id, and what is wrong with it."""
    entries = content.get(key)
    if not isinstance(entries, list):
        return {}, [_Problem(f"no list {key!r} beside them", f"the file has {', '.join(map(repr, content))}")]
    table: Table = {}
    problems = []
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("id"), int | str) or not entry.get(name):
            problems.append(_Problem(f"entries of {key!r} that lack 'id' or {name!r}", json.dumps(entry)[:80]))
        elif entry["id"] in table:
            problems.append(_Problem(f"ids that {key!r} gives twice", repr(entry["id"])))
        else:
            table[entry["id"]] = entry
    return table, problems


def _object(raw: object, where: str, images: Table | None, categories: Table) -> tuple[_Object | None, list[_Problem]]:
    """An annotation, or None and what is wrong with it.

    Args:
        raw: As the file has it.
        where: Which annotation it is, for messages.
        images: Entries of the images; None for a flat list, whose annotations name them.
        categories: Entries of the categories; {} for a flat list.
    """
    if not isinstance(raw, dict):
        return None, [_Problem("is no json object", f"{where} is {_kind(raw)}")]
    image, image_problems = _image(raw, images, where)
    category, category_problems = _category(raw, categories, where)
    box, box_problems = _box(raw, where)
    contour, contour_problems = _contour(raw, where)
    problems = [*image_problems, *category_problems, *box_problems, *contour_problems]
    if problems or image is None or category is None or box is None:
        return None, problems
    return _Object(str(image.get("file_name")), category, box, contour, _size(image)), []


def _image(raw: dict[str, Any], images: Table | None, where: str) -> tuple[dict[str, Any] | None, list[_Problem]]:
    given = raw.get("image_id")
    if not isinstance(given, int | str) or isinstance(given, bool):
        return None, [_Problem("no 'image_id'", where)]
    if images is None:
        return {"file_name": str(given)}, []
    if given not in images:
        return None, [_Problem("an image_id that 'images' lacks", f"{given!r} in {where}")]
    return images[given], []


def _category(raw: dict[str, Any], categories: Table, where: str) -> tuple[str | None, list[_Problem]]:
    """Its name; a flat list names it, gives a number, or means one class only."""
    if not categories:
        return str(raw.get("category", raw.get("category_id", "object"))), []
    given = raw.get("category_id")
    entry = categories.get(given) if isinstance(given, int | str) else None
    if entry is None:
        return None, [_Problem("a category_id that 'categories' lacks", f"{given!r} in {where}")]
    return str(entry["name"]), []


def _box(raw: dict[str, Any], where: str) -> tuple[Box | None, list[_Problem]]:
    values = raw.get("bbox")
    if not isinstance(values, list) or len(values) != 4 or not all(map(_is_number, values)):
        return None, [_Problem("a bbox that is not [x, y, width, height] in pixels", f"{values!r} in {where}")]
    x, y, width, height = map(float, values)
    if width <= 0 or height <= 0:
        return None, [_Problem("a bbox without width or height", f"{values!r} in {where}")]
    return (x, y, x + width, y + height), []


def _contour(raw: dict[str, Any], where: str) -> tuple[tuple[Polygon, ...], list[_Problem]]:
    """Its polygons; run-length masks count as no contour."""
    given = raw.get("segmentation") or []
    if isinstance(given, dict):
        return (), []
    sound = isinstance(given, list) and all(
        isinstance(p, list) and len(p) >= 6 and len(p) % 2 == 0 and all(map(_is_number, p)) for p in given
    )
    if not sound:
        return (), [_Problem("a segmentation that is not [[x, y, x, y, x, y, ...], ...]", where)]
    return tuple(np.array(polygon, np.float64).reshape(-1, 2) for polygon in given), []


def _row(name: str, names: Mapping[str, str]) -> str | None:
    """Id of the task's row of an image."""
    return next((names[end] for end in (name, *_ends(name)) if end in names), None) if name else None


def _size(image: dict[str, Any]) -> tuple[int, int] | None:
    width, height = image.get("width"), image.get("height")
    return (int(width), int(height)) if _is_number(width) and _is_number(height) else None  # type: ignore[arg-type]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _kind(value: object) -> str:
    """A json value in words."""
    return {dict: "an object", list: "a list", str: "a text", type(None): "null"}.get(type(value), repr(value))
