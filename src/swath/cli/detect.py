"""`swath detect label` and `swath detect finetune`: from a large detector's boxes to small ones fitted on each fold."""

import inspect
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from swath.cli.output import say
from swath.cli.script import RunOptions, SweepFunction, load_script, parse_options
from swath.config.sweep import Sweep, TrialResources
from swath.config.task import Task
from swath.core.errors import InputError
from swath.store.paths import absolute

if TYPE_CHECKING:  # imported below where they are used
    from swath.models.detection.transfer import Row
    from swath.tasks.prepare import TaskPlan

USAGE = """swath detect: crops for ops.DetectCrop.

  swath detect label    SCRIPT_OR_TASK   boxes and contours of the training images, by a large detector, as COCO json
  swath detect finetune SCRIPT_OR_TASK   a small detector for each fold, fitted on them in the low-resolution images

SCRIPT_OR_TASK is a sweep script with its own options (sweeps/bird_ablation.py --data DIR), or a task and its
fields (DaconBirds --root DIR). A script's option that is also one of this command goes after ` -- `."""


def command(argv: Sequence[str]) -> None:
    """Carry out `swath detect ...`.

    Args:
        argv: The words after `detect`.

    Raises:
        InputError: Lists what is wrong with the words, the data or the files.
    """
    commands = {"label": _label, "finetune": _finetune}
    if not argv or argv[0] not in commands:
        asked = not argv or argv[0] in ("-h", "--help", "help")
        print(USAGE, file=sys.stdout if asked else sys.stderr)
        sys.exit(0 if asked else 2)
    commands[argv[0]](list(argv[1:]))


def _parser(name: str, description: str) -> ArgumentParser:
    return ArgumentParser(
        prog=f"swath detect {name} SCRIPT_OR_TASK",
        description=description,
        epilog=USAGE.partition("\n\n")[2].partition("\n\n")[2],
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _parsed(parser: ArgumentParser, argv: list[str]) -> tuple[Namespace, Sweep, RunOptions]:
    """The options of this command, and the sweep of the script or task with the options that every sweep has."""
    if not argv or argv[0].startswith("-"):
        parser.parse_args(argv or ["--help"])
        raise InputError(
            "give a sweep script or a task first, e.g. swath detect label sweeps/bird_ablation.py --data DIR"
        )
    end = argv.index("--") if "--" in argv else len(argv)
    values, rest = parser.parse_known_args(argv[1:end])
    return values, *_sweep(argv[0], rest + argv[end + 1 :])


def _sweep(name: str, words: list[str]) -> tuple[Sweep, RunOptions]:
    from swath.plan.problems import grid_problems
    from swath.plan.smoke import smoke
    from swath.tasks import TASKS

    sweep, options = parse_options(_task_sweep(TASKS[name]) if name in TASKS else load_script(name), words)
    problems = grid_problems(sweep)
    if isinstance(sweep.task, Task):
        problems += sweep.task.problems()
    else:
        problems.append(
            f"sweep {sweep.name!r} has a grid of tasks; a detector is of one. Name a task instead of the script."
        )
    if problems:
        raise InputError(problems)
    return smoke(sweep) if options.smoke else sweep, options


def _task_sweep(kind: type[Task]) -> SweepFunction:
    """A sweep function with the task's fields as its parameters; its split is the default of a sweep."""

    def sweep(**task_fields: object) -> Sweep:
        return Sweep("detect", kind(**task_fields))

    sweep.__name__, sweep.__doc__ = kind.__name__, kind.__doc__
    sweep.__signature__ = inspect.signature(kind)
    sweep.__annotations__ = {field.name: field.type for field in fields(kind)}
    return sweep


def _training_rows(sweep: Sweep, options: RunOptions) -> "tuple[TaskPlan, list[Row]]":
    """The task as a sweep would use it, and the files of its training rows; prints the task's notes."""
    from swath.models.detection.transfer import training_rows
    from swath.store.storage import Locations
    from swath.tasks.prepare import plan_task

    locations = Locations.of(absolute(options.storage, "--storage"))
    planned = plan_task(sweep.task, sweep, locations.memory, locations.storage)
    for note in planned.notes:
        say(f"note: {note}")
    return planned, training_rows(sweep.task.images.rows, planned.record.rows, planned.folds)


def _label(argv: list[str]) -> None:
    parser = _parser(
        "label", "Find objects in the (high-resolution) training images; write COCO json and a contact sheet."
    )
    parser.add_argument("--weights", default="yolov8x.pt", help="ultralytics model file; a -seg model gives contours")
    parser.add_argument(
        "--class", nargs="+", default=[], dest="classes", help="classes by name or number; birds need not say 'bird'"
    )
    parser.add_argument("--confidence", type=float, default=0.25, help="smallest score of an object")
    parser.add_argument(
        "--no-contours", action="store_true", help="no GrabCut contours where the model gives boxes only"
    )
    parser.add_argument("--device", default="", help="cpu, cuda:0, ...; default: a GPU where there is one")
    parser.add_argument("--out", default="", help="default: detectors/TASK.json; the contact sheet lies beside it")
    values, sweep, options = _parsed(parser, argv)
    from swath.engine.progress import BuildProgress
    from swath.models.detection import coco
    from swath.models.detection.label import CLASSES_OF_TASKS, label_images, write_sheet
    from swath.models.detection.yolo import Detector

    task = sweep.task
    classes = values.classes or list(CLASSES_OF_TASKS.get(task.name, ()))
    if not classes:
        raise InputError(f"say what to look for in {task.label}: --class airplane, or several, by name or number.")
    if not 0 < values.confidence <= 1:
        raise InputError(f"--confidence {values.confidence}: allowed is above 0 and at most 1.")
    out = Path(absolute(values.out or f"detectors/{task.label}.json", "--out"))
    detector = Detector(_weights(values.weights), values.device)
    numbers = detector.numbers(classes)
    _, rows = _training_rows(sweep, options)
    progress = BuildProgress(f"objects in {task.label}", len(rows), what="detecting")
    paths = [row.high for row in rows]
    labelled, unreadable = label_images(
        detector, paths, numbers, values.confidence, not values.no_contours, progress.built
    )
    coco.write(out, labelled, [detector.classes[n] for n in dict.fromkeys(numbers)])
    write_sheet(out.with_suffix(".png"), labelled, paths)
    for path, reason in unreadable.items():
        say(f"note: {path} {reason}; it is left out.")
    with_objects = sum(bool(image.found) for image in labelled)
    objects = sum(len(image.found) for image in labelled)
    print(
        f"{objects:,} objects in {with_objects:,} of {len(labelled):,} images: {out}; look at {out.with_suffix('.png')}"
    )


def _weights(given: str) -> str:
    """Absolute where it is a file; ultralytics' own architectures are names."""
    return absolute(given, "--weights") if Path(given).is_file() else given


def _finetune(argv: list[str]) -> None:
    from swath.models.detection.yolo_training import Training

    default = Training()
    parser = _parser(
        "finetune",
        "Bring the boxes into the low-resolution images and fit a detector for each fold of the split, on its training "
        "part only. The sweep then uses ops.DetectCrop(detector=FOLDER).",
    )
    parser.add_argument("--annotations", default="", help="COCO json or a flat list; default: detectors/TASK.json")
    parser.add_argument("--task", choices=("detect", "segment"), default="detect", help="fit boxes, or contours")
    parser.add_argument("--weights", default="", help="model to start from: a .pt file, or yolov8n.yaml from scratch")
    parser.add_argument("--epochs", type=int, default=default.epochs)
    parser.add_argument("--size-px", type=int, default=default.size_px, help="side of what the network sees, of 32")
    parser.add_argument("--batch", type=int, default=default.batch)
    parser.add_argument("--lr", type=float, default=default.lr, help="learning rate of AdamW")
    parser.add_argument("--mosaic", type=float, default=default.mosaic, help="share of images shown four in one")
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument(
        "--background", action="store_true", help="train on images in which nothing was found, too, as empty ones"
    )
    parser.add_argument("--out", default="", help="folder for the detectors; default: detectors/TASK[-segment]")
    values, sweep, options = _parsed(parser, argv)
    contours = values.task == "segment"
    weights = _weights(values.weights or ("yolov8n-seg.pt" if contours else default.weights))
    training = Training(
        weights=weights,
        epochs=values.epochs,
        size_px=values.size_px,
        batch=values.batch,
        lr=values.lr,
        mosaic=values.mosaic,
        seed=values.seed,
    )
    label = sweep.task.label
    annotations = Path(absolute(values.annotations or f"detectors/{label}.json", "--annotations"))
    out = Path(absolute(values.out or f"detectors/{label}{'-segment' if contours else ''}", "--out"))
    from swath.engine.detectors import Request, finetune

    planned, rows = _training_rows(sweep, options)
    request = Request(
        annotations=annotations,
        out=out,
        training=training,
        contours=contours,
        background=values.background,
        inline=options.inline,
        resources=TrialResources(options.cpus, options.gpus),
    )
    record = finetune(planned, sweep.split, rows, request, say)
    print(f"{len(record.folds)} detector(s): {out}. Use it as ops.DetectCrop(detector={str(out)!r}).")
