"""Pooling and heads of timm models, against the same written out by hand."""

from typing import Any, cast

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from swath.config.recipe import Backbone
from swath.core.errors import InputError
from swath.models.backbones import Model, build
from swath.models.pooling import pool_tokens, square_prefix

SIZE = 64


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def built(model: str, **options: Any) -> Model:
    found = build(Backbone(model, pretrained=False, **options), 5, 3, SIZE, seed=0)
    found.net.eval()
    return found


def images() -> Tensor:
    return torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def by_hand(values: np.ndarray, pool: str) -> np.ndarray:
    """[B, N, F] to [B, F]."""
    return {"mean": values.mean(axis=1), "max": values.max(axis=1), "first_token": values[:, 0]}[pool]


@pytest.mark.parametrize("pool", ["mean", "max", "first_token"])
@pytest.mark.parametrize("model", ["test_resnet", "test_efficientnet"])
def test_maps_are_pooled_before_the_classifier(model: str, pool: str) -> None:
    one = built(model, pool=pool)
    with torch.no_grad():
        maps = cast(Any, one.net).forward_features(images()).numpy()
        logits = one.net(images()).numpy()
    head = cast(nn.Linear, one.net.get_submodule(one.head))
    expected = by_hand(maps.reshape(*maps.shape[:2], -1).transpose(0, 2, 1), pool)
    weight, bias = (p.detach().numpy() for p in (head.weight, head.bias))
    np.testing.assert_allclose(logits, expected @ weight.T + bias, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pool", ["mean", "max", "first_token"])
@pytest.mark.parametrize("model", ["test_vit", "test_vit3"])  # class token; attention pooling and register tokens
def test_tokens_are_pooled_before_the_classifier(model: str, pool: str) -> None:
    one = built(model, pool=pool)
    inner = cast(Any, one.net).net
    with torch.no_grad():
        tokens = inner.forward_features(images())
        logits = one.net(images()).numpy()
        rest = tokens if pool == "first_token" else tokens[:, inner.num_prefix_tokens :]
        expected = inner.fc_norm(torch.from_numpy(by_hand(rest.numpy(), pool))).numpy()
    head = cast(nn.Linear, one.net.get_submodule(one.head))
    weight, bias = (p.detach().numpy() for p in (head.weight, head.bias))
    np.testing.assert_allclose(logits, expected @ weight.T + bias, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", ["test_resnet", "test_convnext", "test_coatnet", "test_nfnet", "test_byobnet"])
def test_the_mean_of_a_model_that_averages_is_its_own_pooling(model: str) -> None:
    with torch.no_grad():
        own, mean, most = (built(model, pool=pool).net(images()) for pool in ("default", "mean", "max"))
    torch.testing.assert_close(own, mean, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(own, most, atol=1e-3)


def test_maps_with_channels_last_are_pooled_over_their_positions() -> None:
    backbone = Backbone("swin_tiny_patch4_window7_224", pretrained=False, pool="max")
    net = build(backbone, 5, 3, 64, 0).net.eval()
    with torch.no_grad():
        maps = cast(Any, net).forward_features(images())
        logits = net(images())
        head = cast(nn.Linear, net.get_submodule("head.fc"))
        torch.testing.assert_close(logits, maps.flatten(1, 2).amax(dim=1) @ head.weight.T + head.bias)


def test_a_model_with_a_pooling_of_its_own_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"'test_mambaout' cannot be built: .*pool='max' cannot take its place"):
        built("test_mambaout", pool="max")


@pytest.mark.parametrize(("tokens", "prefix"), [(64, 0), (65, 1), (196, 0), (197, 1), (261, 5)])
def test_what_a_square_leaves_over_are_class_and_register_tokens(tokens: int, prefix: int) -> None:
    assert square_prefix(tokens) == prefix


def test_prefix_tokens_are_left_out_of_mean_and_max_only() -> None:
    tokens = torch.tensor([[[9.0], [1.0], [3.0]]])
    assert [pool_tokens(tokens, p, 1).item() for p in ("mean", "max", "first_token")] == [2.0, 3.0, 9.0]


def test_a_stacked_head_is_a_layer_on_a_thousand_pretrained_logits(tmp_path: Any) -> None:
    torch.manual_seed(7)
    trained = timm.create_model("test_resnet")
    save_file(trained.state_dict(), tmp_path / "x.safetensors")
    backbone = Backbone("test_resnet", weights=str(tmp_path / "x.safetensors"), head="stacked")
    one, other = (build(backbone, 5, 3, SIZE, seed) for seed in (0, 1))
    head = cast(nn.Linear, one.net.get_submodule(one.head))
    assert head.weight.shape == (5, 1000)
    with torch.no_grad():
        expected = trained.eval()(images()) @ head.weight.T + head.bias
        torch.testing.assert_close(one.net.eval()(images()), expected)
    changed = {k for k, v in one.net.state_dict().items() if not torch.equal(v, other.net.state_dict()[k])}
    assert changed == {"head.weight", "head.bias"}


def test_a_file_without_its_classifier_cannot_be_stacked(tmp_path: Any) -> None:
    torch.manual_seed(7)
    state = {k: v for k, v in timm.create_model("test_resnet").state_dict().items() if not k.startswith("fc.")}
    save_file(state, tmp_path / "x.safetensors")
    with pytest.raises(InputError, match=r"fc\.weight"):
        build(Backbone("test_resnet", weights=str(tmp_path / "x.safetensors"), head="stacked"), 5, 3, SIZE, 0)


@pytest.mark.parametrize("model", ["test_resnet", "test_vit", "test_convnext"])
def test_dropout_stands_before_the_classifier_and_leaves_its_weights_alone(model: str) -> None:
    plain, dropping = built(model), built(model, drop_rate=0.5)
    with torch.no_grad():
        torch.testing.assert_close(plain.net(images()), dropping.net(images()), rtol=0, atol=0)
        dropping.net.train()
        for module in dropping.net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        assert not torch.equal(dropping.net(images()), dropping.net(images()))


def test_stochastic_depth_is_timms() -> None:
    net = built("test_vit", drop_path_rate=0.3).net
    rates = [cast(Any, m).drop_prob for m in net.modules() if type(m).__name__ == "DropPath"]
    assert max(rates) == pytest.approx(0.3)
