"""Writes old_store.tar.xz: a folder as swath left it at commit d83b30a, the last one before the package had rooms.

It was run once, with a checkout of that commit in /PATH/old (Python 3.11, torch 2.14.1, two CPU cores), in an empty
folder, and works with no other commit:

    PYTHONPATH=/PATH/old/src python write_old_store.py old_store.tar.xz

Everything is made by the commands of that commit, inline, with one thread, from inside the folder:

- `data/`: drawn images in the layout of the satellite competition, 48 to train with and 12 to predict;
- `stopping.py`: ASHA, two folds, two preprocessings, two backbones; second seeds of what survived;
- `plain.py`: two preprocessings, two losses and two seeds to the end; its best cell refitted on all images, a model
  imported (`elsewhere/`), submissions with the competition's scores, an audit;
- `frozen.py`: the same cells on features of a frozen backbone;
- `searched.py`: two points of a random search, each with early stopping;
- `store/`: what these left, the cache included; contact sheets are made smaller, and `hashes/`, which remembers files
  by their absolute paths, is left out;
- `expected/`: what that commit then reported, predicted and printed. In what was printed FREE stands for the free space
  of the disk, AGE for the age of a cache entry, HERE for the folder. What the reports say of ensembles, thresholds and
  calibration was replaced when cross-fitting began to pool ranks (decision 0024), what they say of `searched` when the
  points of a search ceased to be levels of a factor; all else is of that commit.
"""

import lzma
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

COMMAND = "import socket; socket.gethostname = lambda: 'node'; from swath.cli import command; command()"
"""The `swath` command of that commit, on a host of a name that says nothing: trials keep it."""
SCRIPTS = {
    "stopping": '''
"""ASHA over two folds, with second seeds."""

from swath import Backbone, Recipe, Sweep, asha, grid, kfold, main, ops, tasks


def stopping(data: str = "data") -> Sweep:
    """Two preprocessings, two backbones."""
    return Sweep(
        name="stopping",
        task=tasks.DaconSatellite(data),
        split=kfold(2, seed=0),
        preprocess=grid((), (ops.Sharpen(),)),
        backbone=grid(Backbone("test_resnet", pretrained=False), Backbone("test_efficientnet", pretrained=False)),
        recipe=Recipe(epochs=3, batch_size=8, optimizer="adamw", lr=3e-3, image_size=24),
        seeds=(0, 1),
        stop=asha(grace_epochs=1, reduction=2),
    )


if __name__ == "__main__":
    main(stopping)
''',
    "plain": '''
"""Every cell to the end."""

from swath import Backbone, Recipe, Sweep, grid, holdout, losses, main, ops, tasks


def plain(data: str = "data") -> Sweep:
    """Two preprocessings, two losses, two seeds."""
    return Sweep(
        name="plain",
        task=tasks.DaconSatellite(data),
        split=holdout(0.25, seed=0),
        preprocess=grid((), (ops.Sharpen(),)),
        backbone=Backbone("test_resnet", pretrained=False),
        loss=grid(losses.BCE(), losses.Focal()),
        recipe=Recipe(epochs=2, batch_size=8, optimizer="adamw", lr=3e-3, image_size=24),
        seeds=(0, 1),
        published={"raw / bce": (0.9, 0.91), "sharpen / bce": 0.92},
    )


if __name__ == "__main__":
    main(plain)
''',
    "frozen": '''
"""Heads on features of a backbone that does not learn."""

from dataclasses import replace

from plain import plain
from swath import Sweep, main


def frozen(data: str = "data") -> Sweep:
    """The cells of plain.py on frozen features."""
    sweep = plain(data)
    recipe = replace(sweep.recipe, freeze="backbone", epochs=3, lr=3e-2)
    return replace(sweep, name="frozen", recipe=recipe, published={})


if __name__ == "__main__":
    main(frozen)
''',
    "searched": '''
"""A random search with early stopping."""

from dataclasses import replace

from plain import plain
from swath import Sweep, loguniform, losses, main, random, schedules


def searched(data: str = "data") -> Sweep:
    """Two points."""
    sweep = plain(data)
    recipe = replace(sweep.recipe, lr=loguniform(1e-4, 1e-2), epochs=3, early_stop=schedules.EarlyStop(patience=1))
    sweep = replace(sweep, name="searched", preprocess=(), loss=losses.BCE(), published={})
    return replace(sweep, recipe=recipe, search=random(2), seeds=(0,))


if __name__ == "__main__":
    main(searched)
''',
}
PREDICTED = {
    "stopping": ("best", "greedy"),
    "plain": ("best", "greedy", "weighted", "refit best", "import notebook", "sharpen / focal"),
    "frozen": ("best", "greedy"),
    "searched": ("best",),
}
SAID = {
    "list": ["list"],
    "cache": ["cache", "ls"],
    "submissions": ["submissions", "list", "plain"],
    "compare": ["compare", "plain", "frozen"],
    "refit": ["refit", "plain.py", "best", "--full", "--inline", "--dry-run"],
    **{f"check-{name}": ["check", f"{name}.py", "--inline"] for name in SCRIPTS},
    **{f"report-{name}": ["report", name] for name in SCRIPTS},
}
"""What is printed of the finished store, by the name of the file that keeps it."""
REPORTED = ("report.json", "leaderboard.md", "leaderboard.csv", "ensembles.json")


def draw(root: Path) -> None:
    """Red, green and blue patches on noise, in the competition's layout."""
    rng = np.random.default_rng(0)
    tables = {}
    for part, count in (("train", 48), ("test", 12)):
        (root / part).mkdir(parents=True)
        rows = []
        for i in range(count):
            targets = rng.random(3) < (0.6, 0.5, 0.4)
            targets[rng.integers(3)] |= not targets.any()
            image = rng.integers(0, 100, (8, 8, 3)).repeat(3, axis=0).repeat(3, axis=1)
            for channel in np.flatnonzero(targets):
                y, x = rng.integers(0, 14, 2)
                image[y : y + 9, x : x + 9, channel] += 110
            name = f"{part.upper()}{i:03d}"
            cv2.imwrite(str(root / part / f"{name}.png"), image.astype(np.uint8)[:, :, ::-1])
            rows.append([name, f"./{part}/{name}.png", *targets.astype(int)])
        tables[part] = pd.DataFrame(rows, columns=["img_id", "img_path", "red", "green", "blue"])
    tables["train"].to_csv(root / "train.csv", index=False)
    tables["test"][["img_id", "img_path"]].to_csv(root / "test.csv", index=False)
    sample = tables["test"][["img_id"]].sample(frac=1, random_state=0)
    sample.assign(blue=0.0, red=0.0, green=0.0).to_csv(root / "sample_submission.csv", index=False)


def pixels(path: Path) -> NDArray[np.uint8]:
    """[H, W, 3] blue, green, red of an image file."""
    image = cv2.imread(str(path))
    assert image is not None
    return image.astype(np.uint8)


def predict_elsewhere(root: Path, folder: Path) -> None:
    """Probabilities of a model that sees the mean of each channel, and noise."""
    folder.mkdir()
    for part, file in (("train", "oof.csv"), ("test", "test.csv")):
        table = pd.read_csv(root / f"{part}.csv")[["img_id", "img_path"]]
        means = np.stack([pixels(root / path).mean(axis=(0, 1))[::-1] for path in table["img_path"]])
        noise = np.random.default_rng(len(table)).normal(0, 10, means.shape)
        p = 1 / (1 + np.exp(-(means - means.mean(axis=0) + noise) / 8))
        table[["red", "green", "blue"]] = p.round(4)
        table.drop(columns="img_path").to_csv(folder / file, index=False)


def shrink_contact_sheets(folder: Path) -> None:
    """They would be two thirds of the archive, and nothing but pages shows them."""
    for path in folder.iterdir():
        sheet = cv2.resize(pixels(path), None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(path), sheet, [cv2.IMWRITE_JPEG_QUALITY, 25])


def run(*words: str) -> str:
    """What a command prints."""
    return subprocess.run([sys.executable, "-c", COMMAND, *words], stdout=subprocess.PIPE, text=True, check=True).stdout


def masked(text: str) -> str:
    """What was printed, without what another day, place or disk changes."""
    text = re.sub(r"\([^()]* free\)", "(FREE free)", text.replace(str(Path.cwd()), "HERE"))
    return re.sub(r" +\d+ (s|min|h|d)  ", "  AGE  ", text)


def file_name(sweep: str, ensemble: str) -> str:
    """Of a submission below `expected/`."""
    return f"{sweep}-{re.sub('[^a-z]+', '-', ensemble)}.csv"


def main() -> None:
    """Write the archive that the command line names, with the working directory's content."""
    draw(Path("data"))
    predict_elsewhere(Path("data"), Path("elsewhere"))
    for name, script in SCRIPTS.items():
        Path(f"{name}.py").write_text(script.lstrip())
        run("run", f"{name}.py", "--inline")
    best = run("refit", "plain.py", "best", "--full", "--inline").split('"refit ')[1].split('"')[0]
    run("import", "plain", "notebook", "--oof", "elsewhere/oof.csv", "--test", "elsewhere/test.csv")
    run("audit", "plain.py", "--inline")
    shrink_contact_sheets(Path("store/contacts"))
    expected = Path("expected")
    expected.mkdir()
    for name, ensembles in PREDICTED.items():
        for ensemble in ensembles:
            given = f"refit {best}" if ensemble == "refit best" else ensemble
            run("predict", name, "--ensemble", given, "--out", f"expected/{file_name(name, ensemble)}")
    run("submissions", "add", "expected/plain-greedy.csv", "--public", "0.95", "--private", "0.94")
    run("submissions", "add", "expected/plain-sharpen-focal.csv", "--public", "0.93")
    run("submissions", "add", "plain", "elsewhere/test.csv", "--public", "0.9")
    for name, words in SAID.items():
        (expected / f"{name}.txt").write_text(masked(run(*words)))
    for name in SCRIPTS:
        (expected / name).mkdir()
        for file in REPORTED:
            (expected / name / file).write_bytes((Path("reports") / name / file).read_bytes())
    with lzma.open(sys.argv[1], "wb", preset=9) as stream, tarfile.open(fileobj=stream, mode="w") as tar:
        for path in sorted(["data", "elsewhere", "expected", "store", *(f"{name}.py" for name in SCRIPTS)]):
            tar.add(path, filter=anonymous)


def anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """An entry without the names and numbers of who wrote it; None for what names the machine's folders."""
    if entry.name == "store/hashes":
        return None
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


if __name__ == "__main__":
    main()
