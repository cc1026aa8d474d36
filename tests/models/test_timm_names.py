"""Every answer is compared with timm's own registry."""

import re
import subprocess
import sys
from inspect import getsource

import pytest
import timm
from timm.models import get_pretrained_cfg, model_entrypoint

from swath.models import timm_names


def test_the_models_are_timms() -> None:
    known = timm.list_models()
    assert len(known) > 1000
    assert [name for name in known if timm_names.problems(name)] == []
    assert sorted(timm_names._files()) == sorted(known)


def test_every_name_with_weights_is_known_and_the_others_ask_for_pretrained_false() -> None:
    with_weights = {timm_names.split_tag(name)[0] for name in timm.list_pretrained()}
    for name in timm.list_models():
        assert bool(timm_names.pretrained_problems(name)) is (name not in with_weights), name
    for name in timm.list_pretrained():
        assert timm_names.problems(name) + timm_names.pretrained_problems(name) == [], name


def test_a_name_resolves_to_timms_default_weights() -> None:
    checked = 0
    for name in timm.list_models(pretrained=True, name_matches_cfg=True) + timm.list_models():
        architecture, tag = timm_names.split_tag(name)
        config = get_pretrained_cfg(architecture)
        if tag or config is None or not config.has_weights:
            continue
        expected = f"{architecture}.{config.tag}" if config.tag else architecture
        assert timm_names.resolved(name) == expected
        checked += 1
    assert checked > 1000


def test_tags_without_weights_are_told() -> None:
    has = set(timm.list_pretrained())
    without = [
        f"{name}.{tag}" for name in timm.list_models() for tag, has in timm_names.weight_tags(name).items() if not has
    ]
    assert "resnext101_32x4d.untrained" in without
    for name in without:
        assert name not in has
        (problem,) = timm_names.pretrained_problems(name)
        assert f"'{name}'" in problem
        assert f"Backbone('{name}', pretrained=False)" in problem


def test_models_of_one_size_are_timms() -> None:
    names = [*timm.list_models(), *timm.list_models(pretrained=True)]
    fixed = {n for n in names if (config := get_pretrained_cfg(timm_names.resolved(n))) and config.fixed_input_size}
    at_any_size = {
        n for n in fixed if re.search(r"^[^#]*dynamic_img_size=True", getsource(model_entrypoint(n)), re.MULTILINE)
    }
    assert {n for n in names if timm_names.takes_one_size(n)} == fixed - at_any_size
    assert "vit_base_patch16_dinov3" in at_any_size
    assert {"vit_base_patch16_224", "coatnet_0_rw_224", "swinv2_tiny_window8_256"} <= fixed
    assert not {"resnet50", "convnext_tiny", "tf_efficientnetv2_s"} & fixed


@pytest.mark.parametrize(
    ("name", "resolved"),
    [
        ("resnet50", "resnet50.a1_in1k"),
        ("resnet50.tv_in1k", "resnet50.tv_in1k"),
        ("coatnet_0_224", "coatnet_0_224"),
        ("no_such_model", "no_such_model"),
    ],
)
def test_resolved_by_example(name: str, resolved: str) -> None:
    assert timm_names.resolved(name) == resolved


def test_problems_say_what_is_near_and_what_is_allowed() -> None:
    (model,) = timm_names.problems("convnext_tinny")
    assert model.startswith("unknown backbone 'convnext_tinny'. Did you mean 'convnext_tiny'")
    assert f"Allowed: {len(timm.list_models())} names. List them with timm.list_models()." in model
    (tag,) = timm_names.problems("resnet18.a1_in1")
    assert tag.startswith("unknown weight tag of resnet18 'a1_in1'. Did you mean 'a1_in1k'")
    assert "Allowed: a1_in1k, a2_in1k, a3_in1k" in tag
    (weights,) = timm_names.pretrained_problems("coatnet_0_224")
    assert "Backbone('coatnet_0_224', pretrained=False)" in weights
    assert "weights=PATH" in weights
    assert timm_names.pretrained_problems("no_such_model") == []  # told once, by `problems`


def test_names_are_answered_without_importing_timm() -> None:
    code = (
        "import sys; from swath.models import timm_names as t\n"
        "t.problems('resnet50.x'); t.resolved('vit_base_patch16_224')\n"
        "[t.takes_one_size(m) for m in ('resnet50', 'convnext_tiny', 'coatnet_0_rw_224', 'vit_base_patch16_224')]\n"
        "print(*{'timm', 'torch'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
