"""Models of transformers built from tiny configurations; nothing is fetched."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn
from transformers import (
    BeitConfig,
    BeitForImageClassification,
    BeitModel,
    PreTrainedModel,
    ResNetConfig,
    ResNetForImageClassification,
    Swinv2Config,
    Swinv2ForImageClassification,
    Swinv2Model,
)

from swath.config.recipe import Backbone
from swath.core.errors import InputError
from swath.models.backbones import build

SIZE = 32
SWIN = Swinv2Config(
    image_size=SIZE, patch_size=2, embed_dim=8, depths=[1, 1], num_heads=[2, 2], window_size=4, num_labels=11
)
BEIT = BeitConfig(
    image_size=SIZE,
    patch_size=8,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=32,
    use_mean_pooling=True,
    use_relative_position_bias=True,
    num_labels=11,
)
RESNET = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=11)
KINDS: dict[str, tuple[Any, type[PreTrainedModel]]] = {
    "swinv2": (SWIN, Swinv2ForImageClassification),
    "beit": (BEIT, BeitForImageClassification),
    "resnet": (RESNET, ResNetForImageClassification),
}
MEAN, STD = [0.1, 0.2, 0.6], [0.2, 0.2, 0.5]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny pretrained classifier of each kind, saved as transformers saves it."""
    root = tmp_path_factory.mktemp("hf")
    torch.manual_seed(99)
    for name, (config, kind) in KINDS.items():
        kind(config).save_pretrained(root / name)
        (root / name / "preprocessor_config.json").write_text(json.dumps({"image_mean": MEAN, "image_std": STD}))
    return {name: root / name for name in KINDS}


def images(channels: int = 3) -> Tensor:
    return torch.randn(2, channels, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def net_of(folder: Path, in_chans: int = 3, **options: Any) -> nn.Module:
    return build(Backbone(f"hf:{folder}", **options), 5, in_chans, SIZE, seed=0).net.eval()


@pytest.mark.parametrize("in_chans", [1, 3])
@pytest.mark.parametrize("pretrained", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_gives_a_model_with_a_logit_per_class(
    folders: dict[str, Path], kind: str, pretrained: bool, in_chans: int
) -> None:
    model = build(Backbone(f"hf:{folders[kind]}", pretrained=pretrained), 5, in_chans, SIZE, seed=0)
    with torch.no_grad():
        logits = model.net.eval()(images(in_chans))
    assert logits.shape == (2, 5)
    assert not torch.equal(logits[0], logits[1])
    assert (model.mean, model.std) == ((tuple(MEAN), tuple(STD)) if in_chans == 3 else ((0.3,), (0.3,)))
    assert isinstance(model.net.get_submodule(model.head), nn.Linear)


@pytest.mark.parametrize(("kind", "bare"), [("swinv2", Swinv2Model), ("beit", BeitModel)])
def test_each_pooling_is_what_its_name_says(folders: dict[str, Path], kind: str, bare: Any) -> None:
    own = bare.from_pretrained(folders[kind]).eval()
    with torch.no_grad():
        out = own(pixel_values=images())
        tokens = out.last_hidden_state
        patches = tokens[:, 1:] if kind == "beit" else tokens
        expected = {
            "default": out.pooler_output,
            "mean": patches.sum(dim=1) / patches.shape[1],
            "max": patches.max(dim=1).values,
            "first_token": tokens[:, 0],
        }
        for pool, features in expected.items():
            net = net_of(folders[kind], pool=pool)
            head = net.get_submodule("head")
            assert isinstance(head, nn.Linear)
            torch.testing.assert_close(net(images()), features @ head.weight.T + head.bias)
    if kind == "swinv2":
        torch.testing.assert_close(expected["default"], expected["mean"])
    assert not torch.allclose(expected["mean"], expected["first_token"])


def test_a_convolutional_models_maps_are_pooled(folders: dict[str, Path]) -> None:
    with torch.no_grad():
        logits = [net_of(folders["resnet"], pool=pool)(images()) for pool in ("default", "mean", "max", "first_token")]
    torch.testing.assert_close(logits[0], logits[1])
    assert not torch.allclose(logits[0], logits[2])
    assert not torch.allclose(logits[0], logits[3])


def test_a_stacked_head_keeps_the_pretrained_classifier(folders: dict[str, Path]) -> None:
    net = net_of(folders["beit"], head="stacked")
    with torch.no_grad():
        logits = BeitForImageClassification.from_pretrained(folders["beit"]).eval()(pixel_values=images()).logits
        head = net.get_submodule("head")
        assert isinstance(head, nn.Linear)
        assert head.weight.shape == (5, 11)
        torch.testing.assert_close(net(images()), logits @ head.weight.T + head.bias)


@pytest.mark.parametrize("kind", KINDS)
def test_one_channel_is_the_gray_picture_repeated(folders: dict[str, Path], kind: str) -> None:
    gray = images(1)
    with torch.no_grad():
        adapted, drawn = (net_of(folders[kind], 1, stem=stem)(gray) for stem in ("adapt", "reinit"))
        colour = net_of(folders[kind])(gray.expand(-1, 3, -1, -1))
    torch.testing.assert_close(adapted, colour, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(adapted, drawn, atol=1e-4)


def test_the_seed_draws_the_head_and_what_is_not_pretrained(folders: dict[str, Path]) -> None:
    def states(**options: Any) -> list[dict[str, Tensor]]:
        backbone = Backbone(f"hf:{folders['swinv2']}", **options)
        return [build(backbone, 5, 3, SIZE, seed).net.state_dict() for seed in (0, 0, 1)]

    def differing(a: dict[str, Tensor], b: dict[str, Tensor]) -> set[str]:
        return {name for name in a if not torch.equal(a[name], b[name])}

    first, again, other = states()
    assert differing(first, again) == set()
    assert differing(first, other) == {"head.weight", "head.bias"}
    first, again, other = states(pretrained=False)
    assert differing(first, again) == set()
    assert len(differing(first, other)) > 5


def test_weights_may_be_a_folder_or_a_file_for_a_name_of_the_hub(folders: dict[str, Path]) -> None:
    direct = net_of(folders["beit"])
    for weights in (folders["beit"], folders["beit"] / "model.safetensors"):
        net = build(Backbone("hf:someone/beit", weights=str(weights)), 5, 3, SIZE, seed=0).net.eval()
        with torch.no_grad():
            torch.testing.assert_close(net(images()), direct(images()), rtol=0, atol=0)


def test_dropout_and_stochastic_depth_are_set(folders: dict[str, Path]) -> None:
    net = net_of(folders["swinv2"], drop_rate=0.25, drop_path_rate=0.5)
    head = net.get_submodule("head")
    assert [type(m) for m in head.children()] == [nn.Dropout, nn.Linear]
    assert head[0].p == 0.25  # type: ignore[index]
    assert max(m.drop_prob for m in net.modules() if "DropPath" in type(m).__name__) == 0.5  # type: ignore[type-var]
    with pytest.raises(InputError, match=r"has no stochastic depth; leave drop_path_rate=0\.5 out"):
        net_of(folders["resnet"], drop_path_rate=0.5)


def test_weights_that_lack_a_layer_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_text((folders["beit"] / name).read_text())
    whole = load_file(folders["beit"] / "model.safetensors")
    save_file({k: v for k, v in whole.items() if "layer.1.output.dense" not in k}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"the weights lack 2 of the model's tensors, e.g. \S*1\S*") as caught:
        net_of(tmp_path)
    assert "Give a folder as `save_pretrained` writes it" in str(caught.value)
    save_file({k: v for k, v in whole.items() if "pooler" not in k}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="lack the model's own pooling; give pool='mean' or pool='first_token'"):
        net_of(tmp_path)
    net_of(tmp_path, pool="mean")


def test_a_pretrained_folder_without_its_normalisation_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((folders["swinv2"] / name).read_bytes())
    with pytest.raises(InputError, match=r"input is normalised is in its preprocessor_config\.json, which is missing"):
        net_of(tmp_path)
    scratch = build(Backbone(f"hf:{tmp_path}", pretrained=False), 5, 3, SIZE, seed=0)
    assert scratch.mean == (0.485, 0.456, 0.406)


def test_the_hub_out_of_reach_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    backbone = Backbone("hf:microsoft/beit-base-patch16-224-pt22k-ft22k")
    for asked in (backbone, replace(backbone, pretrained=False)):
        with pytest.raises(InputError) as caught:
            build(asked, 5, 3, 224, 0)
        assert "Connect to the hub once so that" in str(caught.value)
        assert "weights=FOLDER" in str(caught.value)


def test_nothing_is_told_to_the_hub() -> None:
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert transformers.utils.hub.constants.HF_HUB_DISABLE_TELEMETRY
