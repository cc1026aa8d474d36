"""MLRSNet (Qi et al. 2020): 109,161 aerial images of 46 categories with 60 labels, as its authors released it."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd

from swath.config.task import Images, Task
from swath.core.errors import raise_if_any
from swath.tasks.csv_reader import binary_targets, data_folder, id_problems, image_paths, read_tables

_FOLDERS = {"images": ("Images", "images"), "labels": ("labels", "Labels")}  # copies differ


@dataclass(frozen=True)
class MLRSNet(Task):
    """`Images/<category>/<category>_00001.jpg` with `labels/<category>.csv` (`image`, then the labels). No test part.

    The csv files say which images there are, and the category is a stratum: a split spreads each evenly. It is no
    group, for whole categories would then be missing from training.

    Attributes:
        root: Folder that holds Images/ and labels/ (or Labels/).
    """

    name: ClassVar[str] = "mlrsnet"
    root: str = "data/mlrsnet"

    def read(self) -> Images:
        root = data_folder(self.root)
        images, labels = (_spelling(root, kind) for kind in _FOLDERS)
        folders = {"images": images, "labels": labels}
        raise_if_any(_missing(root, _FOLDERS[kind]) for kind, name in folders.items() if not name)
        files = sorted((root / labels).glob("*.csv"))
        image_folders = {p.name for p in (root / images).iterdir() if p.is_dir() and not p.name.startswith(".")}
        unmatched = _unmatched(root, images, labels, image_folders, {f.stem for f in files})
        tables = read_tables(root, {f"{labels}/{f.name}": ["image"] for f in files}, unmatched)
        names = tuple(c for c in tables[0].columns if c != "image")
        problems = []
        for file, table in zip(files, tables, strict=True):
            odd = sorted((set(table.columns) - {"image"}) ^ set(names))
            if odd:
                problems.append(
                    f"{labels}/{file.name} and {labels}/{files[0].name} in {root} differ in the label columns "
                    f"{odd[:5]}. All categories must have the same labels."
                )
        raise_if_any(problems)
        joined = pd.concat(tables, ignore_index=True)
        categories = [file.stem for file, table in zip(files, tables, strict=True) for _ in range(len(table))]
        targets, problems = binary_targets(f"the csv files of {labels}, joined by name", joined, names)
        ids = joined["image"].str.replace(r"\.[^.]*$", "", regex=True)
        raise_if_any([*problems, *id_problems(f"the csv files of {labels}", ids)])
        paths = image_paths(root, pd.Series(categories) + "/" + joined["image"], images)
        rows = pd.DataFrame({"id": ids, "path": paths, "split": "train", "stratum": categories})
        return Images(rows, names, targets)


def _spelling(root: Path, kind: str) -> str:
    """Name of the folder as this copy spells it; "" where there is none."""
    return next((name for name in _FOLDERS[kind] if (root / name).is_dir()), "")


def _missing(root: Path, spellings: tuple[str, ...]) -> str:
    return (
        f"folder {spellings[0]} is missing in {root} (looked for {' and '.join(spellings)}). Give the "
        "folder that MLRSNet was unpacked into, with Images/<category>/ and labels/<category>.csv."
    )


def _unmatched(root: Path, images: str, labels: str, folders: set[str], tables: set[str]) -> list[str]:
    """Sentences about categories with images and no labels, or the reverse; about a release without any."""
    problems = []
    if not tables:
        problems.append(f"{root / labels} holds no csv file. MLRSNet has one for each category.")
    elif folders - tables:
        problems.append(
            f"{_some(folders - tables)} in {root / images} have no csv file in {root / labels}: restore the files, or "
            "remove the folders."
        )
    if tables - folders:
        problems.append(
            f"{_some(tables - folders)} in {root / labels} have no folder of images in {root / images}: unpack them, "
            "or remove the csv files."
        )
    return problems


def _some(names: set[str]) -> str:
    shown = ", ".join(map(repr, sorted(names)[:5]))
    return f"{len(names)} categories ({shown}{', ...' if len(names) > 5 else ''})"
