"""The command line: a sweep script's own options, and the `swath` command."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

from swath.cli.output import report_folder, say
from swath.cli.run import _carry_out, _looked_at, _run_function
from swath.cli.script import SweepFunction, _load, _parsed, _script
from swath.cli.store_commands import READERS
from swath.core.errors import InputError, SwathError, raise_if_any
from swath.plan.problems import grid_problems
from swath.store.paths import absolute

USAGE = """swath: ablation and hyperparameter sweeps for image classification.

  swath check  SCRIPT [its options]   everything that can go wrong, before any GPU time is spent; cost estimate
  swath run    SCRIPT [its options]   the same as `python SCRIPT`
  swath audit  SCRIPT [its options]   duplicates, labels, images, train against test: what is wrong with the data
  swath refit  SCRIPT CELL --full     train a cell (its label, or best) on all training images
  swath report NAME                   leaderboard, ensembles and pictures of a sweep, from the store
  swath predict NAME --out FILE       a submission file from an ensemble of the sweep's trials
  swath import NAME MODEL --oof FILE  predictions of a model trained elsewhere, as a member of the ensembles
  swath blend FILE FILE ...           mix submission files
  swath submissions add FILE          keep the competition's score of a submission, beside what validation said
  swath compare A [B]                 what moved between two sweeps, or two dates of one, beyond noise
  swath dashboard NAME                the report as a live page of a running or finished sweep
  swath list                          the sweeps in a store
  swath detect label|finetune         boxes, and detectors fitted on them, for crops
  swath cache ls | rm                 what is kept of preprocessed images, and who uses it; freeing it

Every command explains itself with --help."""


def main(sweep_function: SweepFunction, argv: Sequence[str] | None = None) -> None:
    """Entry point of a sweep script: parse its options, run what the store lacks, write the report.

    Args:
        sweep_function: Returns the sweep; its parameters become options, its docstring the help.
        argv: Arguments instead of the command line's.
    """
    _exit_with(lambda: _run_function(sweep_function, sys.argv[1:] if argv is None else argv))


def command(argv: Sequence[str] | None = None) -> None:
    """The `swath` command."""
    words = list(sys.argv[1:] if argv is None else argv)
    commands = {"check": _check, "run": _run, "audit": _audit, "detect": _detect, "refit": _refit, **READERS}
    if not words or words[0] not in commands:
        asked_for_help = not words or words[0] in ("-h", "--help", "help")
        print(USAGE, file=sys.stdout if asked_for_help else sys.stderr)
        sys.exit(0 if asked_for_help else 2)
    _exit_with(lambda: commands[words[0]](words[1:]))


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
    _run_function(_load(_script(argv)), argv[1:], check_only=True)


def _run(argv: list[str]) -> None:
    _run_function(_load(_script(argv)), argv[1:])


def _audit(argv: list[str]) -> None:
    sweep, options = _parsed(_load(_script(argv)), argv[1:])
    from swath.cli.audit import audit_sweep
    from swath.store.storage import Places
    from swath.tasks.audit.write import terminal

    places = Places.of(absolute(options.storage, "--storage"))
    raise_if_any([*grid_problems(sweep), *places.storage.problems()])
    out = report_folder(options.out, sweep.name, places.storage)
    for found, folder in audit_sweep(sweep, places.storage, places.memory, out, say):
        print(terminal(found))
        print(f"audit: {folder}/audit.md")


def _refit(argv: list[str]) -> None:
    words = [word for word in argv if word != "--full"]
    script = _script(words)
    if len(words) < 2 or words[1].startswith("-") or len(words) == len(argv):
        raise InputError(
            'give the script, the cell and --full: swath refit SCRIPT "LABEL OR best" --full [options of the script]'
        )
    start = _looked_at(_load(script), words[2:])
    from swath.analysis.load import read_results
    from swath.analysis.submissions.predict import best_cell
    from swath.plan.records import list_refits
    from swath.plan.refit import plan_refit

    label, sweep = words[1], start.plan.sweep
    if label == "best":
        known = {trial.cell.label for trial in start.plan.trials}
        label = best_cell(read_results(start.plan.places.storage, sweep.name), known)
    plan = plan_refit(start.plan, label)
    if start.options.dry_run:
        print(f"would train {label!r} on all training images, {len(plan.lacking())} of {len(plan.trials)} seeds")
        return
    list_refits(plan)
    _carry_out(replace(start, plan=plan))
    plan.refresh()
    failed = [t.label for t in plan.trials if plan.outcomes[t.spec.fingerprint].state != "COMPLETE"]
    if failed:
        raise SwathError(f"{', '.join(failed)} failed; start it again with --retry-failed.")
    storage = start.plan.places.storage.root
    print(f'refitted: swath predict {sweep.name} --ensemble "refit {label}" --storage {storage}')


def _detect(argv: list[str]) -> None:
    from swath.cli import detect as detect_cli

    detect_cli.command(argv, lambda words: _parsed(_load(words[0]), words[1:]))
