"""Frozen backbones: features computed once against the same network run in every epoch."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from timm import create_model
from torch import Tensor, nn

from swath import Backbone, Recipe, Sweep, asha, augment, grid, losses, ops, schedules
from swath.core.errors import InputError
from swath.engine.base import Engine
from swath.engine.cache_builder import build_entry
from swath.engine.driver import run
from swath.engine.inline import InlineEngine
from swath.models.backbones import Frozen, build, build_frozen
from swath.plan.disk_space import bytes_to_build
from swath.plan.progress import Progress
from swath.preprocess.cache import entry as caches
from swath.preprocess.cache.features import missing_shards
from swath.preprocess.cache.reader import open_entry
from swath.preprocess.cache.usage import chosen, list_cached, remove
from swath.store.storage import Locations
from tests.support.planned import planned_sweep

RECIPE = Recipe(epochs=4, batch_size=8, optimizer="adamw", lr=3e-3, image_size=32, freeze="backbone")
Make = Callable[..., Sweep]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def planned(sweep: Sweep, storage: Path) -> Progress:
    return planned_sweep(sweep, Locations.of(str(storage)))


def carried_out(sweep: Sweep, storage: Path, engine: Engine) -> Progress:
    progress = planned(sweep, storage)
    run(progress, engine, lambda line: None)
    assert [o.state for o in progress.outcomes.values()] == ["COMPLETE"] * len(progress.plan.trials)
    return progress


def logits(progress: Progress, name: str) -> list[np.ndarray]:
    return [progress.plan.handle(t).logits(name)[1].astype(float) for t in progress.plan.trials]


def test_a_grid_on_features_equals_the_same_grid_with_the_network_in_every_epoch(
    make_sweep: Make, tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = make_sweep(
        recipe=RECIPE,
        preprocess=(),
        loss=grid(losses.BCE(), losses.Focal()),
        backbone=Backbone("test_resnet", pretrained=False, drop_rate=0.2),
    )
    shared = carried_out(sweep, tmp_path / "shared", engine)
    assert len(shared.plan.features()) == 2
    assert all(t.features for t in shared.plan.trials)
    with monkeypatch.context() as patch:
        patch.setattr(Recipe, "shares_features", False)
        whole = carried_out(sweep, tmp_path / "whole", InlineEngine())
    assert not any(t.features for t in whole.plan.trials)
    assert [t.spec.fingerprint for t in shared.plan.trials] == [t.spec.fingerprint for t in whole.plan.trials]
    for name in ("val/4", "test"):
        for one, other in zip(logits(shared, name), logits(whole, name), strict=True):
            np.testing.assert_allclose(one, other, rtol=5e-3, atol=2e-3)
    for t in shared.plan.trials:
        mine, theirs = (progress.plan.handle(t).metrics() for progress in (shared, whole))
        np.testing.assert_allclose(mine["train_loss"], theirs["train_loss"], rtol=1e-4)
        np.testing.assert_allclose(mine["val_loss"], theirs["val_loss"], rtol=1e-4)


def test_features_are_computed_once_and_without_their_images_afterwards(make_sweep: Make, tmp_path: Path) -> None:
    sweep = make_sweep(recipe=RECIPE, preprocess=(), backbone=Backbone("test_vit", pretrained=False))
    first = carried_out(sweep, tmp_path, InlineEngine())
    cache = first.plan.locations.cache
    keys = {f.key for f in first.plan.features()}
    assert all(caches.is_built(cache, key) for key in keys)
    for entry in first.plan.entries():
        for name in cache.names(entry.key):
            cache.delete(f"{entry.key}/{name}")
    more = planned(replace(sweep, recipe=replace(RECIPE, lr=grid(3e-3, 1e-3, 1e-4))), tmp_path)
    assert {f.key for f in more.plan.features()} == keys
    needs = more.cache_needs()
    assert (len(more.lacking()), needs.entries_to_build(), needs.features_to_build()) == (2, [], [])
    assert bytes_to_build(needs) == 0
    carried_out(more.plan.sweep, tmp_path, InlineEngine())


def test_a_damaged_build_goes_on_with_the_shards_that_are_missing(make_sweep: Make, tmp_path: Path) -> None:
    sweep = make_sweep(recipe=RECIPE, preprocess=(), backbone=Backbone("test_vit", pretrained=False))
    progress = carried_out(sweep, tmp_path, InlineEngine())
    cache, entry = progress.plan.locations.cache, progress.plan.features()[0]
    before = open_entry(cache, entry.key, None).take(np.arange(48))
    assert (before.dtype, before.shape) == (np.float32, (48, 64))
    manifest = json.loads(cache.read(f"{entry.key}/manifest.json"))
    assert (len(manifest["ids"]), manifest["image_shape"], manifest["bad"]) == (48, [64], {})
    for name in ("manifest.json", "shard-00000.json"):
        cache.delete(f"{entry.key}/{name}")
    again = planned(replace(sweep, seeds=(0,), loss=losses.Focal()), tmp_path)
    assert [f.key for f in again.cache_needs().features_to_build()] == [entry.key]
    assert [s.number for s in missing_shards(cache, entry)] == [0]
    carried_out(again.plan.sweep, tmp_path, InlineEngine())
    np.testing.assert_array_equal(open_entry(cache, entry.key, None).take(np.arange(48)), before)


def keys(sweep: Sweep, storage: Path) -> set[str]:
    return {f.key for t in planned(sweep, storage).plan.trials for part, f in t.features.items() if part == "train"}


def test_features_of_damaged_images_wait_for_the_repair(make_sweep: Make, tmp_path: Path, engine: Engine) -> None:
    sweep = make_sweep(recipe=RECIPE, preprocess=(), backbone=Backbone("test_vit", pretrained=False))
    sound = carried_out(sweep, tmp_path / "sound", InlineEngine())
    other = replace(sweep, backbone=Backbone("test_resnet", pretrained=False))  # the images are there, its features not
    carried_out(other, tmp_path / "harmed", InlineEngine())
    for shard in tmp_path.glob("harmed/cache/*/shard-00000.npy"):
        data = bytearray(shard.read_bytes())
        data[-1] ^= 1
        shard.write_bytes(bytes(data))
    progress = carried_out(sweep, tmp_path / "harmed", engine)
    for ours, theirs in zip(progress.plan.trials, sound.plan.trials, strict=True):
        expected = sound.plan.handle(theirs).logits("test")[1]
        np.testing.assert_array_equal(progress.plan.handle(ours).logits("test")[1], expected)


def test_what_features_depend_on(make_sweep: Make, tmp_path: Path) -> None:
    frozen = make_sweep(recipe=RECIPE, preprocess=(), backbone=Backbone("resnet18"))
    (key,) = keys(frozen, tmp_path)
    same: list[dict[str, Any]] = [
        {"seeds": (0, 1, 2)},
        {"loss": grid(losses.BCE(), losses.Asymmetric())},
        {"recipe": replace(RECIPE, lr=1e-4, epochs=9, batch_size=4, weight_decay=0.1, label_smoothing=0.1)},
        {"backbone": Backbone("resnet18", drop_rate=0.5)},
        {"backbone": Backbone("resnet18", drop_path_rate=0.5)},
        {"backbone": Backbone("resnet18", stem="reinit")},
    ]
    for changes in same:
        assert keys(replace(frozen, **changes), tmp_path) == {key}
    other: list[dict[str, Any]] = [
        {"backbone": Backbone("resnet18.tv_in1k")},
        {"backbone": Backbone("resnet18", pool="max")},
        {"backbone": Backbone("resnet18", head="stacked")},
        {"backbone": Backbone("resnet18", pretrained=False)},
        {"preprocess": (ops.Sharpen(),)},
        {"preprocess": (ops.Grayscale(),)},
        {"recipe": replace(RECIPE, image_size=64)},
    ]
    found = [keys(replace(frozen, **changes), tmp_path) for changes in other]
    assert len(set.union(*found)) == len(other)
    assert not any(key in keys for keys in found)
    drawn = replace(frozen, backbone=Backbone("resnet18", pretrained=False), seeds=(0, 1))
    assert len(keys(drawn, tmp_path)) == 2
    gray = replace(frozen, backbone=Backbone("resnet18", stem="reinit"), preprocess=(ops.Grayscale(),), seeds=(0, 1))
    assert len(keys(gray, tmp_path)) == 2


def test_recipes_whose_images_change_share_no_features() -> None:
    assert RECIPE.shares_features
    for changes in (
        {"freeze": "none"},
        {"augment": (augment.HorizontalFlip(),)},
        {"tta": "flip"},
        {"tta_sizes": (32, 48)},
        {"precision": "bf16"},
    ):
        assert not replace(RECIPE, **changes).shares_features  # type: ignore[arg-type]


def test_a_frozen_backbone_with_augmentation_trains_its_head_only(make_sweep: Make, tmp_path: Path) -> None:
    recipe = replace(RECIPE, augment=(augment.HorizontalFlip(),), epochs=2)
    progress = carried_out(make_sweep(recipe=recipe, preprocess=()), tmp_path, InlineEngine())
    assert progress.plan.features() == []


def test_stopped_sweeps_find_the_rungs_of_feature_trials(make_sweep: Make, tmp_path: Path) -> None:
    recipe = replace(RECIPE, lr=grid(3e-3, 1e-3, 1e-6, 1e-7))
    progress = planned(make_sweep(recipe=recipe, preprocess=(), stop=asha(1, 2)), tmp_path)
    run(progress, InlineEngine(), lambda line: None)
    states = sorted(o.state for o in progress.outcomes.values())
    assert "STOPPED" in states
    assert "COMPLETE" in states
    for trial in progress.plan.trials:
        assert 1 in progress.plan.handle(trial).metrics()["epoch"].tolist()


@pytest.mark.parametrize("model", ["test_resnet", "test_vit", "test_efficientnet"])
def test_a_frozen_backbone_is_the_pretrained_one_and_only_the_head_learns(model: str) -> None:
    frozen = build_frozen(Backbone(model, pretrained=False, drop_path_rate=0.5), 5, 3, 64, seed=0, head_seed=0).net
    assert isinstance(frozen, Frozen)
    body = {k: v.clone() for k, v in frozen.body.state_dict().items()}
    frozen.train()
    assert not any(m.training for m in frozen.body.modules())
    optimizer = torch.optim.AdamW(frozen.parameters(), lr=0.1, weight_decay=0.5)
    images = torch.randn(8, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    frozen(images).square().mean().backward()
    optimizer.step()
    assert all(torch.equal(v, body[k]) for k, v in frozen.body.state_dict().items())
    assert sorted(n for n, p in frozen.named_parameters() if p.grad is not None) == ["head.bias", "head.weight"]
    own = build(Backbone(model, pretrained=False), 1, 3, 64, seed=0)
    own.net.set_submodule(own.head, nn.Identity())
    with torch.no_grad():
        torch.testing.assert_close(frozen.body(images), own.net.eval()(images), rtol=0, atol=0)


def test_seeds_draw_different_heads_and_trials_of_a_seed_the_same_features() -> None:
    def parameters(seed: int, head_seed: int) -> tuple[Tensor, Tensor]:
        frozen = build_frozen(Backbone("test_resnet", pretrained=False), 5, 3, 64, seed, head_seed).net
        assert isinstance(frozen, Frozen)
        return frozen.get_parameter("head.weight"), torch.cat([p.flatten() for p in frozen.body.parameters()])

    head, body = parameters(0, 7)
    for seed, head_seed in ((0, 7), (0, 8), (1, 7)):
        other_head, other_body = parameters(seed, head_seed)
        assert torch.equal(head, other_head) == (head_seed == 7)
        assert torch.equal(body, other_body) == (seed == 0)


def test_a_model_with_two_heads_cannot_be_frozen() -> None:
    assert isinstance(create_model("deit_tiny_distilled_patch16_224").pretrained_cfg["classifier"], tuple)  # type: ignore[index]
    with pytest.raises(InputError, match="does not end in one linear layer, so freeze='backbone' cannot tell its head"):
        build_frozen(Backbone("deit_tiny_distilled_patch16_224", pretrained=False), 5, 3, 224, 0, 0)


def test_check_shows_the_features(make_sweep: Make, tmp_path: Path) -> None:
    from swath.cli import check

    text = check.describe(planned(make_sweep(recipe=RECIPE, preprocess=()), tmp_path))
    assert "features of test_resnet(scratch), raw, train, 48 images at 32 px" in text
    assert planned(make_sweep(preprocess=()), tmp_path).plan.features() == []


def test_early_stopping_and_plateau_work_on_features(make_sweep: Make, tmp_path: Path) -> None:
    recipe = replace(RECIPE, early_stop=schedules.EarlyStop(patience=1), schedule=schedules.Plateau(), epochs=6)
    progress = carried_out(make_sweep(recipe=recipe, preprocess=()), tmp_path, InlineEngine())
    assert progress.plan.features()
    both = replace(RECIPE, freeze_epochs=2).problems()
    assert both == ["Recipe(freeze='backbone', freeze_epochs=2): every epoch is frozen; drop one."]


DRIVER = """
import sys, time
from pathlib import Path
from swath import Backbone, Recipe, Sweep, holdout, tasks
from swath.engine.cache_builder import build_features
from swath.engine.inline import InlineEngine
from swath.store.storage import Locations
from swath.plan.make import make_plan
from swath.plan.progress import read_progress

data, store, number = sys.argv[1:]

class Slow(InlineEngine):
    def build_features(self, cache, local, shards, built):
        print("computes", *sorted({s.key for s in shards}), flush=True)
        time.sleep(1)
        super().build_features(cache, local, shards, built)

recipe = Recipe(epochs=4, batch_size=8, image_size=32, freeze="backbone")
backbone = Backbone("test_vit", pretrained=False)
sweep = Sweep("both", tasks.DaconSatellite(data), split=holdout(0.25), backbone=backbone, recipe=recipe)
progress = read_progress(make_plan(sweep, Locations.of(store)))
lacking = progress.cache_needs().features_to_build()
Path(store, f"here-{number}").touch()
while not all(Path(store, f"here-{i}").exists() for i in "01"):
    time.sleep(0.02)
build_features(progress.plan.locations, lacking, Slow(), lambda line: print(line, flush=True))
print("lack", len(progress.cache_needs().features_to_build()), flush=True)
"""


def test_of_two_drivers_one_computes_the_features_and_the_other_waits(
    make_sweep: Make, layout: Path, tmp_path: Path
) -> None:
    backbone = Backbone("test_vit", pretrained=False)
    progress = planned(make_sweep(recipe=RECIPE, preprocess=(), backbone=backbone), tmp_path)
    for entry in progress.plan.entries():
        build_entry(progress.plan.locations.cache, entry, InlineEngine(), lambda line: None)
    commands = [[sys.executable, "-c", DRIVER, str(layout), str(tmp_path), str(i)] for i in range(2)]
    two = [subprocess.Popen(c, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for c in commands]
    said = [process.communicate(timeout=120) for process in two]
    assert [process.returncode for process in two] == [0, 0], said
    waited, computed = sorted((out.splitlines() for out, _ in said), key=lambda own: own[0].startswith("computes"))
    assert computed == [f"computes {' '.join(sorted(f.key for f in progress.plan.features()))}", "lack 0"]
    assert len(waited) in (2, 3), "it waits for one entry, perhaps for both"
    assert waited[0].startswith("waiting for")
    assert "which builds features of test_vit(scratch), raw, t" in waited[0]
    assert waited[-1] == "lack 0"
    cache = progress.plan.locations.cache
    assert not [name for f in progress.plan.features() for name in cache.names(f.key) if name == "lease.json"]


def test_the_cache_lists_features_with_their_sweep_and_keeps_them(make_sweep: Make, tmp_path: Path) -> None:
    sweep = make_sweep(recipe=RECIPE, preprocess=(ops.Sharpen(),))
    progress = carried_out(sweep, tmp_path, InlineEngine())
    storage = progress.plan.locations.storage
    progress.plan.locations.cache.write("0123abcd/shard-00000.npy", b"of nobody")
    found = {c.key: c for c in list_cached(storage)}
    assert set(found) == {e.key for e in (*progress.plan.entries(), *progress.plan.features())} | {"0123abcd"}
    for features in progress.plan.features():
        own = found[features.key]
        assert (own.state, own.images, own.part) == ("ready", len(features.images.ids), features.images.part)
        assert own.chain == "features of test_resnet(scratch), sharpen|resize(size_px=32)"
        assert (own.sweeps, own.trials, own.open_trials) == ((progress.plan.sweep.name,), 1, 0)
    assert [c.key for c in chosen(found.values(), [], "", unused=True)] == ["0123abcd"]
    (images,) = (e.key for e in progress.plan.entries() if e.part == "train")
    remove(storage, chosen(found.values(), [images], "", unused=False), None)
    assert not progress.cache_needs().features_to_build()
