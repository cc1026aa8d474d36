"""swath: hyperparameter and ablation sweeps for image classification on Ray."""

from swath import augment, losses, mix, ops, recipes, schedules, tasks
from swath.chains import chain
from swath.cli import main
from swath.grids import grid
from swath.recipe import Backbone, Recipe
from swath.search import choice, integers, loguniform, optuna, random, uniform
from swath.sweep import Sweep, asha, holdout, kfold, two_phase, union

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
