"""No library reports anywhere: the variables are set before it is imported, and the user's own stay."""

import os
import subprocess
import sys

from swath.core.process import SILENT_LIBRARIES

CODE = """
import os, sys
import swath
print(sorted(set(sys.modules) & {"albumentations", "huggingface_hub", "ray", "torch", "ultralytics"}))
print(*(os.environ[name] for name in sys.argv[1:]))
import albumentations, huggingface_hub.constants, ray._common.usage.usage_lib as usage
print(huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY, usage.usage_stats_enabled())
"""


def test_importing_swath_silences_libraries_that_are_imported_later() -> None:
    names = list(SILENT_LIBRARIES)
    kept = {name: value for name, value in os.environ.items() if name not in names}
    command = [sys.executable, "-c", CODE, *names]
    done = subprocess.run(
        command, env=kept | {"YOLO_VERBOSE": "true"}, capture_output=True, text=True, check=True, timeout=120
    )
    imported, values, silent = done.stdout.splitlines()
    assert imported == "[]"
    assert values.split() == ["true" if name == "YOLO_VERBOSE" else SILENT_LIBRARIES[name] for name in names]
    assert silent == "True False"
