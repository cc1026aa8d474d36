"""Pictures in index.html: the worst mistakes as a model saw them, contact sheets of the preprocessings.

report.json stays numbers. The page carries its pictures inside, so their size is bounded: about 8 kB for a mistake,
and contact sheets only up to `SHEETS_BYTES` together.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from swath.core.errors import StoreError
from swath.preprocess.cache.reader import entry_images
from swath.preprocess.image_files import Image, as_rgb
from swath.store.layout import contact_key
from swath.store.storage import Storage
from swath.store.sweeps import SweepRecord

MISTAKE_PX = 128
"""Longer side of a mistake's picture, at most."""
SHEET_PX = 1180
"""Width of a contact sheet, at most: that of the page."""
SHEETS_BYTES = 3 * 2**20
"""Of all contact sheets on a page; those beyond it lie beside the page only."""
_QUALITY = 80

Address = Callable[[bytes], str]
"""The URL under which a page finds a WebP picture."""


def data_uri(picture: bytes) -> str:
    """The picture inside its own URL."""
    return f"data:image/webp;base64,{base64.b64encode(picture).decode()}"


def with_pictures(
    numbers: Mapping[str, Any], storage: Storage, sweep: SweepRecord, address: Address = data_uri
) -> dict[str, Any]:
    """The numbers with what pictures the store has; without an error where it has none.

    Args:
        numbers: The content of report.json.
        storage: The store.
        sweep: Lists the trials and the cache entries.
        address: Says where the page will find a picture.
    """
    tasks = [{**task, "mistakes": _mistakes(task, storage, sweep, address)} for task in numbers["tasks"]]
    return {**numbers, "tasks": tasks, **_sheets(storage, sweep, address)}


def _mistakes(task: Mapping[str, Any], storage: Storage, sweep: SweepRecord, address: Address) -> list[dict[str, Any]]:
    """The mistakes, with a `picture` and its `chain` where an entry of the cache holds the image."""
    left = {m["id"] for m in task["mistakes"]}
    seen: dict[str, dict[str, str]] = {}
    for key, chain in _entries(task, sweep).items():
        if not left:
            break
        try:
            images = entry_images(storage.child("cache"), key, left)
        except (OSError, ValueError, KeyError, StoreError):  # removed or damaged meanwhile: a report does without
            continue
        seen |= {id_: {"picture": address(_webp(image, MISTAKE_PX)), "chain": chain} for id_, image in images.items()}
        left -= images.keys()
    return [{**m, **seen.get(m["id"], {})} for m in task["mistakes"]]


def _entries(task: Mapping[str, Any], sweep: SweepRecord) -> dict[str, str]:
    """Key and chain of the entries that may hold validation images of a task, the best choice first.

    The best cell's come before others. Validation images go through the chain for test images: where a cell has two
    chains, the one that its test part shares comes first.
    """
    listed = {entry.key: entry for entry in sweep.entries}
    best = set(task["cells"][0]["trials"]) if task["cells"] else set()
    trials = [t for t in sweep.trials if t.data == task["data"]]
    chains: dict[str, str] = {}
    for trial in sorted(trials, key=lambda t: t.fingerprint not in best):
        entries = [listed[key] for key in trial.entries if key in listed]
        test_chains = {entry.chain for entry in entries if entry.part == "test"}
        for entry in sorted(entries, key=lambda e: e.chain not in test_chains):
            if entry.part == "train":
                chains.setdefault(entry.key, entry.chain)
    return chains


def _sheets(storage: Storage, sweep: SweepRecord, address: Address) -> dict[str, Any]:
    """`sheets`, a title and a picture each, and `sheets_left_out`, how many did not fit."""
    sheets: list[dict[str, str]] = []
    size, left_out = 0, 0
    for entry in sweep.entries:
        data = storage.read_or_none(contact_key(entry.key))
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
        if image is None:
            continue
        picture = _webp(np.asarray(image[..., ::-1], np.uint8), SHEET_PX)
        size += len(picture)
        if size > SHEETS_BYTES:
            left_out += 1
            continue
        sheets.append({"title": entry.title, "picture": address(picture)})
    return {"sheets": sheets, "sheets_left_out": left_out}


def _webp(image: Image, side_px: int) -> bytes:
    """The image as WebP, its longer side at most `side_px`."""
    rgb = as_rgb(image)
    scale = side_px / max(rgb.shape[:2])
    if scale < 1:
        size: Sequence[int] = [max(1, round(side * scale)) for side in rgb.shape[1::-1]]
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".webp", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])[
        1
    ].tobytes()
