from dataclasses import replace

import pandas as pd

from swath.analysis.learning_curves import mean_curve
from swath.analysis.results import TaskResults, TrialResult
from swath.store.states import State


def with_scores(trial: TrialResult, state: State, *scores: float) -> TrialResult:
    table = pd.DataFrame({"epoch": range(1, len(scores) + 1), "score": scores})
    return replace(trial, state=state, metrics=table)


def test_the_mean_is_over_finished_trials_at_the_epochs_of_all(scenes_task: TaskResults) -> None:
    trial = scenes_task.trials[0]
    finished = [with_scores(trial, State.COMPLETE, 0.25, 0.5, 0.75), with_scores(trial, State.COMPLETE, 0.75, 1.0)]
    stopped = with_scores(trial, State.STOPPED, 0.0)
    epochs, scores = mean_curve([*finished, stopped])
    assert (epochs.tolist(), scores.tolist()) == ([1, 2], [0.5, 0.75])
    epochs, scores = mean_curve([stopped])
    assert (epochs.tolist(), scores.tolist()) == ([1], [0.0])
