from pathlib import Path

import pytest

from swath import ops
from swath.config.ops import Clahe, Resize, Sharpen, Unsharp


@pytest.mark.parametrize("size", [-1, 1, 7, 4097, 64.0, "64", None])
def test_sizes_out_of_range_are_refused(size: int) -> None:
    assert Resize(size).problems() == [f"Resize(size_px={size!r}): give a whole number of pixels from 8 to 4096."]


@pytest.mark.parametrize(
    ("op", "problem"),
    [
        (Unsharp(0), "Unsharp(radius=0): give a number from above 0 to 50."),
        (Unsharp(amount=11.0), "Unsharp(amount=11.0): give a number from above 0 to 10."),
        (Unsharp(threshold=-1), "Unsharp(threshold=-1): give a number from 0 to 255."),
        (Unsharp(radius="2"), "Unsharp(radius='2'): give a number from above 0 to 50."),  # type: ignore[arg-type]
        (Unsharp(radius=float("nan")), "Unsharp(radius=nan): give a number from above 0 to 50."),
        (Clahe(0.0), "Clahe(clip_limit=0.0): give a number from above 0 to 100."),
        (Clahe(tiles=0), "Clahe(tiles=0): give a whole number from 1 to 64."),
        (Clahe(tiles=2.0), "Clahe(tiles=2.0): give a whole number from 1 to 64."),  # type: ignore[arg-type]
    ],
)
def test_values_out_of_range_are_refused(op: ops.Op, problem: str) -> None:
    assert op.problems() == [problem]


def test_values_in_range_are_accepted() -> None:
    assert (
        Unsharp().problems() == Unsharp(50, 10, 0).problems() == Clahe().problems() == Clahe(100, 64).problems() == []
    )


def test_every_op_of_the_table_is_named_once_and_has_an_implementation() -> None:
    from swath.preprocess.transforms import IMPLEMENTATIONS

    models = {op.name for op in ops.OPS.values() if op.expensive}
    names = [op.name for op in ops.OPS.values()]
    # Both becomes two plain chains when a sweep is planned; swath.models.image_models carries out ops with a model.
    assert sorted(set(names) - models - {"both"}) == IMPLEMENTATIONS.names()
    assert len(set(names)) == len(names)
    assert all(getattr(ops, name) is op for name, op in ops.OPS.items())


def test_problems_of_superres_say_what_is_allowed() -> None:
    assert ops.SuperRes(2, "compact", "a.pth", "realesrgan").problems() == []
    assert ops.SuperRes("compact").problems() == [  # type: ignore[arg-type]
        "SuperRes(scale='compact'): allowed are 2 and 4. The scale comes first: SuperRes(model='compact')."
    ]
    found = ops.SuperRes(3, "x4pls", 5, "spandrl").problems()  # type: ignore[arg-type]
    assert len(found) == 4
    assert "'x4plus'" in found[1]
    assert "'spandrel'" in found[3]
    assert ops.Shrink(0).problems() == ["Shrink(longest_px=0): give a whole number of pixels from 1 to 4096."]


def test_what_identifies_the_weights_of_superres() -> None:
    given, official = ops.SuperRes(weights="/x/own.pth"), ops.SuperRes(model="compact")
    assert (given.weight_file(0), given.weight_sha256()) == ("/x/own.pth", "")
    assert official.weight_file(3) == ""
    assert official.weight_sha256() == "b8a8376811077954d82ca3fcf476f1ac3da3e8a68a4f4d71363008000a18b75d"
    assert (Sharpen().weight_file(0), Sharpen().weight_sha256()) == ("", "")


def test_detect_crop_takes_its_folds_file_from_a_folder_and_one_file_for_all(tmp_path: Path) -> None:
    folder, single = ops.DetectCrop(detector=str(tmp_path)), ops.DetectCrop(detector="/x/birds.pt")
    assert folder.weight_file(3) == str(tmp_path / "fold3.pt")
    assert single.weight_file(0) == single.weight_file(3) == "/x/birds.pt"
    assert single.without_file() == ops.DetectCrop()
    assert ops.SuperRes(2, weights="/x/a.pth").without_file() == ops.SuperRes(2)
    assert single.canonical() == "detect_crop(pad,birds.pt)"
    assert (
        ops.DetectCrop("stretch", "det/birds/", margin=0.1, classes=("bird",)).canonical()
        == "detect_crop(stretch,birds,margin=0.1,classes=bird)"
    )


def test_problems_of_detect_crop_say_what_is_allowed() -> None:
    assert ops.DetectCrop("contour", "x.pt", (0, 0, 255), 1, 0, "area", ("bird",)).problems() == []
    wrong = ops.DetectCrop("streched", "", (1, 2), 0, 3, "cubik", "bird")  # type: ignore[arg-type]
    found = wrong.problems()
    for part in (
        "'stretch'",
        "swath detect finetune",
        "(114, 114, 114)",
        "above 0",
        "from 0 to 2",
        "'cubic'",
        "('bird',)",
    ):
        assert any(part in problem for problem in found), part
    assert len(found) == 7
    assert "no margin" in ops.DetectCrop("contour", "x.pt", margin=0.1).problems()[0]
