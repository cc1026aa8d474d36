"""The replay of a sweep under other rules, as Markdown and as JSON."""

import json

from swath.analysis.replay.choices import Choice, Ranking
from swath.analysis.replay.replay import KNOWN_AT_LEAST, Replay, ReplayedRule
from swath.analysis.replay.schedule import ReplayedTrial
from swath.core.errors import InputError
from swath.core.text import count, shortened
from swath.report.format import code, duration, escape, score_text, table, wrapped
from swath.report.report_json import json_value
from swath.store.states import State

_LISTED = 8


def replay_text(replay: Replay) -> str:
    """The replay as Markdown.

    Raises:
        InputError: Nearly everything of every rule that was asked for is unknown.
    """
    asked = [r for r in replay.rules if r.rule != "none"] or list(replay.rules)
    if all(r.is_refused for r in asked):
        raise InputError([_refusal(replay, r) for r in asked])
    parts = [
        f"# {code(replay.sweep)} replayed",
        "Who would have started, stopped and won, from the stored score and seconds of every epoch; nothing was "
        f"trained. The sweep ran under {code(replay.own_rule)}.",
        "## Cost",
        _cost(replay),
        *(part for ranking in replay.full for part in _task(replay, ranking)),
        "## To know",
        "\n".join(f"- {note}" for note in _notes(replay)),
    ]
    return "\n\n".join(map(wrapped, parts)) + "\n"


def replay_json(replay: Replay) -> str:
    """The numbers of the replay, with what becomes of every trial."""
    content = {
        "sweep": replay.sweep,
        "own_rule": replay.own_rule,
        "full": replay_rankings(replay.full),
        "rules": [
            {
                "rule": rule.rule,
                "workers": rule.workers,
                "seeds": rule.seeds,
                "states": rule.states,
                "epochs": rule.epochs,
                "unknown_epochs": rule.unknown_epochs,
                "device_s": rule.device_s,
                "device_share": rule.device_share,
                "wall_s": rule.wall_s,
                "utilisation": rule.utilisation,
                "refused": rule.is_refused,
                "choices": [] if rule.is_refused else rule.choices,
                "trials": [_trial(t) for t in rule.trials],
            }
            for rule in replay.rules
        ],
    }
    return json.dumps(json_value(content), indent=1, ensure_ascii=False)


def replay_rankings(full: tuple[Ranking, ...]) -> list[dict[str, object]]:
    """The cells at their full budget, and the pairs behind each comparison."""
    return [
        {
            "task": ranking.task,
            "best": ranking.best,
            "scores": dict(ranking.scores),
            "pairs": [{"factor": f, "level": level, "pairs": n} for (f, level), n in ranking.pairs.items()],
        }
        for ranking in full
    ]


def _trial(replayed: ReplayedTrial) -> dict[str, object]:
    trial = replayed.trial
    return {
        "data": trial.data,
        "cell": trial.cell,
        "seed": trial.seed,
        "fold": trial.fold,
        "phase": replayed.phase,
        "state": replayed.state,
        "epochs": replayed.epochs,
        "unknown_epochs": replayed.unknown_epochs,
        "start_s": replayed.start_s,
        "end_s": replayed.end_s,
    }


def _cost(replay: Replay) -> str:
    headers = ["Rule", "Workers", "Seeds", "Finished", "Stopped", "Failed", "Unknown", "Epochs"]
    headers += ["Device time", "Of full", "Wall time", "Busy"]
    rows = [
        [
            *_place(rule),
            *(f"{rule.states.get(s, 0):,}" for s in (State.COMPLETE, State.STOPPED, State.FAILED, State.UNFINISHED)),
            f"{rule.epochs:,}",
            duration(rule.device_s),
            _share(rule.device_share),
            duration(rule.wall_s),
            _share(rule.utilisation),
        ]
        for rule in replay.rules
    ]
    return table(headers, rows, "lrrrrrrrrrrr")


def _place(rule: ReplayedRule) -> list[str]:
    return [escape(rule.rule), str(rule.workers), str(len(rule.seeds))]


def _share(share: float) -> str:
    return f"{100 * share:.0f} %"


def _task(replay: Replay, full: Ranking) -> list[str]:
    """What each rule chooses of one task."""
    if not full.scores:
        return [f"## {escape(full.task)}", "No cell has finished on every fold: there is nothing to compare with."]
    at = replay.full.index(full)
    headers = ["Rule", "Workers", "Seeds", "Chosen", "Regret", "Best kept", f"Top {len(full.top)} kept"]
    headers += ["Rank corr.", "Cells to the end", "Comparisons", "Pairs", "Cells unknown"]
    known = [rule for rule in replay.rules if not rule.is_refused]
    rows = [[*_place(rule), *_chosen(rule.choices[at], full)] for rule in known]
    cells = count(len(full.scores), "cell")
    best = f"Of the {cells} that the store knows at the full budget {code(full.best)} is best "
    best += f"({score_text(full.scores[full.best])})."
    refused = [_refusal(replay, rule) for rule in replay.rules if rule.is_refused]
    lists = [_survivors(rule, rule.choices[at]) for rule in known if rule.rule != "none"]
    return [
        f"## {escape(full.task)}: what it would have chosen",
        best,
        *([table(headers, rows, "lrrlrlrrrrrr")] if rows else []),
        *(["\n".join(f"- {line}" for line in dict.fromkeys(lists))] if lists else []),
        *refused,
    ]


def _chosen(choice: Choice, full: Ranking) -> list[str]:
    return [
        escape(choice.winner) or "none",
        "-" if choice.regret != choice.regret else f"{100 * choice.regret:.2f}",
        "yes" if choice.best_kept else "no",
        f"{choice.top_kept} of {choice.top}",
        "-" if choice.rank_correlation != choice.rank_correlation else f"{choice.rank_correlation:.2f}",
        f"{len(choice.survivors)} of {len(full.scores)}",
        f"{choice.comparisons} of {len(full.pairs)}",
        f"{choice.pairs:,} of {sum(full.pairs.values()):,}",
        str(choice.unknown),
    ]


def _survivors(rule: ReplayedRule, choice: Choice) -> str:
    cells = shortened([code(cell) for cell in choice.survivors], _LISTED) or "none"
    seeds = count(len(rule.seeds), "seed")
    return f"To the end under {code(rule.rule)}, {count(rule.workers, 'worker')}, {seeds}: {cells}."


def _refusal(replay: Replay, rule: ReplayedRule) -> str:
    return (
        f"{rule.rule} on {count(rule.workers, 'worker')} would train {rule.states.get(State.UNFINISHED, 0)} of its "
        f"{count(rule.started, 'trial')} beyond their stored curves, more than {100 * (1 - KNOWN_AT_LEAST):.0f} %, so "
        f"what it would choose is unknown. Replay a rule that stops no later than {replay.own_rule} did, or let the "
        "sweep run without a rule first."
    )


def _notes(replay: Replay) -> list[str]:
    notes = [
        "Time is that of training and validating, as measured where each trial ran; the start of processes, the "
        "cache and predictions of test images are not in it. *Busy* is the share of the workers' time that they train.",
        "*Regret* is the best cell's score less that of the chosen one, both as the store has them at the full budget, "
        "in points. These scores carry the noise of their seeds and images: a regret within it is none.",
        "*Comparisons* and *pairs* are what verdicts can rest on: trials matched in all but one factor that ran to "
        "the end for no score of their own.",
    ]
    if any(rule.unknown_epochs for rule in replay.rules):
        notes.append(
            "*Unknown* trials go on beyond their stored curves, because the sweep stopped them or did not run them. "
            "Nothing of them is extrapolated: each is counted to its last epoch, the most it can cost, at the trial's "
            "median (else its cell's); it competes at no further rung and cannot be chosen. The chosen cell is the "
            "best of those that are known."
        )
    own = [rule for rule in replay.rules if rule.rule == replay.own_rule and rule.differing]
    notes += [
        f"Replayed under its own rule on {count(rule.workers, 'worker')}, {count(rule.differing, 'trial')} of "
        f"{len(rule.trials)} end otherwise than in the store: what a rung compares depends on who gets there first, "
        "and the store does not say how many workers there were."
        for rule in own[:1]
    ]
    if replay.searched:
        notes.append(
            "The search asked for points by the scores before them; under another rule it had asked for others."
        )
    return notes
