"""One suite of what a store must do, on a folder and on S3."""

import os
import re
import threading
import time
from pathlib import Path

import pytest

from swath.core.errors import InputError, StoreError
from swath.store import layout
from swath.store.paths import absolute, is_uri
from swath.store.storage import Storage, write_atomic


def test_what_is_written_is_read_and_overwritten_whole(storage: Storage) -> None:
    for data in (b"long " * 100_000, b"short", b"", bytes(range(256))):
        storage.write("a/b/c.bin", data)
        assert storage.read("a/b/c.bin") == data
        assert storage.read_or_none("a/b/c.bin") == data
    assert storage.names("a/b") == ["c.bin"]  # nothing temporary stays


def test_part_of_an_object(storage: Storage) -> None:
    storage.write("a/b", bytes(range(100)))
    assert storage.read_part("a/b", 10, 5) == bytes(range(10, 15))
    assert storage.read_part("a/b", 98, 5) == bytes([98, 99])
    with pytest.raises(FileNotFoundError):
        storage.read_part("a/none", 0, 5)


def test_large_objects_arrive_whole(storage: Storage) -> None:
    data = os.urandom(12 * 2**20)  # more than one part of an S3 upload
    storage.write("large", data)
    assert storage.read("large") == data


def test_what_is_missing_is_file_not_found(storage: Storage) -> None:
    storage.write("a/b", b"x")
    for key in ("none", "a/none", "none/b"):
        with pytest.raises(FileNotFoundError):
            storage.read(key)
        assert storage.read_or_none(key) is None
        assert not storage.exists(key)


def test_only_objects_exist(storage: Storage) -> None:
    storage.write("a/b/c", b"x")
    assert storage.exists("a/b/c")
    assert not storage.exists("a/b")
    assert not storage.exists("a/b/c/d")
    assert not storage.exists("a/b/")


def test_names_are_direct_sorted_and_never_temporary(storage: Storage) -> None:
    for key in ("z", "b/2", "b/1", "b/deep/3", "B", "a.json", ".hidden.tmp", "b/.x.tmp"):
        storage.write(key, b"x")
    assert storage.names() == ["B", "a.json", "b", "z"]
    assert storage.names("b") == ["1", "2", "deep"]
    assert storage.names("none") == []
    assert storage.names("z") == []  # an object has nothing below it


def test_an_empty_store_has_no_names(storage: Storage) -> None:
    assert storage.names() == []


@pytest.mark.parametrize("key", ["splits/holdout(0.2,seed=0).parquet", "새/ü b+c%20&d=e"])
def test_keys_are_kept_to_the_letter(storage: Storage, key: str) -> None:
    storage.write(key, b"x")
    folder, _, name = key.partition("/")
    assert storage.names(folder) == [name]
    assert storage.read(key) == b"x"


def test_an_object_is_deleted_alone(storage: Storage) -> None:
    storage.write("a/b", b"1")
    storage.write("a/bc", b"2")
    storage.delete("a/b")
    assert not storage.exists("a/b")
    assert storage.read("a/bc") == b"2"


def test_deleting_a_key_takes_everything_below_it(storage: Storage) -> None:
    for key in ("a/b/c", "a/b/d/e", "a/bc", "f"):
        storage.write(key, b"x")
    storage.delete("a/b")
    assert storage.names("a") == ["bc"]
    assert storage.names() == ["a", "f"]
    assert storage.read_or_none("a/b/d/e") is None


def test_deleting_nothing_is_quiet(storage: Storage) -> None:
    storage.write("a/b", b"x")
    storage.delete("none")
    storage.delete("a/none/deep")
    assert storage.read("a/b") == b"x"


def test_a_child_is_the_store_below_a_key(storage: Storage) -> None:
    child = storage.child("a").child("b")
    child.write("c", b"x")
    assert storage.read("a/b/c") == b"x"
    assert child.names() == ["c"]
    assert Storage(child.root).read("c") == b"x"  # its root alone opens it, in another process too
    child.delete("c")
    assert not storage.exists("a/b/c")


def test_a_writable_store_has_no_problems_and_keeps_no_probe(storage: Storage) -> None:
    storage.write("a", b"x")
    assert storage.problems() == []
    assert storage.names() == ["a"]


def test_a_folder_tells_local_paths_and_free_space(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "not" / "yet"))
    assert storage.file("a/b") == tmp_path / "not" / "yet" / "a" / "b"
    free = storage.free_bytes()
    assert free is not None
    disk = os.statvfs(tmp_path)
    assert free == pytest.approx(disk.f_bavail * disk.f_frsize, rel=0.05)


def test_an_object_store_has_neither_local_paths_nor_free_space(s3_root: str) -> None:
    storage = Storage(s3_root)
    assert storage.free_bytes() is None
    with pytest.raises(StoreError, match=r"s3://swath-tests/root.* is no folder: a/b has no local path"):
        storage.file("a/b")


def test_a_trailing_slash_is_the_same_store(tmp_path: Path, s3_root: str) -> None:
    prefix, _, query = s3_root.partition("?")
    for root, slashed in ((str(tmp_path), f"{tmp_path}/"), (s3_root, f"{prefix}/?{query}")):
        Storage(root).write("slash/a", b"x")
        assert Storage(slashed).child("slash").read("a") == b"x"


def test_a_file_uri_is_a_folder(tmp_path: Path) -> None:
    storage = Storage(f"file://{tmp_path}/with%20space")
    storage.write("a/b", b"x")
    assert (tmp_path / "with space" / "a" / "b").read_bytes() == b"x"
    assert storage.file("a/b").is_file()


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    (problem,) = Storage(str(file / "store")).problems()
    given = re.escape(f"storage '{file / 'store'}' cannot be written:")
    assert re.search(rf"{given}.*Give a folder you may write to.*--storage", problem)
    assert file.read_text() == "not a folder"


def test_a_bucket_that_does_not_exist_is_reported(s3_root: str) -> None:
    (problem,) = Storage(s3_root.replace("swath-tests", "no-such-bucket")).problems()
    assert re.search(r"s3://no-such-bucket/.* cannot be written:.*bucket whose credentials are set.*--storage", problem)


def test_a_uri_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InputError, match=r"storage 'foo://x/y' cannot be opened: .*Give a folder, or s3://BUCKET"):
        Storage("foo://x/y")


def test_a_reader_never_sees_a_half_written_file(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    whole = {b"a" * 50_000, b"b" * 3_000_000}
    storage.write("x", b"a" * 50_000)
    seen: set[int] = set()
    broken: list[int] = []
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            data = storage.read("x")
            seen.add(len(data))
            if data not in whole:
                broken.append(len(data))

    reader = threading.Thread(target=read)
    reader.start()
    stop = time.monotonic() + 0.7
    while time.monotonic() < stop:
        for data in whole:
            storage.write("x", data)
    ended.set()
    reader.join()
    assert broken == []
    assert seen == {50_000, 3_000_000}
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_a_failed_write_leaves_the_old_file_and_nothing_temporary(tmp_path: Path) -> None:
    write_atomic(tmp_path / "x", b"old")
    with pytest.raises(TypeError):
        write_atomic(tmp_path / "x", "text")  # type: ignore[arg-type]
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_atomic(tmp_path / "folder", b"new")
    assert (tmp_path / "x").read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "x"]


@pytest.mark.parametrize(
    ("text", "uri"),
    [("s3://b/x", True), ("GS://b", True), ("/a/b", False), ("a:b", False), ("./s3:/x", False), ("c://x", False)],
)
def test_uris_are_told_from_paths(text: str, uri: bool) -> None:
    assert is_uri(text) is uri


def test_absolute_resolves_paths_and_leaves_uris(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert absolute("a/../b", "--out") == str(tmp_path.resolve() / "b")
    assert absolute("~/x", "--out") == str(tmp_path.resolve() / "home" / "x")
    assert absolute(Path("/a/b"), "--out") == "/a/b"
    assert absolute("s3://bucket/x", "--out") == "s3://bucket/x"


def test_a_relative_path_is_refused_inside_a_ray_job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    with pytest.raises(InputError, match=r"--storage is './store', a relative path: inside a Ray job.*absolute path"):
        absolute("./store", "--storage")
    assert absolute(str(tmp_path), "--storage") == str(tmp_path.resolve())
    assert absolute("s3://bucket/x", "--storage") == "s3://bucket/x"
    assert absolute("~", "--storage") == str(Path.home().resolve())


def test_keys_of_the_store() -> None:
    assert layout.trial_key("f", "trial.json") == "trials/f/trial.json"
    assert layout.trial_key("f") == "trials/f"
    assert layout.task_key("d", "splits/x") == "tasks/d/splits/x"
    assert layout.sweep_key("s", "sweep.json") == "sweeps/s/sweep.json"
