from pathlib import Path

import cv2
import numpy as np
import pytest

from swath import Backbone, Recipe, Sweep, holdout, kfold
from swath.config.task import Task
from swath.store.storage import Locations
from swath.tasks import ImageFolder, MLRSNet
from tests.support.planned import planned_sweep
from tests.tasks.test_layouts import check, draw, problems, write_csv


def mlrsnet(root: Path, labels: str = "labels", per_category: int = 2) -> MLRSNet:
    for category, marks in (("airport", "1,0,1"), ("harbor&port", "0,1,0"), ("swimmimg_pool", "0,0,1")):
        names = [f"{category}_{i:05d}.jpg" for i in range(1, per_category + 1)]
        draw(*(root / "Images" / category / name for name in names))
        rows = [f"{name},{marks}" for name in names]
        write_csv(root / labels / f"{category}.csv", "image,airplane,sea,bare soil", *rows, newline="\r\n")
    return MLRSNet(str(root))


@pytest.mark.parametrize("labels", ["labels", "Labels"])
def test_mlrsnet_joins_its_categories(tmp_path: Path, labels: str) -> None:
    task = mlrsnet(tmp_path, labels)
    assert (task.kind, task.metric, task.label) == ("multilabel", "map", "mlrsnet")
    assert task.labels == ("airplane", "sea", "bare soil")
    table = task.table()
    assert table["id"].tolist()[1:4] == ["airport_00002", "harbor&port_00001", "harbor&port_00002"]
    assert table["stratum"].tolist() == [c for c in ("airport", "harbor&port", "swimmimg_pool") for _ in range(2)]
    assert "group" not in table
    assert task.images.targets.tolist() == [[1, 0, 1]] * 2 + [[0, 1, 0]] * 2 + [[0, 0, 1]] * 2
    assert task.images.submission is None
    assert all(cv2.imread(path) is not None for path in table["path"])


def test_what_is_wrong_with_an_mlrsnet_copy_is_told_at_once(tmp_path: Path) -> None:
    check(problems(MLRSNet(str(tmp_path / "no"))), r"folder '.*no' does not exist")
    check(
        problems(MLRSNet(str(tmp_path))),
        r"folder Images is missing in .* \(looked for Images and images\)\. Give the folder that MLRSNet",
        r"folder labels is missing in .* \(looked for labels and Labels\)",
    )
    task = mlrsnet(tmp_path)
    (tmp_path / "Images/beach").mkdir()
    write_csv(tmp_path / "labels/lake.csv", "image,airplane,sea,bare soil", "lake_00001.jpg,0,0,0")
    write_csv(tmp_path / "labels/airport.csv", "file,airplane,sea,bare soil", "a.jpg,0,0,0")
    check(
        problems(task),
        r"1 categories \('beach'\) in .*Images have no csv file in .*labels: restore the files, or remove",
        r"1 categories \('lake'\) in .*labels have no folder of images in .*Images: unpack them, or remove",
        r"file .*airport.csv lacks the column\(s\) 'image'; it has 'file'",
    )
    (tmp_path / "Images/beach").rmdir()
    (tmp_path / "labels/lake.csv").unlink()
    write_csv(tmp_path / "labels/airport.csv", "image,airplane,sea,sand", "a.jpg,0,0,0")
    check(
        problems(task),
        r"labels/harbor&port.csv and labels/airport.csv in .* differ in the label columns \['bare soil', 'sand'\]",
        r"labels/swimmimg_pool.csv and labels/airport.csv",
    )
    rows = ("a.jpg,0,2,x", "a.png,0,0,0")
    write_csv(tmp_path / "labels/airport.csv", "image,airplane,sea,bare soil", *rows)
    check(
        problems(task),
        r"the csv files of labels, joined by name: 2 label values are neither 0 nor 1, e.g. '2' in column 'sea'",
        r"the csv files of labels: 1 ids stand for more than one row, e.g. 'a'",
    )


def folds_of(task: Task, store: Path, split: object) -> np.ndarray:
    backbone = Backbone("test_resnet", pretrained=False)
    sweep = Sweep("study", task, split=split, backbone=backbone, recipe=Recipe(image_size=32))  # type: ignore[arg-type]
    return planned_sweep(sweep, Locations.of(str(store))).plan.tasks[0].folds


def test_strata_are_spread_over_the_parts_of_a_split(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for category in ("airport", "beach", "lake"):  # one and the same label for all: the category alone tells them apart
        names = [f"{category}_{i}.png" for i in range(20)]
        (tmp_path / "Images" / category).mkdir(parents=True)
        for name in names:
            cv2.imwrite(str(tmp_path / "Images" / category / name), rng.integers(0, 255, (8, 8, 3)).astype(np.uint8))
        write_csv(tmp_path / "labels" / f"{category}.csv", "image,sea", *(f"{name},1" for name in names))
    task = MLRSNet(str(tmp_path))
    held_out = folds_of(task, tmp_path / "store", holdout(0.2)).reshape(3, 20) == 0
    assert held_out.sum(axis=1).tolist() == [4, 4, 4]
    folds = folds_of(task, tmp_path / "store", kfold(5)).reshape(3, 20)
    assert all(np.bincount(of_category).tolist() == [4] * 5 for of_category in folds)


def test_classes_are_folders_and_deeper_folders_belong_to_them(tmp_path: Path) -> None:
    draw(tmp_path / "cat/1.jpg", tmp_path / "cat/indoors/1.JPG", tmp_path / "dog/b.png", tmp_path / ".thumbs/1.jpg")
    (tmp_path / "dog/notes.txt").write_text("two dogs")
    (tmp_path / "dog/._b.png").write_text("left by another system")
    task = ImageFolder(str(tmp_path), title="pets")
    assert (task.kind, task.metric, task.label, task.labels) == ("multiclass", "macro_f1", "pets", ("cat", "dog"))
    assert task.table()[["id", "split", "label"]].to_numpy().tolist() == [
        ["cat/1", "train", "cat"],
        ["cat/indoors/1", "train", "cat"],
        ["dog/b", "train", "dog"],
    ]
    assert task.images.submission is None
    assert all(cv2.imread(path) is not None for path in task.images.rows["path"])


@pytest.mark.parametrize(
    ("train", "test", "given"), [("train/", "test", ""), ("", "test", ""), ("train/", "val", ""), ("", "new", "new")]
)
def test_test_images_have_ids_from_their_files_and_no_labels(tmp_path: Path, train: str, test: str, given: str) -> None:
    draw(tmp_path / f"{train}cat/1.jpg", tmp_path / f"{train}dog/2.jpg")
    draw(tmp_path / test / "0007.jpg", tmp_path / test / "cat/0008.jpg")
    task = ImageFolder(str(tmp_path), test=given)
    assert task.labels == ("cat", "dog")
    assert task.images.rows["id"].tolist() == [f"{train}cat/1", f"{train}dog/2", "0007", "cat/0008"]
    assert task.images.targets.tolist() == [[1, 0], [0, 1], [0, 0], [0, 0]]
    form = task.images.submission
    assert form is not None
    assert (form.id_column, form.ids, form.columns) == ("id", ("0007", "cat/0008"), ("label",))


def test_what_is_wrong_with_folders_is_told_at_once(tmp_path: Path) -> None:
    check(problems(ImageFolder(str(tmp_path / "no"))), r"folder '.*no' does not exist")
    draw(tmp_path / "train/cat/1.jpg", tmp_path / "train/cat/1.png", tmp_path / "train/loose.jpg")
    for empty in ("train/dog", "test", "val"):
        (tmp_path / empty).mkdir()
    task = ImageFolder(str(tmp_path))
    check(
        problems(task),
        r"has both test and val: say which images are to be predicted, ImageFolder\(test='test'\) or",
        r"train holds 1 images beside its class folders, e.g. 'loose.jpg': move each into the folder",
        r"1 class folders of .*train hold no images, e.g. 'dog': fill or remove them. Understood are .*\.jpg",
        r"test holds no images \(.*\.jpg.*\)\. Remove it or fill it",
        r"the images below .*, by path without ending,: 1 ids stand for more than one row, e.g. 'train/cat/1'",
    )
    found = problems(ImageFolder(str(tmp_path), test="tset"))
    assert r"folder tset is missing in" in found
    assert "(found test, train, val)" in found
    one = tmp_path / "one"
    draw(one / "cat/1.jpg")
    check(problems(ImageFolder(str(one))), r"one has 1 class folders \('cat'\): a task needs two or more")
