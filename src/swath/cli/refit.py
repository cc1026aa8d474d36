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
    from swath.plan.progress import read_progress
    from swath.plan.records import list_refits
    from swath.plan.refit import plan_refit

    label, plan = words[1], run.progress.plan
    storage, name = plan.locations.storage, plan.sweep.name
    if label == "best":
        label = best_cell(read_results(storage, name), {trial.cell.label for trial in plan.trials})
    progress = read_progress(plan_refit(plan, label))
    trials = progress.plan.trials
    if run.options.dry_run:
        print(f"would train {label!r} on all training images, {len(progress.lacking())} of {len(trials)} seeds")
        return
    list_refits(progress.plan)
    carry_out(replace(run, progress=progress))
    progress.refresh()
    failed = [t.label for t in trials if progress.outcomes[t.spec.fingerprint].state != State.COMPLETE]
    if failed:
        raise SwathError(f"{', '.join(failed)} failed; start it again with --retry-failed.")
    print(f'refitted: swath predict {name} --ensemble "refit {label}" --storage {storage.root}')
