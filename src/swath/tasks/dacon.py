"""The two DACON competitions: AICOSS 2023 satellite (236201) and low-resolution birds 2024 (236251)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from swath.config.task import Images, Kind, SubmissionForm, Task, one_hot
from swath.core.errors import raise_if_any
from swath.tasks.csv_reader import (
    binary_targets,
    data_folder,
    id_problems,
    image_paths,
    labels_outside,
    read_tables,
    sample_problems,
)


@dataclass(frozen=True)
class DaconSatellite(Task):
    """Multi-label satellite images: train.csv `img_id,img_path,<labels>`, test.csv, sample_submission.csv.

    The labels are the columns of train.csv after the path, in order, whatever their number.

    Attributes:
        root: Folder that holds the three csv files and the images they name.
    """

    name: ClassVar[str] = "dacon_satellite"
    root: str = "data/satellite"

    def read(self) -> Images:
        root = data_folder(self.root)
        train, test, sample = read_tables(
            root,
            {
                "train.csv": ["img_id", "img_path"],
                "test.csv": ["img_id", "img_path"],
                "sample_submission.csv": ["img_id"],
            },
        )
        labels = tuple(c for c in train.columns if c not in ("img_id", "img_path"))
        targets, problems = binary_targets("train.csv", train, labels)
        columns = tuple(c for c in sample.columns if c != "img_id")
        if set(columns) != set(labels):
            odd = sorted(set(columns) ^ set(labels))
            problems.append(
                f"sample_submission.csv and train.csv in {root} differ in the label columns {odd[:5]}. "
                "They must have the same labels."
            )
        ids = pd.concat([train["img_id"], test["img_id"]], ignore_index=True)
        problems += [*id_problems("train.csv and test.csv", ids), *sample_problems(root, sample, test, "img_id")]
        raise_if_any(problems)
        rows = pd.DataFrame(
            {
                "id": ids,
                "path": pd.concat(
                    [image_paths(root, train["img_path"]), image_paths(root, test["img_path"])], ignore_index=True
                ),
                "split": ["train"] * len(train) + ["test"] * len(test),
            }
        )
        padded = np.concatenate([targets, np.zeros((len(test), len(labels)), np.uint8)])
        return Images(rows, labels, padded, SubmissionForm("img_id", tuple(sample["img_id"]), columns))


@dataclass(frozen=True)
class DaconBirds(Task):
    """Single-label 64x64 birds: train.csv `img_path,upscale_img_path,label`, test.csv `id,img_path`.

    Training images have a 256x256 version (`hires_path`); test images do not. The species are those of train.csv.

    Attributes:
        root: Folder that holds the three csv files and the images they name.
    """

    name: ClassVar[str] = "dacon_birds"
    kind: ClassVar[Kind] = "multiclass"
    metric: ClassVar[str] = "macro_f1"
    root: str = "data/birds"

    def read(self) -> Images:
        root = data_folder(self.root)
        train, test, sample = read_tables(
            root,
            {
                "train.csv": ["img_path", "upscale_img_path", "label"],
                "test.csv": ["id", "img_path"],
                "sample_submission.csv": ["id", "label"],
            },
        )
        labels = tuple(sorted(set(train["label"]) - {""}))
        problems = labels_outside("train.csv", train["label"], labels)
        problems += labels_outside("sample_submission.csv", sample["label"], labels)
        # train.csv has no ids: the file's stem is one (TRAIN_00000).
        train_ids = train["img_path"].str.replace(r"^.*/|\.[^.]*$", "", regex=True)
        ids = pd.concat([train_ids, test["id"]], ignore_index=True)
        problems += [*id_problems("train.csv and test.csv", ids), *sample_problems(root, sample, test, "id")]
        raise_if_any(problems)
        rows = pd.DataFrame(
            {
                "id": ids,
                "path": pd.concat(
                    [image_paths(root, train["img_path"]), image_paths(root, test["img_path"])], ignore_index=True
                ),
                "split": ["train"] * len(train) + ["test"] * len(test),
                "hires_path": list(image_paths(root, train["upscale_img_path"])) + [""] * len(test),
            }
        )
        targets = one_hot(pd.concat([train["label"], pd.Series([""] * len(test))], ignore_index=True), labels)
        return Images(rows, labels, targets, SubmissionForm("id", tuple(sample["id"]), ("label",)))
