from dataclasses import replace

import numpy as np
import pandas as pd

from swath.analysis import counts
from swath.analysis.results import TaskResults


def test_a_folds_training_images_are_those_that_do_not_validate_on_it(scenes_task: TaskResults) -> None:
    train = scenes_task.record.part("train")
    folds = scenes_task.folds.copy()
    folds[train] = np.arange(len(train)) % 7 % 3  # 3/7, 2/7 and 2/7 of them
    sizes = counts.part_sizes(replace(scenes_task, folds=folds))
    assert sum(sizes.validation) == len(train)
    assert [a + b for a, b in zip(sizes.training, sizes.validation, strict=True)] == [len(train)] * 3
    assert sizes.validation == tuple(np.bincount(folds[train]))
    assert sizes.test == len(scenes_task.record.part("test"))


def test_groups_of_one_do_not_count(scenes_task: TaskResults) -> None:
    sizes = scenes_task.record.rows["group"].value_counts()
    assert counts.grouped_images(scenes_task) == (sizes[sizes > 1].sum(), (sizes > 1).sum())


def test_shared_trials_cost_once(scenes_task: TaskResults) -> None:
    twice = replace(scenes_task, trials=(*scenes_task.trials, *scenes_task.trials))
    spent = counts.device_s_by_state(twice)
    assert spent == counts.device_s_by_state(scenes_task)
    assert sum(spent.values()) == sum(t.device_s for t in scenes_task.trials)
    assert counts.trials_by_host(scenes_task) == [("node", sum(t.outcome is not None for t in scenes_task.trials))]


def test_a_smaller_micro_batch_is_a_trial_out_of_memory(scenes_task: TaskResults) -> None:
    first, second, *rest = scenes_task.trials
    size = first.spec["recipe"]["batch_size"]
    halved = replace(first, metrics=first.metrics.assign(micro_batch=[size, *[size // 2] * (len(first.metrics) - 1)]))
    whole = replace(second, metrics=second.metrics.assign(micro_batch=size))
    assert counts.trials_out_of_memory(scenes_task) == 0
    assert counts.trials_out_of_memory(replace(scenes_task, trials=(halved, whole, *rest))) == 1


def test_what_is_left_is_counted_in_median_epochs(scenes_task: TaskResults) -> None:
    table = pd.DataFrame({"epoch": [1, 2, 3], "score": 0.5, "seconds": [90.0, 10.0, 12.0]})
    trial = replace(scenes_task.trials[0], metrics=table, outcome=None, epochs_planned=10)
    assert trial.left_s == 12 * 7
    assert np.isnan(replace(trial, metrics=table[:0]).left_s)
