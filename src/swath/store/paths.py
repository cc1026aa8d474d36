"""Paths and URIs as users give them, and the folders of this machine that swath uses."""

import os
import re
import tempfile
from pathlib import Path

from swath.core.errors import InputError

_URI = re.compile(r"^[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def is_uri(text: str) -> bool:
    """True for `s3://bucket/x` and the like, False for a path."""
    return bool(_URI.match(text))


def inside_ray_job() -> bool:
    """True in the driver of a submitted Ray job: relative paths would land in its scratch package and vanish."""
    return "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ


def absolute(text: str | os.PathLike[str], option: str) -> str:
    """An absolute path or the URI itself.

    Args:
        text: A path or URI as the user gave it.
        option: The option it came from, for the message.

    Raises:
        InputError: The path is relative inside a Ray job.
    """
    given = os.fspath(text)
    if is_uri(given):
        return given
    if not given or "\0" in given:
        raise InputError(f"{option} is {given!r}: give the path of a folder or file.")
    try:
        path = Path(given).expanduser()
    except RuntimeError as error:
        raise InputError(f"{option} is {given!r}: {error}") from error
    if not path.is_absolute() and inside_ray_job():
        raise InputError(
            f"{option} is {given!r}, a relative path: inside a Ray job it would lie in the job's scratch package "
            "and vanish with it. Give an absolute path that every node can reach, or a URI such as s3://bucket/swath."
        )
    return str(path.resolve())


def node_cache_folder() -> Path:
    """Default node-local cache folder when the storage is no folder: below the system's temporary folder."""
    return Path(tempfile.gettempdir()) / f"swath-cache-{os.getuid()}"


def downloads_folder() -> Path:
    """Where downloaded model files are kept on this machine: SWATH_DOWNLOADS, or swath's place in the user's cache."""
    chosen = os.environ.get("SWATH_DOWNLOADS")
    if chosen:
        return Path(chosen).expanduser().absolute()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path("~/.cache").expanduser()) / "swath"


def tool_folder(tool: str) -> Path:
    """Where a library may keep files of its own on this machine: below the system's temporary folder."""
    return Path(tempfile.gettempdir()) / f"swath-{tool}-{os.getuid()}"
