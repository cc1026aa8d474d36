"""Drawn data that needs no download, in exactly the two competitions' layouts."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from swath.config.task import Images, Kind, Task
from swath.store.paths import absolute
from swath.store.storage import write_atomic
from swath.tasks.dacon import DaconBirds, DaconSatellite


@dataclass(frozen=True)
class SyntheticSatellite(Task):
    """Drawn aerial scenes with 14 labels, as skewed as the satellite competition's (65 % down to 1 %).

    Drawn below `root` at the first use, once for each set of parameters.

    Attributes:
        root: Folder to draw into.
        train: Number of training images.
        test: Number of test images.
        size_px: Side of the images in pixels.
        seed: Of the drawing.
    """

    name: ClassVar[str] = "synthetic_satellite"
    root: str = "data/synthetic"
    train: int = 600
    test: int = 150
    size_px: int = 256
    seed: int = 0

    def read(self) -> Images:
        from swath.tasks.synthetic.scenes import write_satellite

        folder = (
            Path(absolute(self.root, "the data folder"))
            / f"satellite-{self.train}-{self.test}-{self.size_px}px-seed{self.seed}"
        )
        if not _drawn(folder, self.version):
            write_satellite(folder, self.train, self.test, self.size_px, self.seed)
            _mark(folder, self.version)
        return DaconSatellite(str(folder)).read()

    def problems(self) -> list[str]:
        return super().problems() or _count_problems(self, ("train", 10), ("test", 0), ("size_px", 32))


@dataclass(frozen=True)
class SyntheticBirds(Task):
    """Drawn birds at 64x64, with a 256x256 version of the training images only.

    Attributes:
        root: Folder to draw into.
        train: Number of training images.
        test: Number of test images.
        species: Number of species, 2 to 25.
        seed: Of the drawing.
    """

    name: ClassVar[str] = "synthetic_birds"
    kind: ClassVar[Kind] = "multiclass"
    metric: ClassVar[str] = "macro_f1"
    root: str = "data/synthetic"
    train: int = 600
    test: int = 150
    species: int = 25
    seed: int = 0

    def read(self) -> Images:
        from swath.tasks.synthetic.birds import write_birds

        folder = (
            Path(absolute(self.root, "the data folder"))
            / f"birds-{self.train}-{self.test}-{self.species}sp-seed{self.seed}"
        )
        if not _drawn(folder, self.version):
            write_birds(folder, self.train, self.test, self.species, self.seed)
            _mark(folder, self.version)
        return DaconBirds(str(folder)).read()

    def problems(self) -> list[str]:
        problems = super().problems() or _count_problems(self, ("train", 10), ("test", 0), ("species", 2))
        many = isinstance(self.species, int) and self.species > 25
        return [*problems, f"{self.name}(species={self.species}): at most 25."] if many else problems


def _count_problems(task: Task, *bounds: tuple[str, int]) -> list[str]:
    return [
        f"{task.name}({field}={getattr(task, field)!r}): allowed is a whole number from {low}."
        for field, low in bounds
        if getattr(task, field) < low
    ]


def _drawn(folder: Path, version: int) -> bool:
    marker = folder / "drawn.json"
    return marker.is_file() and json.loads(marker.read_text()) == {"version": version}


def _mark(folder: Path, version: int) -> None:
    write_atomic(folder / "drawn.json", json.dumps({"version": version}).encode())
