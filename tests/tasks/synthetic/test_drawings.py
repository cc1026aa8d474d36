from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from swath.core.errors import InputError
from swath.tasks.synthetic import birds as plumage
from swath.tasks.synthetic import scenes
from swath.tasks.synthetic.birds import SPECIES, draw_bird, write_birds
from swath.tasks.synthetic.scenes import LABELS, draw_scene, write_satellite

TWINS = (
    ("Lake Kingfisher", "Banded Kingfisher"),
    ("Reed Warbler", "Streaked Warbler"),
    ("River Wagtail", "Bibbed Wagtail"),
    ("Garden Thrush", "Spotted Thrush"),
    ("Meadow Lapwing", "Orange-Legged Lapwing"),
    ("Fig Barbet", "Ring-Tailed Barbet"),
    ("Black Starling", "Bar-Winged Starling"),
)


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def decoded(path: Path) -> np.ndarray:
    image = cv2.imread(str(path))
    assert image is not None, path
    return image[..., ::-1]


@pytest.fixture(scope="module")
def targets() -> np.ndarray:
    """Targets of 1,500 scenes, uint8 [1500, labels]."""
    return np.stack([draw_scene(np.random.default_rng([11, 0, i]), 32)[1] for i in range(1500)])


@pytest.fixture(scope="module")
def satellite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("satellite")
    write_satellite(root, train=12, test=5, size_px=48, seed=3)
    return root


@pytest.fixture(scope="module")
def birds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("birds")
    write_birds(root, train=40, test=6, species=3, seed=3)
    return root


def test_label_frequencies_are_as_skewed_as_the_satellite_task(targets: np.ndarray) -> None:
    share = dict(zip(LABELS, targets.mean(axis=0), strict=True))
    assert len(LABELS) == 14
    assert list(LABELS) == sorted(LABELS)
    assert max(share, key=share.__getitem__) == "trees"
    assert 0.60 < share["trees"] < 0.72
    assert min(share, key=share.__getitem__) == "wind turbine"
    assert 0.006 < share["wind turbine"] < 0.022
    assert sum(value < 0.06 for value in share.values()) >= 4


def test_every_scene_has_a_label_and_labels_occur_together_plausibly(targets: np.ndarray) -> None:
    assert targets.dtype == np.uint8
    assert set(np.unique(targets)) == {0, 1}
    assert targets.sum(axis=1).min() >= 1
    on = {label: targets[:, k] == 1 for k, label in enumerate(LABELS)}
    assert on["water"][on["dock"]].mean() > 0.95
    assert on["buildings"][on["cars"]].mean() > 1.4 * on["buildings"].mean()
    assert on["cars"][on["field"]].mean() < 0.5 * on["cars"].mean()


def test_one_generator_gives_the_same_scene_at_every_size() -> None:
    for i in range(12):
        large, at_large = draw_scene(np.random.default_rng([5, 0, i]), 256)
        small, at_small = draw_scene(np.random.default_rng([5, 0, i]), 64)
        assert large.shape == (256, 256, 3)
        assert small.shape == (64, 64, 3)
        assert large.dtype == small.dtype == np.uint8
        assert (at_large != at_small).sum() <= 1  # an object may be just at the limit of what counts as visible
        reduced = cv2.resize(large, (64, 64), interpolation=cv2.INTER_AREA).astype(float)
        assert np.corrcoef(reduced.ravel(), small.ravel())[0, 1] > 0.8


def test_what_lies_under_something_else_carries_no_label(monkeypatch: pytest.MonkeyPatch) -> None:
    once = (1.0, 1)
    bare = scenes._Scene(1.0, {"bare soil": 1.0}, {"tanks": once, "houses": once})
    buried = scenes._Scene(1.0, {"bare soil": 1.0}, {"tanks": once, "houses": once, "turbine": once})
    monkeypatch.setattr(scenes, "_SCENES", (bare,))
    seen = draw_scene(np.random.default_rng(0), 96)[1]
    assert [label for label, on in zip(LABELS, seen, strict=True) if on] == ["bare soil", "buildings", "tanks"]

    # In place of the last layer, snow falls on everything.
    monkeypatch.setattr(scenes, "_SCENES", (buried,))
    covering = {**scenes._PAINTERS, "turbine": lambda canvas, rng: scenes.cover_ground(canvas, rng, "snow")}
    monkeypatch.setattr(scenes, "_PAINTERS", covering)
    seen = draw_scene(np.random.default_rng(0), 96)[1]
    assert [label for label, on in zip(LABELS, seen, strict=True) if on] == ["snow"]


def test_grounds_differ_in_hue_and_overlap_in_brightness() -> None:
    canvas = scenes.blank_canvas(np.random.default_rng(0), 64)
    means = {}
    for label in ("bare soil", "grass", "pavement", "water"):
        means[label] = []
        for k in range(30):
            scenes.cover_ground(canvas, np.random.default_rng([1, k]), label)
            means[label].append(canvas.image.mean(axis=(0, 1)))
    gray = {label: np.array(values) @ (0.299, 0.587, 0.114) for label, values in means.items()}
    assert gray["bare soil"].min() < gray["grass"].max()
    assert gray["water"].max() > gray["grass"].min()
    assert gray["pavement"].min() < gray["bare soil"].max()
    red, green, blue = (np.array([np.array(values)[:, k] for values in means.values()]) for k in range(3))
    assert (red[0] > green[0]).all()
    assert (green[1] > red[1]).all()
    assert (blue[3] > red[3]).all()


def test_satellite_tables_have_the_competitions_columns(satellite: Path) -> None:
    tables = {path.stem: pd.read_csv(path) for path in satellite.glob("*.csv")}
    assert set(tables) == {"train", "test", "sample_submission", "answers"}
    assert list(tables["train"].columns) == ["img_id", "img_path", *LABELS]
    assert list(tables["test"].columns) == ["img_id", "img_path"]
    assert list(tables["sample_submission"].columns) == ["img_id", *LABELS]
    assert list(tables["answers"].columns) == ["img_id", *LABELS]
    assert [len(tables[name]) for name in ("train", "test", "sample_submission", "answers")] == [12, 5, 5, 5]
    assert (tables["sample_submission"][list(LABELS)].to_numpy() == 0).all()
    assert ",0.0" in (satellite / "sample_submission.csv").read_text()
    assert list(tables["test"].img_id) == list(tables["sample_submission"].img_id) == list(tables["answers"].img_id)
    ids = [*tables["train"].img_id, *tables["test"].img_id]
    assert len(set(ids)) == 17
    assert all(len(img_id) == 8 for img_id in ids)


def test_satellite_images_are_where_and_what_the_tables_say(satellite: Path) -> None:
    for name, part in (("train", 0), ("test", 1)):
        table = pd.read_csv(satellite / f"{name}.csv")
        labelled = pd.read_csv(satellite / ("train.csv" if name == "train" else "answers.csv"))
        assert len(list((satellite / name).iterdir())) == len(table)
        for i, (img_id, path) in enumerate(zip(table.img_id, table.img_path, strict=True)):
            assert path == f"./{name}/{img_id}.jpg"
            image, expected = draw_scene(np.random.default_rng([3, part, i]), 48)
            assert np.abs(decoded(satellite / path).astype(float) - image).mean() < 8
            assert labelled[list(LABELS)].iloc[i].tolist() == expected.tolist()


def test_satellite_is_the_same_to_the_byte_and_grows_at_the_end(satellite: Path, tmp_path: Path) -> None:
    write_satellite(tmp_path / "again", train=12, test=5, size_px=48, seed=3)
    assert contents(tmp_path / "again") == contents(satellite)
    write_satellite(tmp_path / "larger", train=14, test=6, size_px=48, seed=3)
    small, large = contents(satellite), contents(tmp_path / "larger")
    assert all(large[name] == data for name, data in small.items() if name.endswith(".jpg"))
    assert all(large[name].startswith(data) for name, data in small.items() if name.endswith(".csv"))
    write_satellite(tmp_path / "other", train=2, test=1, size_px=48, seed=4)
    assert not set(contents(tmp_path / "other").values()) & {d for n, d in small.items() if n.endswith(".jpg")}


def test_bird_tables_have_the_competitions_columns(birds: Path) -> None:
    tables = {path.stem: pd.read_csv(path) for path in birds.glob("*.csv")}
    assert set(tables) == {"train", "test", "sample_submission", "answers"}
    assert list(tables["train"].columns) == ["img_path", "upscale_img_path", "label"]
    assert list(tables["test"].columns) == ["id", "img_path"]
    assert list(tables["sample_submission"].columns) == list(tables["answers"].columns) == ["id", "label"]
    assert tables["train"].iloc[7, :2].tolist() == ["./train/TRAIN_00007.jpg", "./upscale_train/TRAIN_00007.png"]
    assert tables["test"].iloc[5].tolist() == ["TEST_00005", "./test/TEST_00005.jpg"]
    assert list(tables["sample_submission"].id) == list(tables["answers"].id) == list(tables["test"].id)
    assert tables["train"].label.value_counts().reindex(SPECIES[:3]).min() >= 6
    assert set(tables["answers"].label) <= set(SPECIES[:3])


def test_small_birds_are_the_large_ones_reduced_and_test_birds_have_no_large_one(birds: Path) -> None:
    train = pd.read_csv(birds / "train.csv")
    for path, large_path in zip(train.img_path, train.upscale_img_path, strict=True):
        large = cv2.imread(str(birds / large_path))
        assert large is not None
        assert large.shape == (256, 256, 3)
        small = cv2.resize(large, (64, 64), interpolation=cv2.INTER_AREA)
        expected = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
        assert (birds / path).read_bytes() == expected
    for path in pd.read_csv(birds / "test.csv").img_path:
        assert decoded(birds / path).shape == (64, 64, 3)
    assert sorted(p.name for p in birds.iterdir() if p.is_dir()) == ["test", "train", "upscale_train"]
    assert {p.name for p in (birds / "upscale_train").iterdir()} == {f"TRAIN_{i:05d}.png" for i in range(40)}
    assert len(list((birds / "test").iterdir())) == 6


def test_birds_are_the_same_to_the_byte_and_grow_at_the_end(birds: Path, tmp_path: Path) -> None:
    write_birds(tmp_path / "again", train=40, test=6, species=3, seed=3)
    assert contents(tmp_path / "again") == contents(birds)
    write_birds(tmp_path / "fewer", train=9, test=2, species=3, seed=3)
    few, many = contents(tmp_path / "fewer"), contents(birds)
    assert all(many[name].startswith(data) for name, data in few.items())


@pytest.mark.parametrize("species", [0, 26])
def test_a_wrong_number_of_species_is_named_before_anything_is_written(tmp_path: Path, species: int) -> None:
    with pytest.raises(InputError, match=rf"species={species}: allowed is 1 to 25"):
        write_birds(tmp_path / "birds", train=1, test=1, species=species, seed=0)
    assert not (tmp_path / "birds").exists()


def test_there_are_25_species_and_no_two_look_alike() -> None:
    assert list(SPECIES) == sorted(set(SPECIES))
    assert len(SPECIES) == 25
    assert len(set(plumage._TABLE.values())) == 25


@pytest.mark.parametrize(("plain", "marked"), TWINS)
def test_twins_differ_in_a_mark_that_reduction_blurs(plain: str, marked: str) -> None:
    at_256, at_64, shares = [], [], []
    for i in range(5):
        pair = [draw_bird(np.random.default_rng([2, i]), SPECIES.index(name)) for name in (plain, marked)]
        small = [cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA) for image in pair]
        difference = cv2.absdiff(*pair)
        at_256.append(difference.max())
        at_64.append(cv2.absdiff(*small).max())
        shares.append((difference.max(axis=2) > 20).mean())
    assert np.median(at_256) > 40
    assert np.median(at_64) < 0.85 * np.median(at_256)
    assert 0 < np.median(shares) < 0.01


def test_poses_vary() -> None:
    images = [draw_bird(np.random.default_rng([4, i]), 0, size_px=64) for i in range(6)]
    assert all(image.shape == (64, 64, 3) and image.dtype == np.uint8 for image in images)
    assert all(np.abs(a.astype(int) - b).mean() > 8 for a, b in pairwise(images))
