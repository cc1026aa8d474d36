import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from timm.models import get_pretrained_cfg

from swath.config.recipe import Backbone
from swath.core.errors import InputError
from swath.models import names as model_names
from swath.models.hf_names import hub_id

SWIN = "hf:microsoft/swinv2-base-patch4-window16-256"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    here = tmp_path / "mine"
    here.mkdir()
    (here / "config.json").write_text(json.dumps({"model_type": "beit", "image_size": 96}))
    (here / "preprocessor_config.json").write_text("{}")
    (here / "model.safetensors").write_bytes(b"some weights")
    (here / "README.md").write_text("not part of the model")
    return here


def test_names_and_folders_without_problems(folder: Path) -> None:
    for backbone in (
        Backbone(SWIN),
        Backbone(f"{SWIN}@0123abc"),
        Backbone(SWIN, pretrained=False),
        Backbone(f"hf:{folder}"),
        Backbone(SWIN, weights=str(folder)),
        Backbone(SWIN, weights=str(folder / "model.safetensors")),
        Backbone("resnet50.a1_in1k"),
    ):
        assert model_names.problems(backbone) + model_names.file_problems(backbone) == []


def test_names_that_nobody_knows_are_told(folder: Path) -> None:
    (near,) = model_names.problems(Backbone("resnet5"))
    assert "Did you mean" in near
    (name,) = model_names.problems(Backbone("hf:swinv2"))
    assert name.startswith("unknown backbone 'hf:swinv2': there is no such folder, and a model of the hub is called")
    (gone,) = model_names.file_problems(Backbone(SWIN, weights=str(folder / "none")))
    assert "does not exist. Give a folder with config.json" in gone
    (file,) = model_names.file_problems(Backbone("resnet50", weights="none.pth"))
    assert "the weights file 'none.pth' does not exist" in file


def test_folders_that_lack_something_are_told(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (weights,) = model_names.file_problems(Backbone(f"hf:{folder}"))
    assert "holds no weights" in weights
    assert model_names.file_problems(Backbone(f"hf:{folder}", pretrained=False)) == []
    (folder / "config.json").unlink()
    (config,) = model_names.file_problems(Backbone(f"hf:{folder}"))
    assert "has no config.json" in config


def test_a_folder_is_identified_by_content_not_by_place(folder: Path) -> None:
    resolved = model_names.resolve_backbone(Backbone(f"hf:{folder}"))
    assert resolved.backbone == Backbone("hf:beit")
    assert resolved.weights.startswith("file:")
    assert resolved.path == str(folder)
    (folder / "README.md").write_text("changed")
    elsewhere = folder.rename(folder.parent / "elsewhere")
    moved = model_names.resolve_backbone(Backbone(f"hf:{elsewhere}"))
    assert (moved.backbone, moved.weights) == (resolved.backbone, resolved.weights)
    for name in ("config.json", "preprocessor_config.json", "model.safetensors"):
        text = (elsewhere / name).read_text()
        (elsewhere / name).write_text(text + " ")
        assert model_names.resolve_backbone(Backbone(f"hf:{elsewhere}")).weights != resolved.weights
        (elsewhere / name).write_text(text)
    scratch = model_names.resolve_backbone(Backbone(f"hf:{elsewhere}", pretrained=False))
    assert scratch.weights.startswith("scratch:")
    (elsewhere / "model.safetensors").unlink()
    assert model_names.resolve_backbone(Backbone(f"hf:{elsewhere}", pretrained=False)).weights == scratch.weights


def test_names_of_the_hub_identify_themselves(folder: Path) -> None:
    assert model_names.resolve_backbone(Backbone(SWIN)) == model_names.ResolvedBackbone(Backbone(SWIN), SWIN)
    assert model_names.resolve_backbone(Backbone(SWIN, pretrained=False)).weights == "scratch"
    resolved = model_names.resolve_backbone(Backbone(SWIN, weights=str(folder)))
    assert resolved.backbone == Backbone(SWIN)
    assert hub_id(f"{SWIN}@v1") == ("microsoft/swinv2-base-patch4-window16-256", "v1")


def test_timm_names_resolve(folder: Path) -> None:
    assert model_names.resolve_backbone(Backbone("resnet50")) == model_names.ResolvedBackbone(
        Backbone("resnet50.a1_in1k"), "resnet50.a1_in1k"
    )
    assert model_names.resolve_backbone(Backbone("resnet50", pretrained=False)).weights == "scratch"
    file = str(folder / "model.safetensors")
    resolved = model_names.resolve_backbone(Backbone("resnet50", weights=file))
    assert (resolved.backbone, resolved.path) == (Backbone("resnet50"), file)


def test_native_sizes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("resnet50", "tf_efficientnetv2_s", "swinv2_base_window16_256", "test_vit"):
        config = get_pretrained_cfg(name)
        assert config is not None
        assert model_names.native_size(Backbone(name)) == config.input_size[-1]
    assert model_names.native_size(Backbone(f"hf:{folder}")) == 96
    assert model_names.native_size(Backbone(SWIN, weights=str(folder))) == 96
    assert model_names.native_size(Backbone(SWIN)) == 256
    assert model_names.native_size(Backbone("hf:microsoft/beit-base-patch16-224-pt22k-ft22k")) == 224
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="Give a number of pixels, connect to the hub, or give weights=FOLDER"):
        model_names.native_size(Backbone("hf:someone/else"))
    (folder / "config.json").write_text("{}")
    with pytest.raises(InputError, match="names no image_size"):
        model_names.native_size(Backbone(f"hf:{folder}"))


def test_hf_names_are_answered_without_importing_transformers() -> None:
    code = (
        "import sys; from swath.models import names as m; from swath.config.recipe import Backbone as B\n"
        f"b = B({SWIN!r}); m.problems(b); m.resolve_backbone(b); m.native_size(b)\n"
        "print(*{'timm', 'torch', 'transformers'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


def test_labels_hide_the_way_to_a_folder() -> None:
    assert Backbone("hf:/a/b/mine").canonical() == "hf:mine"
    assert Backbone("hf:./mine", pool="mean").canonical() == "hf:mine(pool=mean)"
    assert Backbone(SWIN).canonical() == SWIN
    full = Backbone("resnet50", head="stacked", drop_rate=0.1, drop_path_rate=0.2)
    assert full.canonical() == "resnet50(head=stacked,drop_rate=0.1,drop_path_rate=0.2)"
    assert replace(full, drop_rate=0.0).canonical() == "resnet50(head=stacked,drop_rate=0.0,drop_path_rate=0.2)"
