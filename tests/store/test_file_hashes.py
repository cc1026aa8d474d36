import hashlib
import os
from pathlib import Path

import pytest

from swath.store import file_hashes as contents
from swath.store.file_hashes import FileInfo, file_digest, inspect


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(5):
        (folder / f"{i}.png").write_bytes(b"content %d" % (i % 4))
    return [str(folder / f"{i}.png") for i in range(5)]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files read, in the order of reading; the real digest still runs."""
    names: list[str] = []

    def counted(path: str | Path) -> str:
        names.append(Path(path).name)
        return file_digest(path)

    monkeypatch.setattr(contents, "file_digest", counted)
    return names


def blake2b(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def test_digests_are_of_the_content_in_the_order_asked(files: list[str], tmp_path: Path) -> None:
    found = inspect(files, tmp_path / "memory")
    assert found == [FileInfo(blake2b(b"content %d" % (i % 4))) for i in range(5)]
    assert found[0] == found[4] != found[1]  # equal content, whatever the name
    assert inspect(files[::-1], tmp_path / "memory") == found[::-1]


def test_an_unchanged_file_is_read_once(files: list[str], tmp_path: Path, reads: list[str]) -> None:
    first = inspect(files, tmp_path / "memory")
    assert sorted(reads) == [f"{i}.png" for i in range(5)]
    assert inspect(files, tmp_path / "memory") == first
    assert len(reads) == 5
    assert inspect(files, tmp_path / "other memory") == first
    assert len(reads) == 10


def test_only_new_and_changed_files_are_read(files: list[str], tmp_path: Path, reads: list[str]) -> None:
    inspect(files[:3], tmp_path / "memory")
    reads.clear()
    changed = Path(files[1])
    before = changed.stat()
    changed.write_bytes(b"CONTENT 1")  # the same size
    os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert changed.stat().st_size == before.st_size
    found = inspect(files, tmp_path / "memory")
    assert sorted(reads) == ["1.png", "3.png", "4.png"]
    assert found[1].digest == blake2b(b"CONTENT 1")


def test_a_file_of_another_size_is_read_again_though_its_time_is_old(
    files: list[str], tmp_path: Path, reads: list[str]
) -> None:
    inspect(files, tmp_path / "memory")
    reads.clear()
    before = Path(files[2]).stat()
    Path(files[2]).write_bytes(b"longer content")
    os.utime(files[2], ns=(before.st_atime_ns, before.st_mtime_ns))
    assert inspect(files, tmp_path / "memory")[2].digest == blake2b(b"longer content")
    assert reads == ["2.png"]


def test_what_cannot_be_an_image_is_told_and_looked_at_again(files: list[str], tmp_path: Path) -> None:
    empty, folder, missing = (tmp_path / "images" / name for name in ("empty.png", "folder.png", "missing.png"))
    empty.touch()
    folder.mkdir()
    asked = [str(empty), files[0], str(folder), str(missing), str(empty / "below")]
    found = inspect(asked, tmp_path / "memory")
    assert found == [
        FileInfo("", "is empty (zero bytes)"),
        FileInfo(blake2b(b"content 0")),
        FileInfo("", "is no file"),
        FileInfo("", "is missing"),
        FileInfo("", "cannot be read: Not a directory"),
    ]
    missing.write_bytes(b"here now")
    assert inspect(asked, tmp_path / "memory")[3] == FileInfo(blake2b(b"here now"))
    Path(files[0]).unlink()  # remembered, and gone
    assert inspect(asked, tmp_path / "memory")[1] == FileInfo("", "is missing")


def test_a_damaged_memory_costs_one_reading(files: list[str], tmp_path: Path, reads: list[str]) -> None:
    first = inspect(files, tmp_path / "memory")
    (index,) = (tmp_path / "memory").iterdir()
    index.write_bytes(index.read_bytes()[:-20])
    assert inspect(files, tmp_path / "memory") == first
    assert len(reads) == 10
    inspect(files, tmp_path / "memory")
    assert len(reads) == 10


def test_nothing_asked_is_nothing_found(tmp_path: Path) -> None:
    assert inspect([], tmp_path / "memory") == []
    assert not (tmp_path / "memory").exists()
