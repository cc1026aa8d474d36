import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import kstest

from swath import Recipe, Sweep, choice, grid, integers, loguniform, losses, ops, optuna, random, tasks, uniform
from swath.config.search import Evaluated, Optuna, Random, Range, Search
from swath.plan.cells import edge_cells, expand, grid_cells, space_of
from swath.plan.problems import grid_problems
from swath.plan.smoke import smoke

SPACE = {
    "lr": Range("loguniform", 1e-5, 1e-1),
    "drop": Range("uniform", -1.0, 3.0),
    "size": Range("integers", 2, 5),
    "loss": Range("choice", options=("bce", "focal", "asl")),
}


def sweep(**changes: Any) -> Sweep:
    return replace(Sweep("study", tasks.Csv("data"), backbone="resnet50"), **changes)


def test_random_points_have_the_distributions_they_say() -> None:
    points = random(2000, seed=4).ask(SPACE, [])
    drawn = {name: np.array([p[name] for p in points]) for name in SPACE}
    assert kstest(np.log10(drawn["lr"]), "uniform", (-5, 4)).pvalue > 0.01
    assert kstest(drawn["drop"], "uniform", (-1, 4)).pvalue > 0.01
    assert all(abs(n - 500) < 80 for n in Counter(drawn["size"].tolist()).values())
    assert sorted(set(drawn["size"].tolist())) == [2, 3, 4, 5]
    assert all(abs(n - 667) < 80 for n in Counter(drawn["loss"].tolist()).values())
    assert abs(np.corrcoef(np.log(drawn["lr"]), drawn["drop"])[0, 1]) < 0.06
    assert all(float(f"{v:.4g}") == v for v in drawn["lr"])


def test_more_points_and_more_ranges_change_none_drawn_before() -> None:
    few, many = random(5, seed=1).ask(SPACE, []), random(9, seed=1).ask(SPACE, [])
    assert many[:5] == few
    rates = [p["lr"] for p in random(5, seed=1).ask({"lr": SPACE["lr"]}, [])]
    assert rates == [p["lr"] for p in few]
    assert random(5, seed=2).ask(SPACE, []) != few


def test_a_small_space_is_searched_once() -> None:
    space = {"loss": SPACE["loss"]}
    assert sorted(p["loss"] for p in random(50).ask(space, [])) == [0, 1, 2]
    known = [Evaluated({"loss": i}, "COMPLETE", 0.5, 3) for i in range(3)]
    assert len(Optuna(50, batch=8).ask(space, [])) == 3
    assert Optuna(50, batch=8).ask(space, known) == []


def told(search: Search, n: int, score: Callable[[dict[str, Any]], float]) -> list[Evaluated]:
    evaluated: list[Evaluated] = []
    while len(evaluated) < n:
        for point in search.ask(SPACE, evaluated):
            value = score(point)
            evaluated.append(Evaluated(point, "FAILED" if math.isnan(value) else "COMPLETE", value, 5))
    return evaluated


def peak(point: dict[str, Any]) -> float:
    return -abs(math.log10(point["lr"]) + 3) - abs(point["drop"] - 1) - (point["loss"] != 1)


def test_optuna_learns_from_scores_and_a_batch_depends_on_nothing_else() -> None:
    search = optuna(48, seed=5, batch=8)
    evaluated = told(search, 48, peak)
    assert len({str(e.point) for e in evaluated}) == 48
    first, last = evaluated[:16], evaluated[-16:]
    assert np.mean([e.score for e in last]) > np.mean([e.score for e in first]) + 0.5
    assert search.ask(SPACE, evaluated[:24]) == [e.point for e in evaluated[24:32]], "as an interrupted search goes on"
    assert len(optuna(50, seed=5, batch=8).ask(SPACE, evaluated)) == 2


def test_optuna_is_told_of_stopped_and_failed_points() -> None:
    good = [Evaluated({"lr": 10.0**-k, "drop": 1.0, "size": 3, "loss": 0}, "COMPLETE", 0.9, 9) for k in (2, 3, 4)]
    bad = [
        Evaluated({"lr": 10**-1.5, "drop": d, "size": 3, "loss": 2}, "STOPPED", 0.1, 3) for d in np.linspace(0, 2, 9)
    ]
    failed = [Evaluated({"lr": 1e-5, "drop": d, "size": 2, "loss": 2}, "FAILED", math.nan, 0) for d in (0.0, 1.0)]
    asked = optuna(100, batch=30).ask(SPACE, [*good, *bad, *failed])
    assert len(asked) == 30
    assert np.mean([p["loss"] == 0 for p in asked]) > np.mean([p["loss"] == 2 for p in asked])


def test_each_cell_of_the_grid_is_searched_at_the_same_points() -> None:
    given = sweep(
        preprocess=grid((), (ops.Sharpen(),)),
        loss=choice(losses.BCE(), losses.Focal()),
        recipe=Recipe(lr=loguniform(1e-5, 1e-2), epochs=integers(3, 9)),
        search=random(6, seed=1),
    )
    assert not grid_problems(given)
    cells = expand(given)
    assert len(cells) == 12
    assert [c.baseline for c in cells] == [True] + [False] * 11
    raw, sharp = cells[:6], cells[6:]
    assert [c.factors["search"] for c in raw] == [c.factors["search"] for c in sharp]
    assert [(c.sweep.recipe, c.sweep.loss) for c in raw] == [(c.sweep.recipe, c.sweep.loss) for c in sharp]
    one = raw[2]
    loss = "focal" if one.sweep.loss == losses.Focal() else "bce"
    assert one.label == f"raw / loss={loss},epochs={one.sweep.recipe.epochs},lr={one.sweep.recipe.lr:g}"
    assert len(expand(smoke(given))) == 8


def test_ranges_may_stand_in_chains_losses_and_grids() -> None:
    given = sweep(
        preprocess=(ops.Unsharp(amount=uniform(0.5, 2.0)), ops.Unsharp(amount=uniform(0.5, 2.0), radius=3.0)),
        loss=grid(losses.BCE(), losses.Focal(gamma=uniform(0.0, 5.0))),
        search=random(2),
    )
    plain, focal = grid_cells(given)
    assert list(space_of(plain)) == ["preprocess.amount", "preprocess.amount 2"]
    assert list(space_of(focal)) == ["preprocess.amount", "preprocess.amount 2", "loss.gamma"]
    cell = expand(given)[2]
    chain = cell.sweep.preprocess
    assert isinstance(chain, tuple)
    assert cell.point == {
        "preprocess.amount": chain[0].amount,  # type: ignore[attr-defined]
        "preprocess.amount 2": chain[1].amount,  # type: ignore[attr-defined]
        "loss.gamma": cell.sweep.loss.gamma,  # type: ignore[attr-defined]
    }
    edges = {c.point["loss.gamma"] for c in edge_cells(grid_cells(given)) if "loss.gamma" in c.point}
    assert edges == {0.0, 5.0}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"recipe": Recipe(lr=loguniform(0.0, 1.0)), "search": random(3)},
            "recipe.lr: loguniform(0.0, 1.0): both ends",
        ),
        (
            {"recipe": Recipe(lr=uniform(1.0, 0.1)), "search": random(3)},
            "uniform(1.0, 0.1): give the lowest and",
        ),
        ({"recipe": Recipe(epochs=integers(1, 2.5)), "search": random(3)}, "integers(1, 2.5): give the lowest"),  # type: ignore[arg-type]
        ({"loss": choice(losses.BCE()), "search": random(3)}, "choice(bce) has 1 value(s): give two or more"),
        ({"recipe": Recipe(lr=uniform(0.1, 1.0))}, "uniform(0.1,1) stands on recipe.lr, and the sweep has no search"),
        ({"recipe": Recipe(lr=grid(0.1, uniform(0.1, 1.0)))}, "stands on recipe.lr, and the sweep has no search"),
        ({"search": optuna(5)}, "search=optuna(n=5) has nothing to search"),
        ({"search": 5}, "search=5: give random(20), optuna(20) or None"),
        ({"search": random(0), "recipe": Recipe(lr=uniform(0.1, 1))}, "random(0): give a whole number of points"),
        ({"search": optuna(5, batch=0), "recipe": Recipe(lr=uniform(0.1, 1))}, "optuna(batch=0): allowed is a whole"),
        ({"seeds": (choice(1, 2),), "search": random(2)}, "choice(1,2) cannot stand on seeds: a search is over what"),
    ],
)
def test_what_is_wrong_with_a_search_is_said(changes: dict[str, Any], expected: str) -> None:
    assert expected in "\n".join(grid_problems(sweep(**changes)))


def test_descriptions() -> None:
    assert (random(), optuna(5)) == (Random(20, 0), Optuna(5, 0, 8))
