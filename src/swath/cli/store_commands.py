"""The `swath` commands that need a store, or submission files, but no sweep script."""

import math
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from swath.cli.output import report_folder, write_report
from swath.core.errors import InputError
from swath.store.paths import absolute
from swath.store.storage import Storage


def _store_parser(prog: str, description: str) -> ArgumentParser:
    parser = ArgumentParser(prog=f"swath {prog}", description=description)
    parser.add_argument("--storage", default="./store", help="folder or URI of the store")
    return parser


def _storage(values: Namespace) -> Storage:
    return Storage(absolute(values.storage, "--storage"))


def _add_bound(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--max-ms-per-image",
        type=float,
        default=math.inf,
        help="choose only ensembles whose members take at most so many milliseconds for an image all together, fold "
        "models and test-time augmentation counted, as measured in training",
    )


def _bound(values: Namespace) -> float:
    if not values.max_ms_per_image > 0:
        raise InputError(f"--max-ms-per-image {values.max_ms_per_image}: give milliseconds above 0, e.g. 20.")
    return values.max_ms_per_image


def report(argv: list[str]) -> None:
    """Carry out `swath report`."""
    parser = _store_parser("report", "Leaderboard, ensembles and pictures of a sweep, from the store alone.")
    parser.add_argument("name", help="name of the sweep")
    parser.add_argument("--out", default="", help="folder for the report; default ./reports/NAME")
    _add_bound(parser)
    values = parser.parse_args(argv)
    storage = _storage(values)
    write_report(storage, values.name, report_folder(values.out, values.name, storage), _bound(values))


def predict(argv: list[str]) -> None:
    """Carry out `swath predict`."""
    parser = _store_parser("predict", "A submission in exactly the sample's columns and row order.")
    parser.add_argument("name", help="name of the sweep")
    parser.add_argument(
        "--ensemble",
        default="best",
        help="best, single, top3, greedy, ...; the label of a cell; `refit ` and a label for the cell as `swath refit` "
        "trained it; or FILE:NAME for one of an ensembles.json",
    )
    parser.add_argument("--out", default="submission.csv", help="the file to write")
    parser.add_argument("--task", default="", help="which task, where the sweep has several")
    _add_bound(parser)
    values = parser.parse_args(argv)
    from swath.analysis.submissions import predict as submission

    out = absolute(values.out, "--out")
    path = submission.predict(_storage(values), values.name, values.ensemble, out, values.task, _bound(values))
    print(f"submission: {path}")


def import_model(argv: list[str]) -> None:
    """Carry out `swath import`."""
    parser = _store_parser("import", "Predictions of a model trained elsewhere, as a member of a sweep's ensembles.")
    parser.add_argument("name", help="name of the sweep")
    parser.add_argument("model", help="what reports call the model")
    parser.add_argument("--oof", required=True, help="csv: id and a probability per label, for every validation image")
    parser.add_argument("--test", default="", help="the same for every test image")
    parser.add_argument("--task", default="", help="which task, where the sweep has several")
    values = parser.parse_args(argv)
    from swath.analysis import imported

    test = values.test and absolute(values.test, "--test")
    oof = absolute(values.oof, "--oof")
    imported.import_model(_storage(values), values.name, values.model, oof, test or None, values.task)
    print(f"imported {values.model!r} into {values.name}; `swath report {values.name}` ranks and averages it")


def blend(argv: list[str]) -> None:
    """Carry out `swath blend`."""
    parser = ArgumentParser(prog="swath blend", description="Mix submission files, in the form of the first.")
    parser.add_argument("files", nargs="+", help="two or more submissions of one competition")
    parser.add_argument("--weights", type=float, nargs="*", default=[], help="one per file; only their ratios matter")
    parser.add_argument("--rank", action="store_true", help="average ranks instead of numbers")
    parser.add_argument("--out", default="blend.csv", help="the file to write")
    values = parser.parse_args(argv)
    from swath.analysis.submissions import blend as blending

    files = [absolute(file, "a file") for file in values.files]
    print(f"submission: {blending.blend(files, absolute(values.out, '--out'), values.weights, values.rank)}")


def submissions(argv: list[str]) -> None:
    """Carry out `swath submissions`."""
    parser = _store_parser("submissions", "Scores that the competition gave, beside their validation scores.")
    parser.add_argument("action", choices=["add", "list"], help="add a score, or list what is on record")
    parser.add_argument(
        "words",
        nargs="+",
        help="add: the submitted file, after its sweep's name where swath did not write it; list: name of the sweep",
    )
    parser.add_argument("--public", type=float, default=None, help="public score")
    parser.add_argument("--private", type=float, default=None, help="private score")
    values = parser.parse_args(argv)
    from swath.analysis.submissions import history
    from swath.report.format import score_text

    storage, (*names, last) = _storage(values), values.words
    if len(names) > (values.action == "add"):
        raise InputError("usage: swath submissions add [NAME] FILE --public SCORE, or swath submissions list NAME")
    name = last
    if values.action == "add":
        file = Path(absolute(last, "the file"))
        name = names[0] if names else history.sweep_of(storage, file)
        history.add_score(storage, name, file, values.public, values.private)
    for submission in history.submissions(storage, name):
        scores = (submission.score, submission.public, submission.private)
        validation, public, private = map(score_text, scores)
        print(f"{submission.written}  {submission.name}: validation {validation}, public {public}, private {private}")


def compare(argv: list[str]) -> None:
    """Carry out `swath compare`."""
    parser = _store_parser(
        "compare", "What moved between two sweeps, or two dates of one, and whether it is more than noise."
    )
    parser.add_argument("a", help="name of the sweep before")
    parser.add_argument("b", nargs="?", default="", help="name of the sweep after; left out, the same name")
    parser.add_argument("--other-storage", default="", help="folder or URI of B's store, where it is another one")
    parser.add_argument("--out", default="", help="the file to write; default ./reports/A--B.md")
    values = parser.parse_args(argv)
    from swath.report.markdown.compare import compare_sweeps, write_comparison

    storage, name = _storage(values), values.b or values.a
    other = Storage(absolute(values.other_storage, "--other-storage")) if values.other_storage else storage
    text = compare_sweeps((storage, values.a), (other, name))
    print(text)
    out = values.out or f"reports/{values.a}--{name}.md"
    print(f"comparison: {write_comparison(text, Path(absolute(out, '--out')))}")


def replay(argv: list[str]) -> None:
    """Carry out `swath replay`."""
    parser = _store_parser(
        "replay",
        "What another stopping rule, number of seeds or number of workers would have cost, and what it would have "
        "chosen: from the stored curves, nothing is trained.",
    )
    parser.add_argument("name", help="name of the sweep")
    parser.add_argument(
        "--stop",
        action="append",
        default=[],
        help='a rule as scripts write it, such as "asha(grace_epochs=3, reduction=3)", or none; may be given several '
        "times; left out, the sweep's own",
    )
    parser.add_argument(
        "--workers", type=int, nargs="+", default=[1], help="trials that train at once; several numbers are compared"
    )
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=[],
        help="only so many of the sweep's seeds, the first ones; several numbers are compared; left out, all",
    )
    parser.add_argument("--out", default="", help="the file to write; default ./reports/NAME--replay.md")
    parser.add_argument("--json", default="", help="a file for the numbers, with what becomes of every trial")
    values = parser.parse_args(argv)
    from swath.analysis.load import read_results
    from swath.analysis.replay.replay import replay as replayed
    from swath.config.stopping_text import stopping_rule
    from swath.report.markdown.replay import replay_json, replay_text
    from swath.store.storage import write_atomic

    rules = [stopping_rule(text) for text in values.stop]
    results = read_results(_storage(values), values.name, predictions_too=False)
    found = replayed(results, rules, values.workers, values.seeds)
    text = replay_text(found)
    print(text)
    out = Path(absolute(values.out or f"reports/{values.name}--replay.md", "--out"))
    write_atomic(out, text.encode())
    print(f"replay: {out}")
    if values.json:
        numbers = Path(absolute(values.json, "--json"))
        write_atomic(numbers, replay_json(found).encode())
        print(f"numbers: {numbers}")


def dashboard(argv: list[str]) -> None:
    """Carry out `swath dashboard`."""
    parser = _store_parser("dashboard", "The report as a page that follows a running sweep.")
    parser.add_argument("name", help="name of the sweep")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; the default is this machine only")
    parser.add_argument("--port", type=int, default=8277, help="port to listen on; 0 takes a free one")
    values = parser.parse_args(argv)
    from swath.report.dashboard import Dashboard, serve

    serve(Dashboard(_storage(values), values.name), values.host, values.port, print)


def list_sweeps(argv: list[str]) -> None:
    """Carry out `swath list`."""
    values = _store_parser("list", "The sweeps in a store.").parse_args(argv)
    from swath.store.sweeps import sweep_names

    for name in sweep_names(_storage(values)):
        print(name)


def cache(argv: list[str]) -> None:
    """Carry out `swath cache`."""
    parser = _store_parser("cache", "What is kept of preprocessed images: ls lists it, rm frees it.")
    parser.add_argument("what", choices=["ls", "rm"])
    parser.add_argument("entries", nargs="*", help="rm: keys of entries, or their first digits")
    parser.add_argument("--chain", default="", help="rm: all entries of the chain with this label")
    parser.add_argument("--unused", action="store_true", help="rm: all entries that no sweep in the store uses")
    parser.add_argument("--dry-run", action="store_true", help="rm: say what would be removed, and remove nothing")
    parser.add_argument("--cache", default="", help="node-local folder of copies: listed, and freed, too")
    values = parser.parse_args(argv)
    from swath.core.text import size_text
    from swath.preprocess.cache import usage
    from swath.store.storage import Locations

    storage = _storage(values)
    local = Locations.of(storage.root, absolute(values.cache, "--cache") if values.cache else "").local_cache
    entries = usage.list_cached(storage)
    if values.what == "rm":
        entries = usage.chosen(entries, values.entries or [], values.chain, values.unused)
    for entry in entries:
        print(entry.line())
    total = size_text(sum(entry.size_bytes for entry in entries))
    if values.what == "ls":
        print(f"{total} in {storage.child('cache').root}")
        for line in usage.list_copies(local) if local and local.is_dir() else []:
            print(f"copy in {local}: {line}")
        return
    if not values.dry_run:
        usage.remove(storage, entries, local)
    print(f"{total} {'would be freed' if values.dry_run else 'freed'}")
