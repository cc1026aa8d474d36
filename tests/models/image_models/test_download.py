import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from swath.config import releases
from swath.config.releases import Release
from swath.core.errors import InputError
from swath.models.image_models.download import fetch
from swath.store.paths import downloads_folder

CONTENT = bytes(range(256)) * 40_000


class Server:
    """A real server on this machine that counts what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                if self.path == "/gone":
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(CONTENT)))
                self.end_headers()
                self.wfile.write(CONTENT[: len(CONTENT) // 2] if self.path == "/cut" else CONTENT)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def release(self, path: str = "/model") -> Release:
        url = f"http://127.0.0.1:{self.http.server_port}{path}"
        return Release("model.pth", url, hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    started = Server()
    yield started
    started.http.shutdown()
    started.http.server_close()


def files(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir() if p.suffix != ".lock"]


def test_many_that_ask_at_once_share_one_download(server: Server, tmp_path: Path) -> None:
    with ThreadPoolExecutor(6) as pool:
        paths = set(pool.map(lambda _: fetch(server.release(), "", tmp_path), range(6)))
    assert server.asked == ["/model"]
    assert [p.read_bytes() == CONTENT for p in paths] == [True]
    assert files(tmp_path) == ["model.pth"]


def test_a_damaged_file_is_replaced(server: Server, tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_bytes(CONTENT[:-1] + b"x")
    assert fetch(server.release(), "", tmp_path).read_bytes() == CONTENT
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("path", "said"), [("/gone", "HTTP Error 404"), ("/cut", "what arrived"), ("/model", "is not the release")]
)
def test_what_is_not_the_release_is_refused_with_a_cure(server: Server, tmp_path: Path, path: str, said: str) -> None:
    release = server.release(path)
    if path == "/model":
        release = replace(release, sha256="0" * 64)
    with pytest.raises(InputError) as caught:
        fetch(release, "give SuperRes(weights=PATH)", tmp_path)
    text = str(caught.value)
    assert said in text
    assert release.url in text
    assert f"Put the file into {tmp_path} by hand (SWATH_DOWNLOADS names another folder), or give SuperRes" in text
    assert files(tmp_path) == [], "no half file, under no name"


def test_no_server_at_all_is_the_same_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(InputError, match=r"0\.0 MB\) cannot be downloaded .*Connection refused"):
        fetch(Release("a.pth", "http://127.0.0.1:9/a.pth", "0" * 64, 1), "do so", tmp_path)


def test_where_downloads_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SWATH_DOWNLOADS", str(tmp_path))
    assert downloads_folder() == tmp_path
    monkeypatch.delenv("SWATH_DOWNLOADS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert downloads_folder() == tmp_path / "swath"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert downloads_folder() == Path("/home/someone/.cache/swath")


def test_every_release_is_complete() -> None:
    for release in releases.SUPERRES.values():
        assert release.url.startswith("https://")
        assert release.url.endswith("/" + release.file)
        assert len(bytes.fromhex(release.sha256)) == 32
