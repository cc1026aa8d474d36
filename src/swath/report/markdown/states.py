"""The trials that did not finish: stopped early, failed, unfinished, not run. None is compared with a finished one."""

from collections.abc import Sequence

from swath.analysis.results import Results, TaskResults, TrialResult
from swath.core.text import count, shortened
from swath.report.format import code, duration, escape, score_text, table
from swath.report.sentences import is_abandoned, last_line
from swath.store.states import State

_WAITING_SHOWN = 20


def state_sections(results: Results, task: TaskResults, mark: str) -> list[str]:
    """Sections about the trials of a task that are not COMPLETE, and about cells finished in part."""
    makers = (_stopped, _failed, _unfinished)
    return [part for make in makers for part in make(results, task, mark)]


def _place(task: TaskResults, trial: TrialResult) -> list[str]:
    fold = [str(trial.fold)] if len(task.validation) > 1 else []
    return [escape(trial.cell), *fold, str(trial.seed)]


def _place_headers(task: TaskResults) -> list[str]:
    return ["cell", *(["fold"] if len(task.validation) > 1 else []), "seed"]


def _stopped(results: Results, task: TaskResults, mark: str) -> list[str]:
    trials = [t for t in task.trials if t.state == State.STOPPED]
    if not trials:
        return []
    trials.sort(key=lambda t: (-t.epochs, -_last_score(task, t)))
    rows = [
        [*_place(task, t), f"{t.epochs} of {t.epochs_planned}", score_text(_last_score(task, t)), duration(t.device_s)]
        for t in trials
    ]
    headers = [*_place_headers(task), "stopped at epoch", "score there", "device time"]
    note = "Their scores were taken at a rung, on a smaller budget: not comparable with finished cells."
    others = sorted({t.outcome.rule for t in trials if t.outcome and t.outcome.rule != results.sweep.rule})
    if others:
        note += (
            f" Some were stopped under another rule ({shortened([code(rule or 'none') for rule in others], 5)}); "
            "the sweep runs these again when it is started."
        )
    return [f"{mark} Stopped early", note, table(headers, rows, "l")]


def _last_score(task: TaskResults, trial: TrialResult) -> float:
    """From its logits where they are kept, else from its table of epochs."""
    if trial.scores or trial.metrics.empty:
        return task.score(trial)
    return float(trial.metrics["score"].iloc[-1])


def _failed(results: Results, task: TaskResults, mark: str) -> list[str]:
    rows = []
    for trial in task.trials:
        if trial.state == State.FAILED:
            rows.append([*_place(task, trial), f"{trial.epochs} of {trial.epochs_planned}", _error(trial)])
        elif trial.state == State.UNREADABLE:
            rows.append([*_place(task, trial), f"{trial.epochs} of {trial.epochs_planned}", escape(trial.problem)])
    if not rows:
        return []
    headers = [*_place_headers(task), "epochs done", "error"]
    note = "Run the sweep with `--retry-failed` to try failed trials again."
    return [f"{mark} Failed", note, table(headers, rows, "l" * len(headers))]


def _error(trial: TrialResult) -> str:
    line = last_line(trial.outcome) or "no message"
    return escape(line if len(line) <= 200 else line[:200] + " ...")


def _unfinished(results: Results, task: TaskResults, mark: str) -> list[str]:
    parts = []
    begun = [t for t in task.trials if t.state == State.UNFINISHED]
    if begun:
        rows = [
            [
                *_place(task, t),
                f"{t.epochs} of {t.epochs_planned}",
                score_text(_last_score(task, t)),
                f"running on {t.at_work}" if t.at_work else "interrupted",
            ]
            for t in begun
        ]
        headers = [*_place_headers(task), "epochs done", "score there", "now"]
        parts.append(table(headers, rows, "l" + "r" * (len(headers) - 2) + "l"))
    absent = [t for t in task.trials if t.state == State.NOT_RUN]
    dropped = [t for t in absent if is_abandoned(results, task, t)]
    waiting = [t for t in absent if t not in dropped]
    if waiting:
        parts.append(f"{count(len(waiting), 'trial')} yet to run:\n{cell_list(waiting, _WAITING_SHOWN)}")
    if dropped:
        cells = count(len({t.cell for t in dropped}), "cell")
        parts.append(
            f"{count(len(dropped), 'trial')} not run: further seeds of {cells} whose first was stopped or failed."
        )
    partial = _finished_in_part(task)
    if partial:
        parts.append(f"Finished on some folds only, and therefore not ranked: {'; '.join(partial)}.")
    title = "Unfinished and not run" if begun or absent else "Finished in part"
    return [f"{mark} {title}", *parts] if parts else []


def cell_list(trials: Sequence[TrialResult], limit: int = 1000) -> str:
    """A list of cells with the seeds among these trials, in their order."""
    seeds: dict[str, dict[str, None]] = {}
    for trial in trials:
        seeds.setdefault(trial.cell, {})[str(trial.seed)] = None
    lines = [f"- {code(c)}, seed{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}" for c, numbers in seeds.items()]
    more = [f"- and {count(len(lines) - limit, 'more cell')}"] if len(lines) > limit else []
    return "\n".join([*lines[:limit], *more])


def _finished_in_part(task: TaskResults) -> list[str]:
    folds = {t.fold for t in task.trials}
    done: dict[tuple[str, int], int] = {}
    for trial in task.trials:
        if trial.state == State.COMPLETE:
            done[trial.cell, trial.seed] = done.get((trial.cell, trial.seed), 0) + 1
    return [
        f"{code(cell)} seed {seed} ({n} of {len(folds)} folds)" for (cell, seed), n in done.items() if n < len(folds)
    ]
