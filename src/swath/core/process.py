"""Settings of a whole process, made when swath is imported: before the libraries that read them."""

import os

SILENT_LIBRARIES = {
    "HF_HUB_DISABLE_TELEMETRY": "1",  # read when huggingface_hub is first imported, which timm does
    "NO_ALBUMENTATIONS_UPDATE": "1",  # it asks for a newer release at import
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "YOLO_OFFLINE": "true",  # ultralytics would look up hosts,
    "YOLO_AUTOINSTALL": "false",  # install what it misses,
    "YOLO_VERBOSE": "false",
}
"""Environment variables by which no library reports, looks for releases, or installs anything."""


def silence_libraries() -> None:
    """Set the variables that are not set."""
    for name, value in SILENT_LIBRARIES.items():
        os.environ.setdefault(name, value)


def hide_gpus(gpus: float | None) -> None:
    """Keep this process off the GPUs where it was given none; before torch asks for them.

    Ray leaves them visible to work that takes none, and torch itself makes a context on the first of them, with half a
    gigabyte of its memory, as soon as an optimizer of parameters on the CPU makes a step (2.14).

    Args:
        gpus: What it was given: 0 hides them all.
    """
    if gpus == 0:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
