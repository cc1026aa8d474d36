"""`swath refit`: a chosen cell of a sweep, trained on all training images."""

from dataclasses import replace

from swath.cli.run import carry_out, prepare_run
from swath.cli.script import load_script, script_argument
from swath.core.errors import InputError, SwathError
from swath.store.states import State


def refit(argv: list[str]) -> None:
    """Carry out `swath refit SCRIPT CELL --full [options of the script]`."""
    script = script_argument(
        argv,
        "swath refit SCRIPT CELL --full",
        "Train a cell, once per seed, on all training images, none of which validate. CELL is its label, or best.",
    )
    words = [word for word in argv if word != "--full"]
    if len(words) < 2 or words[1].startswith("-") or len(words) == len(argv):
        raise InputError(
            'give the script, the cell and --full: swath refit SCRIPT "LABEL OR best" --full [options of the script]'
        )
    run = prepare_run(load_script(script), words[2:])
    from swath.analysis.load import read_results
    from swath.analysis.submissions.predict import best_cell
    from swath.plan.records import list_refits
    from swath.plan.refit import plan_refit

    label, sweep = words[1], run.plan.sweep
    if label == "best":
        planned_labels = {trial.cell.label for trial in run.plan.trials}
        label = best_cell(read_results(run.plan.locations.storage, sweep.name), planned_labels)
    plan = plan_refit(run.plan, label)
    if run.options.dry_run:
        print(f"would train {label!r} on all training images, {len(plan.lacking())} of {len(plan.trials)} seeds")
        return
    list_refits(plan)
    carry_out(replace(run, plan=plan))
    plan.refresh()
    failed = [t.label for t in plan.trials if plan.outcomes[t.spec.fingerprint].state != State.COMPLETE]
    if failed:
        raise SwathError(f"{', '.join(failed)} failed; start it again with --retry-failed.")
    storage = run.plan.locations.storage.root
    print(f'refitted: swath predict {sweep.name} --ensemble "refit {label}" --storage {storage}')
