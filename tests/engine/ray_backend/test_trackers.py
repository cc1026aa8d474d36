"""Trials sent to the trackers that people have."""

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from swath import Sweep
from swath.cli import main as cli
from swath.config.sweep import TrialResources
from swath.core.errors import InputError
from swath.engine.base import Engine
from swath.engine.driver import run
from swath.engine.ray_backend.engine import RayEngine
from swath.engine.ray_backend.trackers import Tracking, folder_name
from swath.store.storage import Locations, Storage
from swath.store.trials import Trial
from tests.support.planned import planned_sweep


@pytest.mark.ray
def test_tensorboard_hears_scores_and_levels(
    make_sweep: Callable[..., Sweep], ray_engine: Engine, tmp_path: Path
) -> None:
    sweep = make_sweep(recipe=replace(make_sweep().recipe, epochs=2))
    progress = planned_sweep(sweep, Locations.of(str(tmp_path / "store")))
    with RayEngine(TrialResources(cpus=1), Tracking("study", ("tensorboard",), tmp_path / "events")) as engine:
        assert run(progress, engine, lambda line: None) == 2
    assert len(list((tmp_path / "events").iterdir())) == 2
    for planned in progress.plan.trials:
        fingerprint = planned.spec.fingerprint
        table = Trial(Storage(str(tmp_path / "store")), fingerprint).metrics()
        trial = {"fingerprint": fingerprint, "cell": planned.cell.label, "seed": 0, "fold": 0}
        heard = EventAccumulator(str(tmp_path / "events" / folder_name(trial))).Reload()
        for tag, column in (("score", "score"), ("numbers/val_loss", "val_loss"), ("numbers/lr", "lr")):
            events = heard.Scalars(f"ray/tune/{tag}")
            assert [e.step for e in events] == [1, 2]
            assert [e.value for e in events] == pytest.approx(table[column].tolist(), rel=1e-5)
        text = str(heard.SummaryMetadata("_hparams_/session_start_info").plugin_data.content)
        assert "preprocess" in text
        assert planned.cell.factors["preprocess"] in text


def test_folders_are_readable_and_never_shared() -> None:
    trial = {"fingerprint": "0123456789", "cell": "superres(x4plus,2)|sharpen / resnet50 / bce", "seed": 1, "fold": 2}
    name = folder_name(trial)
    assert name == "superres-x4plus-2-sharpen-resnet50-bce-seed1-fold2-012345"
    assert folder_name({**trial, "cell": "x" * 300}).endswith("-012345")


def test_a_missing_package_is_named_with_its_cure_before_anything_starts(
    make_sweep: Callable[..., Sweep], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    if importlib.util.find_spec("wandb") is not None:
        pytest.skip("wandb is installed")

    def study() -> Sweep:
        return make_sweep()

    words = ["--storage", str(tmp_path / "store"), "--out", str(tmp_path / "out"), "--track", "wandb"]
    with pytest.raises(SystemExit) as ended:
        cli.main(study, words)
    assert ended.value.code == 2
    assert "pip install wandb" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(study, [*words[:-1], "tensorboard", "--inline"])
    assert "--inline" in capsys.readouterr().err
    assert not (tmp_path / "store" / "trials").exists()


def test_nobody_hears_unless_asked() -> None:
    assert Tracking().callbacks() == []
    assert "--out" in Tracking("study", ("tensorboard",), None).problems()[0]
    assert InputError(Tracking("study", ("tensorboard",), None).problems()).problems
