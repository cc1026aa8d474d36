"""timm's tiny architectures; no weights are fetched."""

import copy
import re
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from swath.config.recipe import Backbone
from swath.core.errors import InputError
from swath.models.backbones import build, keep_fp32

TINY = timm.list_models("test_*")
FIXED_SIZE = ("test_vit", "test_coatnet")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def scratch(model: str) -> Backbone:
    return Backbone(model, pretrained=False)


def state(net: nn.Module) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in net.state_dict().items()}


def differing(one: nn.Module, other: nn.Module) -> set[str]:
    """Names of the tensors that differ in shape or value."""
    a, b = one.state_dict(), other.state_dict()
    assert a.keys() == b.keys()
    return {name for name in a if a[name].shape != b[name].shape or not torch.equal(a[name], b[name])}


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    """A network with other weights than any seed gives, and seven classes."""
    torch.manual_seed(1234)
    net = timm.create_model("test_resnet", num_classes=7)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.01)
    for buffer in net.buffers():
        if buffer.is_floating_point():
            buffer.add_(torch.rand_like(buffer))
    return net


@pytest.fixture(params=["x.safetensors", "x.pth", "nested.pth"])
def weights(request: pytest.FixtureRequest, trained: nn.Module, tmp_path: Path) -> str:
    """The network's state dict in each form a file may have."""
    path = tmp_path / request.param
    if path.suffix == ".safetensors":
        save_file(state(trained), path)
    else:
        torch.save({"state_dict": state(trained)} if path.stem == "nested" else state(trained), path)
    return str(path)


@pytest.mark.parametrize("in_chans", [1, 3])
@pytest.mark.parametrize("model", TINY)
def test_every_tiny_model_takes_64_px_and_gives_a_logit_per_class(model: str, in_chans: int) -> None:
    net = build(scratch(model), classes=5, in_chans=in_chans, image_size=64, seed=0).net.eval()
    with torch.no_grad():
        logits = net(torch.randn(2, in_chans, 64, 64, generator=torch.Generator().manual_seed(0)))
    assert logits.shape == (2, 5)
    assert logits.isfinite().all()
    assert not torch.equal(logits[0], logits[1])


@pytest.mark.parametrize("image_size", [64, 96])
@pytest.mark.parametrize("model", FIXED_SIZE)
def test_models_of_fixed_size_are_built_for_the_size_asked(model: str, image_size: int) -> None:
    config = timm.models.get_pretrained_cfg(model)
    assert config is not None
    assert config.fixed_input_size
    net = build(scratch(model), classes=3, in_chans=3, image_size=image_size, seed=0).net.eval()
    with torch.no_grad():
        assert net(torch.zeros(1, 3, image_size, image_size)).shape == (1, 3)
    cells = image_size // 16
    if model == "test_vit":
        assert net.get_parameter("pos_embed").shape[1] == cells**2 + 1  # and the class token
    else:
        table = "stages.2.blocks.0.attn.rel_pos.relative_position_bias_table"
        assert net.get_parameter(table).shape[0] == (2 * cells - 1) ** 2


@pytest.mark.parametrize("model", ["test_resnet", "test_vit"])
def test_the_same_seed_gives_the_same_weights_and_another_others(model: str) -> None:
    first, again, other = (build(scratch(model), 4, 3, 64, seed).net for seed in (7, 7, 8))
    assert differing(first, again) == set()
    assert len(differing(first, other)) > 5


def test_weights_from_a_file_fill_all_but_the_head(trained: nn.Module, weights: str) -> None:
    model = build(Backbone("test_resnet", weights=weights), classes=5, in_chans=3, image_size=64, seed=0)
    assert differing(model.net, trained) == {"fc.weight", "fc.bias"}
    assert cast(Tensor, model.net.state_dict()["fc.weight"]).shape[0] == 5


def test_a_head_of_as_many_classes_is_new_too_and_follows_the_seed(trained: nn.Module, weights: str) -> None:
    nets = [build(Backbone("test_resnet", weights=weights), 7, 3, 64, seed).net for seed in (0, 0, 1)]
    assert differing(nets[0], trained) == {"fc.weight", "fc.bias"}
    assert differing(nets[0], nets[1]) == set()
    assert differing(nets[0], nets[2]) >= {"fc.weight"}


def test_one_channel_sums_the_pretrained_stem_over_the_colours(trained: nn.Module, weights: str) -> None:
    net = build(Backbone("test_resnet", weights=weights), classes=5, in_chans=1, image_size=64, seed=0).net
    assert differing(net, trained) == {"conv1.0.weight", "fc.weight", "fc.bias"}
    expected = trained.state_dict()["conv1.0.weight"].sum(dim=1, keepdim=True)
    torch.testing.assert_close(net.state_dict()["conv1.0.weight"], expected)
    # A gray picture through the summed stem is the picture repeated through the pretrained one.
    gray = torch.rand(1, 1, 64, 64)
    torch.testing.assert_close(
        net.get_submodule("conv1.0")(gray), trained.get_submodule("conv1.0")(gray.repeat(1, 3, 1, 1))
    )


def test_a_reinitialised_stem_is_new_and_the_rest_is_not(trained: nn.Module, weights: str) -> None:
    backbone = Backbone("test_resnet", weights=weights, stem="reinit")
    adapted = build(Backbone("test_resnet", weights=weights), 5, 1, 64, seed=0).net
    one, again, other = (build(backbone, 5, 1, 64, seed).net for seed in (0, 0, 1))
    assert differing(one, adapted) == {"conv1.0.weight"}
    assert differing(one, again) == set()
    assert "conv1.0.weight" in differing(one, other)
    stem = one.state_dict()["conv1.0.weight"]
    assert stem.shape[1] == 1
    assert stem.std() > 0
    assert differing(build(backbone, 5, 3, 64, seed=0).net, trained) == {"fc.weight", "fc.bias"}  # three channels fit


def test_a_file_is_loaded_at_another_image_size(tmp_path: Path) -> None:
    torch.manual_seed(99)
    saved = timm.create_model("test_vit", num_classes=7, img_size=64)
    save_file(state(saved), tmp_path / "vit.safetensors")
    net = build(Backbone("test_vit", weights=str(tmp_path / "vit.safetensors")), 5, 3, 96, seed=0).net.eval()
    assert differing(net, saved) == {"pos_embed", "head.weight", "head.bias"}
    with torch.no_grad():
        assert net(torch.zeros(1, 3, 96, 96)).shape == (1, 5)


def refused(path: Path, classes: int = 5) -> str:
    with pytest.raises(InputError) as caught:
        build(Backbone("test_resnet", weights=str(path)), classes, 3, 64, 0)
    text = str(caught.value)
    assert text.startswith(f"backbone 'test_resnet' cannot be built with weights '{path}'")
    assert text.endswith(
        "Give a .safetensors or .pth file of this very model's state dict, on a path every node can read."
    )
    return text


def test_a_missing_weights_file_is_named(tmp_path: Path) -> None:
    assert "(there is no such file on this machine)" in refused(tmp_path / "none.safetensors")


@pytest.mark.parametrize("name", ["junk.safetensors", "junk.pth", "empty.pth", "empty.safetensors"])
def test_a_file_that_holds_no_weights_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"" if name.startswith("empty") else b"junk" * 500)
    assert "no such file" not in refused(tmp_path / name)


@pytest.mark.parametrize("other", ["test_vit", "test_convnext", "test_efficientnet"])
def test_the_weights_of_another_model_are_refused_not_ignored(tmp_path: Path, other: str) -> None:
    save_file(state(timm.create_model(other, num_classes=7)), tmp_path / "x.safetensors")
    assert re.search("the file lacks |size mismatch for ", refused(tmp_path / "x.safetensors"))
    assert "in state_dict: " in refused(tmp_path / "x.safetensors", classes=1000)


def test_weights_that_lack_a_layer_are_refused(tmp_path: Path, trained: nn.Module) -> None:
    part = {k: v for k, v in state(trained).items() if not k.startswith("layer2.0.conv2")}
    save_file(part, tmp_path / "x.safetensors")
    assert "ValueError: the file lacks 1 of the model's tensors, e.g. layer2.0.conv2.weight" in refused(
        tmp_path / "x.safetensors"
    )


def test_weights_of_other_shapes_are_refused(tmp_path: Path, trained: nn.Module) -> None:
    shapes = {k: v[:1] if k == "layer1.0.conv1.weight" else v for k, v in state(trained).items()}
    save_file({k: v.contiguous() for k, v in shapes.items()}, tmp_path / "x.safetensors")
    assert "size mismatch for layer1.0.conv1.weight" in refused(tmp_path / "x.safetensors")


@pytest.mark.parametrize("model", TINY)
@pytest.mark.parametrize("pretrained_cfg", ["weights", "scratch"])
def test_an_unknown_hub_is_not_asked_when_a_file_or_nothing_is_given(
    model: str, pretrained_cfg: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    def connect(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", connect)
    torch.manual_seed(77)
    save_file(state(timm.create_model(model, num_classes=7)), tmp_path / "x.safetensors")
    backbone = (
        scratch(model) if pretrained_cfg == "scratch" else Backbone(model, weights=str(tmp_path / "x.safetensors"))
    )
    build(backbone, classes=5, in_chans=1, image_size=64, seed=0)


def test_weights_that_cannot_be_fetched_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError) as caught:
        build(Backbone("test_resnet"), 5, 3, 64, 0)
    text = str(caught.value)
    assert text.startswith("backbone 'test_resnet': its pretrained weights cannot be had (")
    assert "Connect to the hub once so that they are kept, or give Backbone('test_resnet', weights=PATH)" in text
    assert text.endswith("train from scratch with Backbone('test_resnet', pretrained=False).")


def test_a_model_timm_does_not_know_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"backbone 'no_such_model' cannot be built: .*Unknown model"):
        build(scratch("no_such_model"), 5, 3, 64, 0)


@pytest.mark.parametrize("model", ["test_resnet", "test_efficientnet", "test_vit", "test_byobnet"])
def test_normalisation_is_that_of_the_pretrained_weights(model: str) -> None:
    config = timm.models.get_pretrained_cfg(model)
    assert config is not None
    built = build(scratch(model), 5, 3, 64, 0)
    assert (built.mean, built.std) == (config.mean, config.std)
    gray = build(scratch(model), 5, 1, 64, 0)
    assert gray.mean == pytest.approx((np.mean(config.mean),))
    assert gray.std == pytest.approx((np.mean(config.std),))


def test_the_models_compared_differ_in_normalisation() -> None:
    assert build(scratch("test_resnet"), 2, 3, 64, 0).mean == (0.5, 0.5, 0.5)
    assert build(scratch("test_efficientnet"), 2, 3, 64, 0).mean == pytest.approx((0.485, 0.456, 0.406))


def test_a_head_that_is_kept_in_fp32_is_so_within_autocast_and_in_copies() -> None:
    torch.manual_seed(0)
    for head in (nn.Linear(16, 60), nn.Sequential(nn.Dropout(0.5), nn.Linear(16, 60)).eval()):
        features, before = torch.randn(500, 16).bfloat16(), head.state_dict()
        expected = copy.deepcopy(head)(features.float())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = head(features)
        keep_fp32(head)
        assert head.state_dict().keys() == before.keys()
        assert isinstance(head, nn.Linear | nn.Sequential)
        for one in (head, copy.deepcopy(head)):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = one(features)
            assert torch.equal(logits, expected)
            assert logits.dtype == torch.float32
            assert len(rough.unique()) < len(logits.unique()) / 5, "logits of 8 bits are often equal"
        changed = copy.deepcopy(head)
        for parameter in changed.parameters():
            parameter.data.zero_()
        assert not changed(features).any(), "a copy has its own weights"
    double = nn.Linear(2, 2).double()
    keep_fp32(double)
    assert double(torch.ones(1, 2, dtype=torch.float64)).dtype == torch.float64
