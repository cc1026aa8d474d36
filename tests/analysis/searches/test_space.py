import math

import pytest

from swath import losses
from swath.analysis.searches.space import Parameter, parameter, spaces
from swath.config.search import Random, Range, described
from swath.store.sweeps import ListedSearch

RANGES = {
    "lr": Range("loguniform", 1e-5, 1e-1),
    "weight_decay": Range("uniform", 0.0, 0.3),
    "epochs": Range("integers", 2, 9),
    "loss": Range("choice", options=(losses.BCE(), losses.Focal(gamma=1.5), losses.Asymmetric())),
    "crop": Range("choice", options=((0.5, 1.0), "none", 3)),
}


def listed(ranges: dict[str, Range], points: int = 6) -> ListedSearch:
    asked = Random(points).ask(ranges, [])
    return ListedSearch(
        search=Random(points).key, space={n: str(one) for n, one in ranges.items()}, points=tuple(asked)
    )


def test_points_read_from_text_are_those_that_labels_show():
    search = listed(RANGES)
    labels = [f"raw / {described(point, RANGES)}" for point in search.points]
    (space,) = spaces({"raw": search}, labels)
    assert [p.cell for p in space.points] == labels
    for plain, point in zip(search.points, space.points, strict=True):
        assert {n: point.values[n] for n in ("lr", "weight_decay", "epochs")} == {
            n: plain[n] for n in ("lr", "weight_decay", "epochs")
        }
        assert point.values["loss"] == RANGES["loss"].options[plain["loss"]].canonical()
    assert space.parameters[3].options == ("bce", "focal(gamma=1.5)", losses.Asymmetric().canonical())
    assert (space.search, space.origins) == ("random", ("raw",))


def test_a_sweep_without_a_grid_has_cells_named_by_their_point_alone():
    search = listed({"lr": RANGES["lr"]})
    labels = [described(point, RANGES) for point in search.points]
    (space,) = spaces({"raw / resnet18 / bce": search}, labels)
    assert [p.cell for p in space.points] == labels
    assert {p.origin for p in space.points} == {"raw / resnet18 / bce"}


def test_cells_with_other_ranges_are_spaces_of_their_own_and_a_cell_without_any_is_none():
    with_gamma = {"lr": RANGES["lr"], "loss.gamma": Range("uniform", 0.0, 3.0)}
    searches = {"bce": listed({"lr": RANGES["lr"]}), "focal": listed(with_gamma), "raw": listed({}, 1)}
    labels = ["raw / "]
    labels += [f"bce / {described(p, RANGES)}" for p in searches["bce"].points]
    labels += [f"focal / {described(p, with_gamma)}" for p in searches["focal"].points]
    found = spaces(searches, labels)
    assert [s.origins for s in found] == [("bce",), ("focal",)]
    assert [[one.name for one in s.parameters] for s in found] == [["lr"], ["lr", "loss.gamma"]]


def test_places_are_those_of_the_scale_the_range_was_drawn_on():
    lr = parameter("lr", "loguniform(1e-05,0.1)")
    assert lr.place(1e-3) == pytest.approx(0.5)
    assert lr.at(0.25) == pytest.approx(1e-4)
    epochs = parameter("epochs", "integers(2,10)")
    assert (epochs.place(4), epochs.at(0.3)) == (0.25, 4)
    choice = parameter("loss", "choice(bce,focal(gamma=2,alpha=0.5))")
    assert (choice.options, choice.place("focal(gamma=2,alpha=0.5)")) == (("bce", "focal(gamma=2,alpha=0.5)"), 1)
    for one in (lr, epochs, Parameter("x", "uniform", -1, 3)):
        assert all(math.isclose(one.place(one.at(share)), share, abs_tol=0.07) for share in (0, 0.5, 1))


def test_an_end_that_text_rounds_still_holds_every_point():
    search = ListedSearch(
        search=("random", 0), space={"lr": str(Range("loguniform", 1.23456789e-4, 1e-2))}, points=({"lr": 1.2345e-4},)
    )
    (space,) = spaces({"raw": search}, ["lr=0.00012345"])
    assert space.parameters[0].place(space.points[0].values["lr"]) == 0
