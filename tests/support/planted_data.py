from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from swath import tasks
from swath.config.task import Task
from swath.tasks.audit.audited_task import AuditedTask
from swath.tasks.audit.findings import Audit, Finding


@dataclass
class Audited:
    """An audit and what it was made of."""

    audit: Audit
    task: AuditedTask

    def finding(self, kind: str) -> Finding:
        found = [f for f in self.audit.findings if f.kind == kind]
        assert len(found) == 1, f"{kind}: {[f.kind for f in self.audit.findings]}"
        return found[0]

    def kinds(self) -> set[str]:
        return {f.kind for f in self.audit.findings}


@dataclass
class Planted:
    """A data set with problems, and where they are."""

    root: Path
    exact: set[str] = field(default_factory=set)
    near: list[tuple[str, str]] = field(default_factory=list)
    contradicting: set[str] = field(default_factory=set)
    across_test: set[str] = field(default_factory=set)
    filled: set[str] = field(default_factory=set)
    empty: set[str] = field(default_factory=set)
    files: dict[str, set[str]] = field(default_factory=dict)

    @property
    def task(self) -> Task:
        return tasks.Csv(str(self.root), test="test.csv", title="planted")


def plant(synthetic_root: str, root: Path) -> Planted:
    """Drawn satellite scenes with 14 labels and 5 more columns, every kind of problem planted in some rows."""
    source = tasks.SyntheticSatellite(synthetic_root, train=360, test=60, size_px=96).images
    rng = np.random.default_rng(0)
    names = [*source.labels, "rare", "twin a", "twin b", "other", "ghost"]
    table = np.zeros((420, len(names)), np.uint8)
    table[:, :14] = source.targets
    table[rng.choice(360, 6, replace=False), names.index("rare")] = 1
    table[:360, names.index("twin a")] = table[:360, names.index("twin b")] = rng.random(360) < 0.3
    table[:360, names.index("other")] = rng.random(360) < 0.3
    images = [cv2.imread(path) for path in source.rows["path"]]
    ids = [f"i{k:03d}" for k in range(420)]
    files = {name: f"{name}.jpg" for name in ids}
    for name, image in zip(ids, images, strict=True):
        cv2.imwrite(str(root / files[name]), image, [cv2.IMWRITE_JPEG_QUALITY, 95])
    found = Planted(root)

    def replace_file(row: int, data: bytes, kind: str = "", file: str = "") -> str:
        name = ids[row]
        (root / files[name]).unlink()
        files[name] = file or files[name]
        (root / files[name]).write_bytes(data)
        if kind:
            found.files.setdefault(kind, set()).add(name)
        return name

    for row, twin in ((0, 100), (1, 101)):  # identical files, the second pair with other labels
        replace_file(twin, (root / files[ids[row]]).read_bytes())
        found.exact |= {ids[row], ids[twin]}
        table[twin] = table[row]
    table[101, 0] = 1 - table[1, 0]
    found.contradicting |= {ids[1], ids[101]}
    for row, twin in zip(range(10, 30), range(110, 130), strict=True):  # re-encoded, or a little brighter
        image = images[row] if row % 2 else np.clip(images[row] * 1.08 + 6, 0, 255).astype(np.uint8)
        replace_file(twin, cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])[1].tobytes())
        table[twin] = table[row]
        found.near.append((ids[row], ids[twin]))
    for row, twin in ((40, 370), (41, 371)):  # training images in the test set, one smaller
        smaller = cv2.resize(images[row], (72, 72), interpolation=cv2.INTER_AREA)
        image = images[row] if row == 40 else smaller
        found.across_test.add(replace_file(twin, cv2.imencode(".png", image)[1].tobytes(), file=f"t{twin}.png"))
    for row in rng.choice(np.arange(200, 340), 10, replace=False):
        start = int(rng.integers(0, 6))
        table[row, start : start + 10] = 1
        found.filled.add(ids[row])
    for row in (342, 343):
        table[row] = 0
        found.empty.add(ids[row])
    table[344] = [0 if k % 4 == 3 else 1 for k in range(len(names))]
    table[344, names.index("ghost")] = 0
    table[344, names.index("rare")] = 1
    _spoil_files(root, images, replace_file)
    frame = pd.DataFrame({"id": ids, "path": [files[name] for name in ids]})
    labelled = pd.concat([frame[:360], pd.DataFrame(table[:360], columns=names)], axis=1)
    labelled.to_csv(root / "train.csv", index=False)
    frame[360:].to_csv(root / "test.csv", index=False)
    return found


def _spoil_files(root: Path, images: list[np.ndarray], replace_file: Callable[..., str]) -> None:
    jpg = cv2.imencode(".jpg", images[350])[1].tobytes()
    replace_file(350, jpg[: len(jpg) * 6 // 10], "damaged_images")
    replace_file(351, cv2.imencode(".png", np.full((96, 96, 3), 40, np.uint8))[1].tobytes(), "constant_images", "c.png")
    replace_file(352, cv2.imencode(".png", images[352])[1].tobytes(), "wrong_suffixes")
    pictures = {n: Image.fromarray(images[n][:, :, ::-1]) for n in (353, 354, 356)}
    for row, mode, suffix in ((353, "L", "jpg"), (354, "RGBA", "png"), (356, "CMYK", "jpg")):
        pictures[row].convert(mode).save(root / "converted", {"jpg": "JPEG", "png": "PNG"}[suffix])
        replace_file(row, (root / "converted").read_bytes(), "image_modes", f"m{row}.{suffix}")
    deep = images[355].astype(np.uint16) * 257
    replace_file(355, cv2.imencode(".png", deep)[1].tobytes(), "image_modes", "m355.png")
    replace_file(357, cv2.imencode(".jpg", images[357][:, :80])[1].tobytes(), "image_sizes")
    (root / "converted").unlink()
