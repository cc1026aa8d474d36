"""swath: hyperparameter and ablation sweeps for image classification on Ray."""

from swath import augment, losses, mix, ops, recipes, schedules, tasks
from swath.chains import chain
from swath.cli import main
from swath.recipe import Backbone, Recipe
from swath.sweep import Sweep, asha, grid, holdout, kfold, two_phase, union

__all__ = [
    "Backbone",
    "Recipe",
    "Sweep",
    "asha",
    "augment",
    "chain",
    "grid",
    "holdout",
    "kfold",
    "losses",
    "main",
    "mix",
    "ops",
    "recipes",
    "schedules",
    "tasks",
    "two_phase",
    "union",
]
__version__ = "0.1.0"
