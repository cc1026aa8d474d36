"""The `swath` command, and the entry point of sweep scripts."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import swath
from swath.cli import detect, refit, store_commands
from swath.cli.run import run_script
from swath.cli.script import SweepFunction, load_script, script_argument
from swath.core.errors import InputError, SwathError


def main(sweep_function: SweepFunction, argv: Sequence[str] | None = None) -> None:
    """Entry point of a sweep script: parse its options, run what the store lacks, write the report.

    Args:
        sweep_function: Returns the sweep; its parameters become options, its docstring the help.
        argv: Arguments instead of the command line's.
    """
    _exit_with(lambda: run_script(sweep_function, sys.argv[1:] if argv is None else argv))


def command(argv: Sequence[str] | None = None) -> None:
    """The `swath` command.

    Args:
        argv: Arguments instead of the command line's.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in COMMANDS:
        _exit_with(lambda: COMMANDS[words[0]].run(words[1:]))
    elif words == ["--version"]:
        print(f"swath {swath.__version__}")
    else:
        asked_for_help = not words or words[0] in ("-h", "--help", "help")
        print(_usage(), file=sys.stdout if asked_for_help else sys.stderr)
        sys.exit(0 if asked_for_help else 2)


def _exit_with(work: Callable[[], None]) -> None:
    """Run; print swath's own errors without a traceback and exit with 2 (bad input) or 1."""
    try:
        work()
    except InputError as error:
        count = len(error.problems)
        print(f"swath: {count} problem{'s' if count > 1 else ''}:", file=sys.stderr)
        for problem in error.problems:
            print(f"  - {problem}", file=sys.stderr)
        sys.exit(2)
    except (SwathError, OSError) as error:
        print(f"swath: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\nswath: interrupted; start it again to go on where it stopped.", file=sys.stderr)
        sys.exit(130)


def _check(argv: list[str]) -> None:
    script = script_argument(argv, "swath check SCRIPT", "Print what a sweep would do, and everything that is wrong.")
    run_script(load_script(script), argv[1:], check_only=True)


def _run(argv: list[str]) -> None:
    script = script_argument(argv, "swath run SCRIPT", "Run a sweep: the same as `python SCRIPT`.")
    run_script(load_script(script), argv[1:])


def _audit(argv: list[str]) -> None:
    from swath.cli.audit import audit  # it loads what looks at images, which no other command needs

    audit(argv)


@dataclass(frozen=True)
class Command:
    """A word after `swath`.

    Attributes:
        usage: What follows it, for the list of commands.
        summary: What it does, in one line.
        run: Carries it out; takes the words after it.
    """

    usage: str
    summary: str
    run: Callable[[list[str]], None]


COMMANDS = {
    "check": Command(
        "SCRIPT [its options]", "everything that can go wrong, before any GPU time is spent; cost estimate", _check
    ),
    "run": Command("SCRIPT [its options]", "the same as `python SCRIPT`", _run),
    "audit": Command(
        "SCRIPT [its options]", "duplicates, labels, images, train against test: what is wrong with the data", _audit
    ),
    "refit": Command("SCRIPT CELL --full", "train a cell (its label, or best) on all training images", refit.refit),
    "report": Command("NAME", "leaderboard, ensembles and pictures of a sweep, from the store", store_commands.report),
    "predict": Command(
        "NAME --out FILE", "a submission file from an ensemble of the sweep's trials", store_commands.predict
    ),
    "import": Command(
        "NAME MODEL --oof FILE",
        "predictions of a model trained elsewhere, as a member of the ensembles",
        store_commands.import_model,
    ),
    "blend": Command("FILE FILE ...", "mix submission files", store_commands.blend),
    "submissions": Command(
        "add FILE",
        "keep the competition's score of a submission, beside its validation score",
        store_commands.submissions,
    ),
    "compare": Command(
        "A [B]", "what moved between two sweeps, or two dates of one, beyond noise", store_commands.compare
    ),
    "replay": Command(
        "NAME --stop RULE",
        "what another stopping rule, fewer seeds or more workers would have cost and chosen",
        store_commands.replay,
    ),
    "dashboard": Command("NAME", "the report as a live page of a running or finished sweep", store_commands.dashboard),
    "list": Command("", "the sweeps in a store", store_commands.list_sweeps),
    "detect": Command("label|finetune", "boxes, and detectors fitted on them, for crops", detect.command),
    "cache": Command(
        "ls | rm", "what is kept of preprocessed images, and who uses it; freeing it", store_commands.cache
    ),
}


def _usage() -> str:
    lines = [
        f"  {f'swath {name:<6} {command.usage}':<35} {command.summary}".rstrip() for name, command in COMMANDS.items()
    ]
    return "\n".join(
        [
            "swath: ablation and hyperparameter sweeps for image classification.",
            "",
            *lines,
            "",
            "Every command explains itself with --help; swath --version prints the version.",
        ]
    )
