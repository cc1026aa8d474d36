"""Model files from their official release: downloaded once per machine, checked, then found."""

import http.client
import shutil
import urllib.request
import uuid
from pathlib import Path

from filelock import FileLock

from swath.config.releases import Release
from swath.core.errors import InputError
from swath.store.file_hashes import file_sha256
from swath.store.paths import downloads_folder

_TIMEOUT_S = 30.0


def fetch(release: Release, cure: str, folder: Path | None = None) -> Path:
    """Path of a release's file on this machine, downloading it when it is not there yet.

    Workers that ask at the same moment wait for one download. Only a whole file of the right content gets its name.

    Args:
        release: Which file.
        cure: What the user can do instead of downloading, e.g. `give SuperRes(weights=PATH)`.
        folder: Where files are kept; None is `paths.downloads_folder()`.

    Raises:
        InputError: It cannot be had; says from where it was wanted, where it belongs, and the cure.
    """
    folder = folder or downloads_folder()
    path = folder / release.file
    try:
        if _is_whole(path, release):
            return path
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{release.file}.lock"):
            if not _is_whole(path, release):
                _download(release, path)
    except (OSError, http.client.HTTPException) as error:
        raise InputError(
            f"{release.file} ({release.size_bytes / 1e6:.1f} MB) cannot be downloaded from {release.url}: {error}. "
            f"Put the file into {folder} by hand (SWATH_DOWNLOADS names another folder), or {cure}."
        ) from error
    return path


def _is_whole(path: Path, release: Release) -> bool:
    return path.is_file() and path.stat().st_size == release.size_bytes and file_sha256(path) == release.sha256


def _download(release: Release, path: Path) -> None:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with urllib.request.urlopen(release.url, timeout=_TIMEOUT_S) as source, temporary.open("wb") as target:
            shutil.copyfileobj(source, target, 2**20)
        got = file_sha256(temporary)
        if got != release.sha256:
            raise OSError(
                f"what arrived ({temporary.stat().st_size:,} bytes, sha256 {got[:12]}...) is not the release "
                f"(sha256 {release.sha256[:12]}...)"
            )
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
