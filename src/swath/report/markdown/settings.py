"""What was held fixed: data, split, rule, the settings no factor varies, versions and machines."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from swath.analysis import counts
from swath.analysis.results import Results, TaskResults
from swath.config.recipe import Recipe
from swath.core.description import to_json
from swath.core.metrics import METRIC_TITLES
from swath.core.text import count, shortened
from swath.report.format import code, duration, escape

_BAD_SHOWN = 20
_LABELS_SHOWN = 100
_NEUTRAL = defaultdict(lambda: None, to_json(Recipe()))
_ALWAYS_SHOWN = ("epochs", "batch_size", "optimizer", "lr", "weight_decay", "image_size")


def settings_section(results: Results, task: TaskResults) -> str:
    """The list of what the task's cells have in common."""
    items = {
        "Task": _task(task),
        "Images": _images(task),
        "Labels": f"{len(task.record.labels)}: {escape(shortened(task.record.labels, _LABELS_SHOWN))}",
        "Groups": _groups(task),
        "Bad images": _bad(task),
        "Split": f"{code(results.sweep.split)}; data fingerprint `{task.data}`",
        "Seeds": ", ".join(map(str, results.sweep.seeds)),
        "Stopping rule": code(results.sweep.rule) if results.sweep.rule else "none",
        **_shared_settings(task),
        "Weights": _weights(task),
        "Out of memory": _out_of_memory(task),
        "Device time": _device_time(task),
        "Devices": _counted(counts.trials_by_device(task)),
        "Hosts": _counted(counts.trials_by_host(task)),
        "Versions": _versions(task),
        "Notes": escape(" ".join(n for n in results.sweep.notes if n.startswith(f"{task.record.label}:"))),
    }
    return "\n".join(f"- {name}: {text}" for name, text in items.items() if text)


def _task(task: TaskResults) -> str:
    record = task.record
    return f"{escape(task.label)}, {record.kind}, scored by {METRIC_TITLES[record.metric]}"


def _images(task: TaskResults) -> str:
    sizes = counts.part_sizes(task)
    text = f"{_range(sizes.training)} train, {_range(sizes.validation)} validate, {sizes.test:,} test"
    folds = len(sizes.validation)
    return text + (f" (in each of {folds} folds)" if folds > 1 else "")


def _range(values: Sequence[int]) -> str:
    if not values:
        return "0"
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _groups(task: TaskResults) -> str:
    images, groups = counts.grouped_images(task)
    if not groups:
        return "every image stands alone"
    return (
        f"{count(images, 'image')} in {count(groups, 'group')} of more than one (the task's groups "
        "and identical files), never divided by a split"
    )


def _bad(task: TaskResults) -> str:
    rows = task.record.rows
    bad = rows[rows["bad"] != ""]
    if bad.empty:
        return "none"
    named = [f"{code(row.id)} ({row.split}: {escape(row.bad)})" for row in bad.head(_BAD_SHOWN).itertuples()]  # type: ignore[arg-type]
    more = f" and {len(bad) - _BAD_SHOWN} more" if len(bad) > _BAD_SHOWN else ""
    return f"{len(bad)} cannot be used: {', '.join(named)}{more}. A bad test image is submitted with the training prior"


def _shared_settings(task: TaskResults) -> dict[str, str]:
    """Parts of the specs that are the same in every trial that has begun."""
    specs = [t.spec for t in task.trials if "recipe" in t.spec]  # imports have none
    if not specs:
        return {}
    settings: dict[str, str] = {}
    recipes = [spec["recipe"] for spec in specs]
    fields = [f for f in recipes[0] if f not in ("name", "version")]
    same = [
        f"{f} {_value(recipes[0][f])}"
        for f in fields
        if _all_equal(r.get(f) for r in recipes) and (f in _ALWAYS_SHOWN or recipes[0][f] != _NEUTRAL[f])
    ]
    settings["Recipe"] = ", ".join(same)
    for name in ("preprocess", "backbone", "loss", "threads"):
        values = [spec[name] for spec in specs]
        if _all_equal(values):
            settings[name.capitalize()] = escape(_value(values[0]))
        elif name == "preprocess" and _all_equal(chain[-1] for value in values for chain in _chains(value)):
            settings["Every preprocessing chain ends in"] = escape(_value(_chains(values[0])[0][-1]))
    return settings


def _chains(preprocess: Any) -> list[Any]:
    """The chain of a spec's preprocessing, or those of training and of test images."""
    return [preprocess["train"], preprocess["test"]] if isinstance(preprocess, dict) else [preprocess]


def _all_equal(values: Iterable[Any]) -> bool:
    first, *others = values
    return all(value == first for value in others)


def _value(value: Any) -> str:
    """A description's JSON as text: `focal(gamma=2, alpha=0.25)`, chains joined by `|`."""
    if isinstance(value, dict):
        fields = [f"{k}={_value(v)}" for k, v in value.items() if k not in ("name", "version")]
        return value["name"] + (f"({', '.join(fields)})" if fields else "")
    if isinstance(value, list):
        return "|".join(map(_value, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _weights(task: TaskResults) -> str:
    """What each backbone started from: the resolved weight tag or file hash."""
    by_backbone: dict[str, str] = {}
    for trial in task.trials:
        if "weights" in trial.spec:
            name: str = trial.factors.get("backbone") or trial.spec["backbone"]["model"]
            by_backbone.setdefault(name, trial.spec["weights"])
    return "; ".join(f"{escape(name)} from {code(weights)}" for name, weights in by_backbone.items())


def _out_of_memory(task: TaskResults) -> str:
    smaller = counts.trials_out_of_memory(task)
    return f"{count(smaller, 'trial')} went on in smaller passes that make the same steps" if smaller else ""


def _device_time(task: TaskResults) -> str:
    spent = counts.device_s_by_state(task)
    parts = [f"{duration(seconds)} {state}" for state, seconds in spent.items() if seconds]
    return f"{duration(sum(spent.values()))} ({', '.join(parts)})" if parts else ""


def _counted(trials_by_name: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{escape(name)} ({count(trials, 'trial')})" for name, trials in trials_by_name)


def _versions(task: TaskResults) -> str:
    by_package: dict[str, dict[str, None]] = {}
    for trial in task.trials:
        for package, version in ((trial.outcome and trial.outcome.versions) or {}).items():
            by_package.setdefault(package, {})[version or "none"] = None
    return ", ".join(f"{package} {' and '.join(versions)}" for package, versions in by_package.items())
