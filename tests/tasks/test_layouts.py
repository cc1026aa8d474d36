import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from swath.config.task import Task
from swath.core.errors import InputError
from swath.tasks import Csv, DaconBirds, DaconSatellite, UCMerced

Build = Callable[[Path], Task]


def write_csv(path: Path, *rows: str, newline: str = "\n", bom: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((newline.join(rows) + newline).encode("utf-8-sig" if bom else "utf-8"))


def draw(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), np.full((4, 5, 3), 90, np.uint8))


def satellite(root: Path) -> DaconSatellite:
    draw(
        *(root / "train" / f"{n}.jpg" for n in ("0001", "A2", "B3")),
        root / "test" / "T1.jpg",
        root / "test" / "0002.jpg",
    )
    write_csv(
        root / "train.csv",
        "img_id,img_path,bare soil,airplane,NA",
        "0001,./train/0001.jpg,1,0,0",
        "A2,./train/A2.jpg,0,1,1",
        "B3,./train/B3.jpg,0,0,0",
        newline="\r\n",
        bom=True,
    )
    write_csv(root / "test.csv", "img_id,img_path", "T1,./test/T1.jpg", "0002,./test/0002.jpg")
    write_csv(root / "sample_submission.csv", "img_id,airplane,bare soil,NA", "0002,0,0,0", "T1,0,0,0", bom=True)
    return DaconSatellite(str(root))


def birds(root: Path) -> DaconBirds:
    draw(root / "train/TRAIN_00000.jpg", root / "train/TRAIN_00001.jpg", root / "test/TEST_00000.jpg")
    draw(root / "upscale_train/TRAIN_00000.png", root / "upscale_train/TRAIN_00001.jpg")
    write_csv(
        root / "train.csv",
        "img_path,upscale_img_path,label",
        "./train/TRAIN_00000.jpg,./upscale_train/TRAIN_00000.png,House Crow",
        "./train/TRAIN_00001.jpg,./upscale_train/TRAIN_00001.jpg,Asian Green Bee-Eater",
        newline="\r\n",
    )
    write_csv(root / "test.csv", "id,img_path", "TEST_00000,./test/TEST_00000.jpg", bom=True)
    write_csv(root / "sample_submission.csv", "id,label", "TEST_00000,House Crow")
    return DaconBirds(str(root))


def ucmerced(root: Path) -> UCMerced:
    draw(root / "images/beach/beach00.jpg", root / "images/airplane/airplane01.jpg")
    write_csv(
        root / "labels.csv",
        "img_id,img_path,airplane,sea",
        "beach00,images/beach/beach00.jpg,0,1",
        "airplane01,images/airplane/airplane01.jpg,1,0",
    )
    return UCMerced(str(root))


def single(root: Path) -> Csv:
    draw(*(root / "images" / f"{i}.png" for i in range(4)), root / "images" / "t.png", root / "large" / "0.png")
    write_csv(
        root / "train.csv",
        "id,path,label,place,large",
        "007,images/0.png,NA,a,large/0.png",
        "1,images/1.png,None,a,",
        "2,images/2.png,nan,,",
        "3,images/3.png,NA,b,",
    )
    write_csv(root / "test.csv", "id,path", "008,images/t.png")
    return Csv(
        str(root), test="test.csv", label_column="label", group_column="place", hires_column="large", title="mine"
    )


def multi(root: Path) -> Csv:
    draw(root / "0.png", root / "1.png")
    write_csv(root / "train.csv", "path,sea,land,id", "0.png,1,0,a", "1.png,0.0,1.0,b")
    return Csv(str(root))


@pytest.mark.parametrize("build", [satellite, birds, ucmerced, single, multi])
def test_every_image_named_is_an_absolute_path_to_a_file(build: Build, tmp_path: Path) -> None:
    rows = build(tmp_path).images.rows
    assert len(rows) >= 2
    for path in [*rows["path"], *filter(None, rows.get("hires_path", []))]:
        assert Path(path).is_absolute()
        assert cv2.imread(path) is not None


def test_satellite_table_columns_order_and_text_ids(tmp_path: Path) -> None:
    task = satellite(tmp_path)
    assert (task.kind, task.metric, task.label) == ("multilabel", "map", "dacon_satellite")
    assert task.labels == ("bare soil", "airplane", "NA")  # the order of train.csv
    table = task.table()
    assert table.columns.tolist() == ["id", "path", "split", "bare soil", "airplane", "NA"]
    assert table["id"].tolist() == ["0001", "A2", "B3", "T1", "0002"]
    assert table["split"].tolist() == ["train"] * 3 + ["test"] * 2
    assert table["path"][0] == str(tmp_path.resolve() / "train" / "0001.jpg")
    assert table[list(task.labels)].to_numpy().tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert (table.dtypes[3:] == np.uint8).all()
    assert task.images.targets.dtype == np.uint8


def test_satellite_submission_has_the_samples_columns_and_row_order(tmp_path: Path) -> None:
    form = satellite(tmp_path).images.submission
    assert form is not None
    assert (form.id_column, form.ids, form.columns) == ("img_id", ("0002", "T1"), ("airplane", "bare soil", "NA"))


def test_birds_table_has_species_from_the_data_and_hires_paths_for_training_only(tmp_path: Path) -> None:
    task = birds(tmp_path)
    assert (task.kind, task.metric) == ("multiclass", "macro_f1")
    assert task.labels == ("Asian Green Bee-Eater", "House Crow")
    table = task.table()
    assert table.columns.tolist() == ["id", "path", "split", "hires_path", "label"]
    assert table["id"].tolist() == ["TRAIN_00000", "TRAIN_00001", "TEST_00000"]
    assert table["label"].tolist() == ["House Crow", "Asian Green Bee-Eater", ""]
    assert [Path(p).name for p in table["hires_path"]] == ["TRAIN_00000.png", "TRAIN_00001.jpg", ""]  # follow the csv
    assert task.images.targets.tolist() == [[0, 1], [1, 0], [0, 0]]
    form = task.images.submission
    assert form is not None
    assert (form.id_column, form.ids, form.columns) == ("id", ("TEST_00000",), ("label",))


def test_ucmerced_table_has_no_test_part_and_nothing_to_submit(tmp_path: Path) -> None:
    task = ucmerced(tmp_path)
    assert task.labels == ("airplane", "sea")
    table = task.table()
    assert table.columns.tolist() == ["id", "path", "split", "airplane", "sea"]
    assert table["split"].tolist() == ["train", "train"]
    assert table[["airplane", "sea"]].to_numpy().tolist() == [[0, 1], [1, 0]]
    assert task.images.submission is None


def test_csv_single_label_keeps_text_groups_and_hires_paths(tmp_path: Path) -> None:
    task = single(tmp_path)
    assert (task.kind, task.metric, task.label) == ("multiclass", "macro_f1", "mine")
    assert task.labels == ("NA", "None", "nan")  # names of labels, not missing values
    table = task.table()
    assert table["id"].tolist() == ["007", "1", "2", "3", "008"]
    assert table["label"].tolist() == ["NA", "None", "nan", "NA", ""]
    assert table["group"].tolist() == ["a", "a", "", "b", ""]
    assert [Path(p).name for p in table["hires_path"]] == ["0.png", "", "", "", ""]
    form = task.images.submission
    assert form is not None
    assert (form.id_column, form.ids, form.columns) == ("id", ("008",), ("label",))


def test_csv_multi_label_takes_all_other_columns(tmp_path: Path) -> None:
    task = multi(tmp_path)
    assert (task.kind, task.metric, task.label) == ("multilabel", "map", "csv")
    assert task.labels == ("sea", "land")
    assert task.images.targets.tolist() == [[1, 0], [0, 1]]
    assert task.images.submission is None


@pytest.mark.parametrize("separator", [";", "\t"])
def test_csv_may_be_a_spreadsheets_with_a_byte_order_mark(tmp_path: Path, separator: str) -> None:
    rows = [("path", "Bäume", "Häuser"), ("a, 1.png", "1", "0"), ("b.png", "0", "1")]
    write_csv(tmp_path / "train.csv", *map(separator.join, rows), bom=True)
    draw(tmp_path / "a, 1.png", tmp_path / "b.png")
    images = Csv(str(tmp_path), id_column="").read()
    assert images.labels == ("Bäume", "Häuser")
    assert images.targets.tolist() == [[1, 0], [0, 1]]


def test_csv_takes_the_label_columns_named_in_that_order(tmp_path: Path) -> None:
    write_csv(tmp_path / "my.csv", "name,file,a,b,note", "x,0.png,1,0,hello", "y,1.png,0,1,")
    write_csv(tmp_path / "t.csv", "name,file", "z,2.png")
    task = Csv(str(tmp_path), "my.csv", "t.csv", id_column="name", path_column="file", label_columns=("b", "a"))
    assert task.labels == ("b", "a")
    assert task.images.targets.tolist() == [[0, 1], [1, 0], [0, 0]]
    assert task.images.submission is not None
    assert (task.images.submission.id_column, task.images.submission.columns) == ("name", ("b", "a"))


def test_csv_without_ids_takes_file_names_and_a_given_label_set_its_order(tmp_path: Path) -> None:
    write_csv(tmp_path / "train.csv", "path,label", "a/x.1.png,cat", "b/0002.jpg,dog")
    task = Csv(str(tmp_path), id_column="", label_column="label", labels_allowed=("dog", "cat", "cow"))
    assert task.images.rows["id"].tolist() == ["x.1", "0002"]
    assert task.labels == ("dog", "cat", "cow")
    assert task.images.targets.tolist() == [[0, 1, 0], [1, 0, 0]]


def test_quoted_commas_absolute_paths_and_blank_lines_are_read(tmp_path: Path) -> None:
    write_csv(tmp_path / "train.csv", "id,path,label", f'1,"{tmp_path}/a, b.png","Crow, House"', "", "2,c.png,x")
    task = Csv(str(tmp_path), label_column="label")
    assert task.labels == ("Crow, House", "x")
    assert task.images.rows["path"][0] == str(tmp_path / "a, b.png")


def test_the_source_is_read_once(tmp_path: Path) -> None:
    task = ucmerced(tmp_path)
    first = task.images
    (tmp_path / "labels.csv").unlink()
    assert task.images is first
    assert UCMerced(str(tmp_path)) == task  # what was read is no part of a task's value


def problems(task: Task) -> str:
    """All problems, one per line."""
    with pytest.raises(InputError) as caught:
        _ = task.images
    return "\n".join(caught.value.problems)


def check(found: str, *expected: str) -> None:
    """Each pattern is found, and nothing beyond them."""
    for pattern in expected:
        assert re.search(pattern, found, re.MULTILINE), f"{pattern}\nnot in\n{found}"
    assert len(found.splitlines()) == len(expected), found


@pytest.mark.parametrize(
    "task", [DaconSatellite("no/where"), DaconBirds("no/where"), UCMerced("no/where"), Csv("no/where")]
)
def test_a_missing_folder_is_told_once_with_where_was_looked(task: Task) -> None:
    looked = re.escape(str(Path("no/where").resolve()))
    check(
        problems(task),
        rf"^folder 'no/where' does not exist \(looked at {looked}\). Give the folder that holds the data\.$",
    )


def test_all_missing_files_and_columns_are_told_at_once(tmp_path: Path) -> None:
    satellite(tmp_path)
    (tmp_path / "test.csv").unlink()
    write_csv(tmp_path / "train.csv", "id,path,airplane", "1,a.jpg,0")
    write_csv(tmp_path / "sample_submission.csv", "image,airplane", "1,0")
    check(
        problems(DaconSatellite(str(tmp_path))),
        r"file .*train.csv lacks the column\(s\) 'img_id', 'img_path'; it has 'id', 'path', 'airplane'\.",
        r"file test.csv is missing in .* \(found sample_submission.csv, train.csv\)",
        r"file .*sample_submission.csv lacks the column\(s\) 'img_id'; it has 'image', 'airplane'\.",
    )
    (tmp_path / "train.csv").unlink()
    (tmp_path / "sample_submission.csv").unlink()
    check(
        problems(DaconSatellite(str(tmp_path))),
        *[rf"file {n}.csv is missing.*no csv file" for n in ("train", "test", "sample_submission")],
    )


def test_all_that_is_wrong_with_the_satellite_tables_is_told_at_once(tmp_path: Path) -> None:
    satellite(tmp_path)
    write_csv(tmp_path / "train.csv", "img_id,img_path,a,b", "1,x.jpg,1,yes", "1,y.jpg,2,", "T1,z.jpg,0,1")
    write_csv(tmp_path / "test.csv", "img_id,img_path", "T1,t.jpg", "T2,u.jpg")
    write_csv(tmp_path / "sample_submission.csv", "img_id,a,c", "T1,0,0", "T3,0,0", "T1,0,0")
    check(
        problems(DaconSatellite(str(tmp_path))),
        r"^train.csv: 3 label values are neither 0 nor 1, e.g. 'yes' in column 'b', data row 1\. A multi-label table",
        r"sample_submission.csv and train.csv in .* differ in the label columns \['b', 'c'\]. They must have",
        r"train.csv and test.csv: 2 ids stand for more than one row, e.g. '1'\. Ids must be unique",
        r"sample_submission.csv: 1 ids stand for more than one row, e.g. 'T1'",
        r"sample_submission.csv and test.csv in .* differ in 2 ids, e.g. 'T2'\. They must name the same images",
    )


def test_all_that_is_wrong_with_the_bird_tables_is_told_at_once(tmp_path: Path) -> None:
    birds(tmp_path)
    write_csv(
        tmp_path / "train.csv",
        "img_path,upscale_img_path,label",
        "a/X.jpg,b/X.png,Hoopoe",
        "c/X.jpg,d/X.png,Crow",
        "c/Y.jpg,d/Y.png,",
        "c/Z.jpg,d/Z.png",
    )
    write_csv(tmp_path / "sample_submission.csv", "id,label", "TEST_00001,Duck")
    check(
        problems(DaconBirds(str(tmp_path))),
        r"^train.csv: the label\(s\) '' are outside the set\. Allowed: 'Crow', 'Hoopoe'\.",
        r"^sample_submission.csv: the label\(s\) 'Duck' are outside the set\. Allowed: 'Crow', 'Hoopoe'\.",
        r"train.csv and test.csv: 1 ids stand for more than one row, e.g. 'X'",
        r"sample_submission.csv and test.csv in .* differ in 2 ids, e.g. 'TEST_00000'",
    )


def test_all_that_is_wrong_with_ucmerceds_table_is_told_at_once(tmp_path: Path) -> None:
    write_csv(tmp_path / "labels.csv", "img_id,img_path,sea", "a,x.jpg,0", "a,y.jpg,-1", ",z.jpg,1")
    check(
        problems(UCMerced(str(tmp_path))),
        r"labels.csv: 1 label values are neither 0 nor 1, e.g. '-1' in column 'sea', data row 2",
        r"labels.csv: 1 ids stand for more than one row, e.g. 'a'",
        r"labels.csv: 1 rows have an empty id",
    )


def test_all_that_is_wrong_with_csv_tables_is_told_at_once(tmp_path: Path) -> None:
    single(tmp_path)
    write_csv(tmp_path / "train.csv", "id,path,label", "1,a.png,cat", "1,b.png,cow", "008,c.png,dgo", "4,d.png,")
    task = Csv(str(tmp_path), test="test.csv", label_column="label", labels_allowed=("cat", "dog"))
    check(
        problems(task),
        r"^train.csv: the label\(s\) '', 'cow', 'dgo' are outside the set\. Allowed: 'cat', 'dog'\.$",
        r"^train.csv and test.csv: 2 ids stand for more than one row, e.g. '1'",
    )
    task = Csv(str(tmp_path), "no.csv", "train.csv", group_column="place", path_column="file")
    check(
        problems(task),
        r"file no.csv is missing in .* \(found test.csv, train.csv\)",
        r"train.csv lacks the column\(s\) 'file'; it has 'id', 'path', 'label'",
    )


def test_a_training_image_without_a_label_is_no_class_of_its_own(tmp_path: Path) -> None:
    write_csv(tmp_path / "train.csv", "id,path,label", "1,a,x", "2,b,", "3,c,y")
    check(
        problems(Csv(str(tmp_path), label_column="label")),
        r"train.csv: the label\(s\) '' are outside the set. Allowed: 'x', 'y'",
    )


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (("id,path,sea",), r"task csv: there are no training images; a sweep needs some"),
        (("id,path", "1,a"), r"task csv: found the labels \[\]; a multilabel task needs more"),
        (
            ("id,path,sea,split", "1,a,0,1"),
            r"task csv: 'split' cannot be a label, swath's table uses the name; rename it",
        ),
        (("id,path,sea", "1,a,0,", "2,b,1,"), r"file .*train.csv is no readable csv file: Length of header.*Save"),
        (
            ("id,path,sea", "1,a,0", "2,b,1,1"),
            r"file .*train.csv is no readable csv file: .*in line 3, saw 4\. Save it as UTF-8 text with",
        ),
    ],
)
def test_tables_that_cannot_be_a_task(tmp_path: Path, rows: tuple[str, ...], expected: str) -> None:
    write_csv(tmp_path / "train.csv", *rows)
    check(problems(Csv(str(tmp_path))), expected)


def test_one_class_alone_is_no_multiclass_task(tmp_path: Path) -> None:
    write_csv(tmp_path / "train.csv", "id,path,label", "1,a,x", "2,b,x")
    check(
        problems(Csv(str(tmp_path), label_column="label")),
        r"task csv: found the labels \['x'\]; a multiclass task needs more",
    )


@pytest.mark.parametrize("data", [b"", "새,경로\n".encode("cp949")])
def test_a_file_that_is_no_utf8_csv_is_told(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "train.csv").write_bytes(data)
    check(problems(Csv(str(tmp_path))), r"file .*train.csv is no readable csv file: .*UTF-8 text with")


def test_the_table_is_a_copy(tmp_path: Path) -> None:
    task = ucmerced(tmp_path)
    table: pd.DataFrame = task.table()
    table["id"] = "changed"
    assert task.table()["id"].tolist() == ["beach00", "airplane01"]
