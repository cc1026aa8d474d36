"""swath: hyperparameter and ablation sweeps for image classification on Ray.

The public names. Each is imported when it is first asked for: workers import parts of swath in every process.
"""

import importlib
from typing import TYPE_CHECKING, Any

from swath.core.process import silence_libraries

if TYPE_CHECKING:
    from swath import tasks
    from swath.cli.main import main
    from swath.config import augment, losses, mix, ops, recipes, schedules
    from swath.config.chains import chain
    from swath.config.grids import grid
    from swath.config.recipe import Backbone, Recipe
    from swath.config.search import choice, integers, loguniform, optuna, random, uniform
    from swath.config.sweep import Sweep, asha, holdout, kfold, two_phase, union

_HOMES = {
    "cli.main": ("main",),
    "config.chains": ("chain",),
    "config.grids": ("grid",),
    "config.recipe": ("Backbone", "Recipe"),
    "config.search": ("choice", "integers", "loguniform", "optuna", "random", "uniform"),
    "config.sweep": ("Sweep", "asha", "holdout", "kfold", "two_phase", "union"),
}
_MODULES = {name: f"config.{name}" for name in ("augment", "losses", "mix", "ops", "recipes", "schedules")}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Backbone",
    "Recipe",
    "Sweep",
    "asha",
    "augment",
    "chain",
    "choice",
    "grid",
    "holdout",
    "integers",
    "kfold",
    "loguniform",
    "losses",
    "main",
    "mix",
    "ops",
    "optuna",
    "random",
    "recipes",
    "schedules",
    "tasks",
    "two_phase",
    "uniform",
    "union",
]
__version__ = "0.1.0"
silence_libraries()


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOME_OF.get(name)
    module = importlib.import_module(f"{__name__}.{home or _MODULES.get(name, name)}")
    globals()[name] = getattr(module, name) if home else module
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
