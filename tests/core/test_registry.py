import importlib
import pickle

import pytest

from swath import losses, ops, tasks
from swath.core.errors import InputError, UnknownNameError, raise_if_any
from swath.core.registry import Registry, missing_attribute, unknown


@pytest.fixture
def colours() -> Registry[int]:
    registry: Registry[int] = Registry("colour")
    registry.register("red")(1)
    registry.register("green")(2)
    return registry


def test_a_registered_value_is_found_and_handed_back_by_the_decorator(colours: Registry[int]) -> None:
    assert colours.register("blue")(3) == 3
    assert (colours["red"], colours["blue"]) == (1, 3)
    assert colours.names() == ["blue", "green", "red"]
    assert "blue" in colours
    assert "bleu" not in colours


def test_a_table_is_copied_and_added_to() -> None:
    table = {"red": 1}
    registry = Registry("colour", table)
    registry.register("blue")(3)
    assert registry.names() == ["blue", "red"]
    assert table == {"red": 1}
    with pytest.raises(RuntimeError, match=r"^colour 'red' is registered twice$"):
        registry.register("red")(9)


def test_a_name_is_registered_once(colours: Registry[int]) -> None:
    with pytest.raises(RuntimeError, match=r"^colour 'red' is registered twice$"):
        colours.register("red")(9)
    assert colours["red"] == 1


def test_an_unknown_name_is_answered_with_the_near_and_the_allowed_ones(colours: Registry[int]) -> None:
    with pytest.raises(UnknownNameError) as caught:
        colours["gruun"]
    assert str(caught.value) == "unknown colour 'gruun'. Did you mean 'green'? Allowed: green, red."


def test_no_hint_without_a_near_name_and_no_list_of_more_than_forty() -> None:
    assert unknown("op", "zzz", ["b", "a"]) == "unknown op 'zzz'. Allowed: a, b."
    names = [f"name{i:02d}" for i in range(41)]
    assert unknown("op", "zzz", names) == "unknown op 'zzz'. Allowed: 41 names."
    assert unknown("op", "zzz", names[:40]).endswith("name38, name39.")


@pytest.mark.parametrize(
    ("module", "typo", "near"),
    [(ops, "Sharpn", "Sharpen"), (losses, "Focl", "Focal"), (tasks, "DaconSatelite", "DaconSatellite")],
)
def test_a_typo_in_a_module_lists_the_near_names(module: object, typo: str, near: str) -> None:
    with pytest.raises(UnknownNameError, match=rf"{typo}'. Did you mean '{near}'.*Allowed: .*{near}"):
        getattr(module, typo)
    assert not hasattr(module, typo)
    assert getattr(module, typo, None) is None


def test_missing_dunders_stay_plain_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="module 'm' has no attribute '__path__'") as caught:
        missing_attribute("op", "m", ["a"])("__path__")
    assert not isinstance(caught.value, InputError)


def test_importing_a_misspelt_name_is_an_import_error() -> None:
    with pytest.raises(ImportError):
        exec("from swath.config.ops import Sharpn")
    assert importlib.import_module("swath.config.ops").Sharpen is ops.Sharpen


def test_an_unknown_name_is_a_user_error_an_attribute_error_and_a_key_error() -> None:
    for family in (InputError, ValueError, AttributeError, KeyError):
        with pytest.raises(family):
            raise UnknownNameError("unknown op 'x'.")
    assert str(UnknownNameError("unknown op 'x'.")) == "unknown op 'x'."  # KeyError alone would print quotes around it


def test_an_input_error_carries_each_problem_once_and_survives_pickling() -> None:
    with pytest.raises(InputError) as caught:
        raise_if_any(iter(["first.", "second.", "first."]))
    assert caught.value.problems == ("first.", "second.")
    assert str(caught.value) == "first.\nsecond."
    assert pickle.loads(pickle.dumps(caught.value)).problems == ("first.", "second.")
    raise_if_any([])
