import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from swath import Backbone, Recipe, Sweep, grid, holdout, losses, ops, tasks
from swath.engine.base import Engine
from swath.engine.inline import InlineEngine
from swath.store.storage import Storage

pytest_plugins = ["tests.support.studies"]


@pytest.fixture(scope="session")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 training and 12 test images in the satellite competition's layout: red, green and blue patches on noise."""
    root = tmp_path_factory.mktemp("layout")
    rng = np.random.default_rng(0)
    labels = ("red", "green", "blue")
    tables = {}
    for part, count in (("train", 48), ("test", 12)):
        (root / part).mkdir()
        rows = []
        for i in range(count):
            targets = rng.random(3) < (0.6, 0.5, 0.4)
            targets[rng.integers(3)] |= not targets.any()
            image = rng.integers(0, 120, (40, 40, 3))
            for channel in np.flatnonzero(targets):
                y, x = rng.integers(0, 24, 2)
                image[y : y + 16, x : x + 16, channel] += 130
            name = f"{part.upper()}{i:03d}"
            cv2.imwrite(str(root / part / f"{name}.png"), image.astype(np.uint8)[:, :, ::-1])
            rows.append([name, f"./{part}/{name}.png", *targets.astype(int)])
        tables[part] = pd.DataFrame(rows, columns=["img_id", "img_path", *labels])
    tables["train"].to_csv(root / "train.csv", index=False)
    tables["test"][["img_id", "img_path"]].to_csv(root / "test.csv", index=False)
    sample = tables["test"][["img_id"]].sample(frac=1, random_state=0)
    sample.assign(blue=0.0, red=0.0, green=0.0).to_csv(root / "sample_submission.csv", index=False)
    return root


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real photographs and weights beside a development checkout; mark its tests `shared`."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"there is no {folder}")
    return folder


@pytest.fixture
def make_sweep(layout: Path) -> Callable[..., Sweep]:
    """A sweep of two preprocessings and one tiny backbone; keyword arguments change its fields."""

    def make(**changes: object) -> Sweep:
        sweep = Sweep(
            name="study",
            task=tasks.DaconSatellite(str(layout)),
            split=holdout(0.25, seed=0),
            preprocess=grid((), (ops.Sharpen(),)),
            backbone=Backbone("test_resnet", pretrained=False),
            loss=losses.BCE(),
            recipe=Recipe(epochs=3, batch_size=8, optimizer="adamw", lr=3e-3, image_size=32),
        )
        return replace(sweep, **changes)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def ray_engine() -> Iterator[Engine]:
    """One Ray with two CPUs for all tests of a session."""
    from swath.config.sweep import TrialResources
    from swath.engine.ray_backend.engine import SETTINGS, RayEngine

    os.environ.update(SETTINGS)
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    with RayEngine(TrialResources(cpus=1)) as engine:
        yield engine
    ray.shutdown()


@pytest.fixture(params=["inline", pytest.param("ray", marks=pytest.mark.ray)])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Both engines in turn: one suite holds for both."""
    return InlineEngine() if request.param == "inline" else request.getfixturevalue("ray_engine")


@pytest.fixture(scope="session")
def s3_root() -> Iterator[str]:
    """A URI on a real S3 server on this machine; tests share its bucket, so each goes below its own prefix."""
    import boto3
    from moto.server import ThreadedMotoServer

    with pytest.MonkeyPatch.context() as environment:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            environment.setenv(name, "dummy")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1")
        client.create_bucket(Bucket="swath-tests")
        yield f"s3://swath-tests/root?region=us-east-1&scheme=http&endpoint_override={host}%3A{port}"
        server.stop()


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """An empty store, on a folder and on S3 in turn: one suite holds for both."""
    if request.param == "folder":
        return Storage(str(tmp_path / "store"))
    return Storage(request.getfixturevalue("s3_root")).child(uuid.uuid4().hex)
