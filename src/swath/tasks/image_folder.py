"""Folders of images, one for each class: the layout of ImageNet and of torchvision's ImageFolder."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from swath.config.task import Images, Kind, SubmissionForm, Task, one_hot
from swath.core.errors import raise_if_any
from swath.tasks.csv_reader import data_folder, id_problems

SUFFIXES = (".bmp", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
TEST_FOLDERS = ("test", "val")


@dataclass(frozen=True)
class ImageFolder(Task):
    """`<class>/<any>.jpg`, or `train/<class>/<any>.jpg`; images to predict in `test/` (or `val/`), in any depth.

    A class is called after its folder; deeper folders belong to it. What the images of the test folder show is not
    read from its folders: a sweep draws its validation images from the training images (`split`).

    Attributes:
        root: Folder that holds the classes, or train/.
        test: Name of the folder of images to predict; "" takes `test` or `val`, whichever is there.
        title: The task's name on reports and in the store.
    """

    name: ClassVar[str] = "image_folder"
    kind: ClassVar[Kind] = "multiclass"
    metric: ClassVar[str] = "macro_f1"
    root: str = "data/images"
    test: str = ""
    title: str = "image_folder"

    @property
    def label(self) -> str:
        """The title."""
        return self.title

    def read(self) -> Images:
        root = data_folder(self.root)
        base = root / "train" if (root / "train").is_dir() else root
        test_folder, problems = self._test_folder(root)
        apart = {test_folder, *TEST_FOLDERS} if base == root else set()
        classes = [folder for folder in _folders(base) if folder.name not in apart]
        files = {folder.name: list(_images(folder)) for folder in classes}
        problems += _class_problems(base, files)
        train = [file for paths in files.values() for file in paths]
        test = list(_images(root / test_folder)) if test_folder else []
        if test_folder and not test:
            problems.append(f"{root / test_folder} holds no images ({', '.join(SUFFIXES)}). Remove it or fill it.")
        ids = [_id(file, root) for file in train] + [_id(file, root / test_folder) for file in test]
        problems += id_problems(f"the images below {root}, by path without ending,", pd.Series(ids, dtype=str))
        raise_if_any(problems)
        split = ["train"] * len(train) + ["test"] * len(test)
        rows = pd.DataFrame({"id": ids, "path": list(map(str, [*train, *test])), "split": split})
        text = pd.Series([label for label, paths in files.items() for _ in paths] + [""] * len(test))
        labels = tuple(files)
        targets = one_hot(text, labels) if labels else np.zeros((len(rows), 0), np.uint8)
        form = SubmissionForm("id", tuple(ids[len(train) :]), ("label",)) if test else None
        return Images(rows, labels, targets, form)

    def _test_folder(self, root: Path) -> tuple[str, list[str]]:
        """Name of the folder of images to predict, "" for none; and what is wrong with the choice."""
        test_folders = [name for name in TEST_FOLDERS if (root / name).is_dir()]
        if self.test and not (root / self.test).is_dir():
            folder_names = ", ".join(folder.name for folder in _folders(root)) or "no folder"
            return "", [
                f"folder {self.test} is missing in {root} (found {folder_names}). ImageFolder(test=...) names the "
                'folder of images to predict; "" takes test or val.'
            ]
        if len(test_folders) > 1 and not self.test:
            return test_folders[0], [
                f"{root} has both test and val: say which images are to be predicted, "
                "ImageFolder(test='test') or ImageFolder(test='val'). The other folder is not used."
            ]
        return self.test or next(iter(test_folders), ""), []


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _images(folder: Path) -> Iterator[Path]:
    """Image files below a folder in the order of their paths; hidden ones and other kinds of file are passed over."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in SUFFIXES and not hidden:
            yield path


def _id(file: Path, below: Path) -> str:
    return file.relative_to(below).with_suffix("").as_posix()


def _class_problems(base: Path, files: dict[str, list[Path]]) -> list[str]:
    problems = []
    loose = [p.name for p in sorted(base.iterdir()) if p.is_file() and p.suffix.lower() in SUFFIXES]
    if loose:
        problems.append(
            f"{base} holds {len(loose)} images beside its class folders, e.g. {loose[0]!r}: move each into the folder "
            "of its class, or images without a class into test/."
        )
    if len(files) < 2:
        shown = ", ".join(map(repr, files)) or "none"
        problems.append(
            f"{base} has {len(files)} class folders ({shown}): a task needs two or more, one for each class."
        )
    empty = [name for name, images in files.items() if not images]
    if empty:
        shown = ", ".join(map(repr, empty[:5]))
        problems.append(
            f"{len(empty)} class folders of {base} hold no images, e.g. {shown}: fill or remove them. "
            f"Understood are files ending in {', '.join(SUFFIXES)}."
        )
    return problems
