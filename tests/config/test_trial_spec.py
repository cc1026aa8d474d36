from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest

from swath.config import trial_spec as spec_module
from swath.config.losses import BCE, Asymmetric, Focal
from swath.config.ops import Grayscale, Resize, Sharpen
from swath.config.recipe import Backbone, Recipe
from swath.config.splits import Holdout
from swath.config.trial_spec import TrialSpec
from swath.store.storage import Storage
from swath.store.trials import Trial

GOLDEN = TrialSpec(
    task="dacon_satellite",
    kind="multilabel",
    metric="map",
    data="0123456789abcdef0123",
    split=Holdout(0.2, 0),
    fold=0,
    preprocess=(Grayscale(), Sharpen(), Resize(64)),
    backbone=Backbone("resnet50.a1_in1k"),
    weights="resnet50.a1_in1k",
    loss=Focal(gamma=1.5),
    recipe=Recipe(epochs=5, lr=1e-3, image_size=64),
    threads=1,
    seed=0,
)


def test_the_fingerprint_of_this_spec_never_changes_by_accident() -> None:
    # It changes with spec.SCHEMA, spec.STAGES and the version of a description, which is what they are for.
    # Any other change makes every trial of every store run again: undo it, or raise a version and pin the new value.
    assert GOLDEN.fingerprint == "e6709dd8cf0f2550021b"


def test_random_numbers_that_follow_from_the_seed_alone_are_those_of_earlier_trials() -> None:
    """Trials had no other, so these keep their fingerprint, which is pinned above, and their random numbers."""
    assert replace(GOLDEN, streams="common") == GOLDEN
    assert replace(GOLDEN, streams="common").fingerprint == "e6709dd8cf0f2550021b"
    assert "streams" not in GOLDEN.json()
    assert [replace(GOLDEN, seed=s).random_seed for s in (0, 7)] == [0, 7]


def test_random_numbers_of_its_own_follow_from_all_that_a_trial_is() -> None:
    own = replace(GOLDEN, streams="own")
    assert own.json() == {**GOLDEN.json(), "streams": "own"}
    assert own.random_seed == int(own.fingerprint, 16) >> 4 * 5  # its first 60 bits
    assert replace(own).random_seed == own.random_seed
    others = [replace(own, seed=1), replace(own, loss=BCE()), replace(own, fold=1), replace(own, weights="scratch")]
    assert len({s.random_seed for s in [own, *others]}) == 5
    assert max(s.random_seed for s in [own, *others]) < 2**60


def test_trials_in_half_precision_are_others_since_their_heads_compute_in_fp32() -> None:
    stages = {
        p: replace(GOLDEN, recipe=replace(GOLDEN.recipe, precision=p)).json()["stages"]  # type: ignore[arg-type]
        for p in ("fp32", "tf32", "bf16", "fp16")
    }
    assert stages["fp32"] == stages["tf32"] == spec_module.STAGES
    assert stages["bf16"] == stages["fp16"] == {**spec_module.STAGES, "train": 2}


def test_the_canonical_form_is_what_is_written_here() -> None:
    v1 = {"version": 1}
    assert GOLDEN.json() == {
        "schema": 1,
        "stages": {"preprocess": 1, "dataset": 1, "backbones": 1, "criteria": 1, "train": 1},
        "task": "dacon_satellite",
        "kind": "multilabel",
        "metric": "map",
        "data": "0123456789abcdef0123",
        "split": {"name": "holdout", **v1, "fraction": 0.2, "seed": 0},
        "fold": 0,
        "preprocess": [
            {"name": "grayscale", **v1, "channels": 1},
            {"name": "sharpen", **v1},
            {"name": "resize", **v1, "size_px": 64, "interpolation": "auto", "aspect": "stretch"},
        ],
        "backbone": {
            "name": "backbone",
            **v1,
            "model": "resnet50.a1_in1k",
            "pretrained": True,
            "stem": "adapt",
            "pool": "default",
            "head": "linear",
            "drop_rate": None,
            "drop_path_rate": None,
        },
        "weights": "resnet50.a1_in1k",
        "loss": {"name": "focal", **v1, "gamma": 1.5, "alpha": 0.25},
        "recipe": {
            "name": "recipe",
            **v1,
            "epochs": 5,
            "batch_size": 32,
            "optimizer": "adam",
            "lr": 0.001,
            "weight_decay": 0,
            "image_size": 64,
            "freeze": "none",
            "momentum": 0.9,
            "decayed": "all",
            "layer_decay": 1,
            "schedule": {"name": "constant", **v1},
            "accumulation": 1,
            "clip_norm": 0,
            "precision": "fp32",
            "channels_last": False,
            "ema_decay": 0,
            "freeze_epochs": 0,
            "class_weights": "none",
            "early_stop": None,
            "label_smoothing": 0,
            "augment": [],
            "mix": [],
            "tta": "none",
            "tta_sizes": [],
        },
        "threads": 1,
        "seed": 0,
        "link": "sigmoid",
    }


CHANGES: dict[str, list[Any]] = {
    "task": ["other"],
    "kind": ["multiclass"],
    "metric": ["macro_f1"],
    "data": ["ffff"],
    "split": [Holdout(0.25, 0), Holdout(0.2, 1)],
    "fold": [1],
    "preprocess": [
        (Resize(64),),
        (Sharpen(), Grayscale(), Resize(64)),
        (Grayscale(3), Sharpen(), Resize(64)),
        (Grayscale(), Sharpen(), Resize(65)),
        (Grayscale(), Sharpen(), Resize(64, "area")),
        (Grayscale(), Sharpen(), Resize(64, aspect="pad")),
    ],
    "backbone": [
        Backbone("resnet50.a2_in1k"),
        Backbone("resnet50.a1_in1k", pretrained=False),
        Backbone("resnet50.a1_in1k", stem="reinit"),
    ],
    "weights": ["scratch", "file:aa"],
    "loss": [
        BCE(),
        Focal(2.0),
        Focal(1.5, 0.5),
        Asymmetric(),
        Asymmetric(3.0),
        Asymmetric(clip=0),
        Asymmetric(gamma_pos=0),
    ],
    "recipe": [
        replace(GOLDEN.recipe, **change)
        for change in (
            {"epochs": 6},
            {"batch_size": 31},
            {"optimizer": "adamw"},
            {"lr": 1.0000001e-3},
            {"weight_decay": 1e-4},
            {"image_size": 65},
        )
    ],
    "threads": [2],
    "seed": [1],
    "op_weights": [("aa",)],
    "hires": ["ff"],
    "streams": ["own"],
}


def test_every_field_changes_the_fingerprint() -> None:
    assert set(CHANGES) == set(TrialSpec.__dataclass_fields__)
    specs = [GOLDEN, *(replace(GOLDEN, **{name: value}) for name, values in CHANGES.items() for value in values)]
    assert len({s.fingerprint for s in specs}) == len(specs)


def test_the_place_of_the_weights_file_does_not_but_its_content_does() -> None:
    here, there = (replace(GOLDEN, backbone=Backbone("resnet50", weights=w), weights="file:aa") for w in ("/a", "/b"))
    assert here.fingerprint == there.fingerprint
    assert replace(here, weights="file:ab").fingerprint != here.fingerprint
    assert "/a" not in str(here.json())


def test_equal_specs_have_equal_fingerprints() -> None:
    twin = replace(GOLDEN, loss=Focal(gamma=1.5), recipe=Recipe(lr=1e-3, image_size=64, epochs=5))
    assert twin is not GOLDEN
    assert twin.fingerprint == GOLDEN.fingerprint
    whole, real = (replace(GOLDEN, loss=Focal(gamma=g), recipe=Recipe(weight_decay=w)) for g, w in ((2, 0), (2.0, 0.0)))
    assert whole == real
    assert whole.fingerprint == real.fingerprint


def test_schema_stages_and_code_versions_change_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {GOLDEN.fingerprint}
    for change in (
        lambda m: m.setattr(spec_module, "SCHEMA", spec_module.SCHEMA + 1),
        *(lambda m, s=s: m.setitem(spec_module.STAGES, s, spec_module.STAGES[s] + 1) for s in spec_module.STAGES),
        *(lambda m, d=d: m.setattr(d, "version", 2) for d in (Sharpen, Focal, Recipe, Backbone, Holdout)),
    ):
        with monkeypatch.context() as patch:
            change(patch)
            found.add(replace(GOLDEN).fingerprint)  # a new spec: the fingerprint is remembered
    assert len(found) == 1 + 1 + len(spec_module.STAGES) + 5
    assert replace(GOLDEN).fingerprint == GOLDEN.fingerprint


def test_every_part_of_the_json_is_stored_as_it_is_hashed(tmp_path: Path) -> None:
    trial = Trial(Storage(str(tmp_path)), GOLDEN.fingerprint)
    trial.begin(GOLDEN)
    assert trial.spec() == GOLDEN.json()


def test_link_and_channels_follow_from_the_rest() -> None:
    assert (GOLDEN.link, GOLDEN.in_chans) == ("sigmoid", 1)
    other = replace(GOLDEN, kind="multiclass", preprocess=(Resize(64),))
    assert (other.link, other.in_chans) == ("normalised_sigmoid", 3)
    assert other.json()["link"] == "normalised_sigmoid"


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        GOLDEN.seed = 3  # type: ignore[misc]
