"""Downloading models with vosk's own downloader, from a server on this machine or none."""

import io
import json
import socket
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import vosk

from bot.speech.model import find_model
from bot.speech.vosk import VoskTranscriber, download_model
from moderation.errors import ModelMissing
from tests.bot.speech.audio import MODEL

pytestmark = pytest.mark.integration

NAME = "vosk-model-small-en-us-0.15"


def zipped(name: str, *, without: str = "") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for path in MODEL.rglob("*"):
            if path.is_file() and path.name != without:
                file.write(path, f"{name}/{path.relative_to(MODEL)}")
    return packed.getvalue()


class Server:
    """What the model server says; tests change it."""

    def __init__(self) -> None:
        models = [
            {"name": NAME, "lang": "en-us", "type": "small", "obsolete": "false"},
            {"name": "vosk-model-small-en-us-0.3", "lang": "en-us", "type": "small", "obsolete": "true"},
        ]
        self.files: dict[str, bytes] = {"/model-list.json": json.dumps(models).encode(), f"/{NAME}.zip": zipped(NAME)}
        self.requests: list[str] = []
        self.cut = 0
        """Bytes of a body that are sent before the connection breaks; 0: all."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    served = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.requests.append(self.path)
            body = served.files.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write((body or b"")[: served.cut or None] if self.path.endswith(".zip") else body or b"")

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        point_vosk_at(monkeypatch, http.server_address[1])
        yield served
        http.shutdown()
        thread.join()


def point_vosk_at(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    url = f"http://127.0.0.1:{port}/"
    monkeypatch.setattr(vosk, "MODEL_PRE_URL", url)
    monkeypatch.setattr(vosk, "MODEL_LIST_URL", url + "model-list.json")


def test_a_model_is_fetched_checked_and_kept(server: Server, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = find_model(name=NAME, cache_dir=tmp_path / "cache")
    assert found == tmp_path / "cache" / NAME
    assert VoskTranscriber.load(found).hears("idiot")
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [NAME]
    out, err = capfd.readouterr()
    assert out == ""
    assert f"{NAME}.zip" in err  # vosk's progress bar
    asked = len(server.requests)
    assert find_model(name=NAME, cache_dir=tmp_path / "cache") == found
    assert len(server.requests) == asked


def test_the_small_model_of_a_language_is_fetched(server: Server, tmp_path: Path) -> None:
    assert find_model(language="en-us", cache_dir=tmp_path).name == NAME


@pytest.mark.parametrize(("name", "language"), [("vosk-model-klingon", None), (None, "tlh")])
def test_an_unknown_model_is_an_error_not_an_exit(server: Server, tmp_path: Path, name: str | None, language: str | None) -> None:
    with pytest.raises(ModelMissing, match="vosk's list has no such model"):
        download_model(name, language, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_network_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        point_vosk_at(monkeypatch, closed.getsockname()[1])  # bound, not listening: refused
        with pytest.raises(ModelMissing) as caught:
            find_model(name=NAME, cache_dir=tmp_path / "cache")
    message = str(caught.value)
    assert "cannot be downloaded (ConnectionError)" in message
    for part in (NAME, "https://alphacephei.com/vosk/models", str(tmp_path / "cache"), "VOSK_MODEL_PATH"):
        assert part in message
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_broken_off_download_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.cut = 100_000
    with pytest.raises(ModelMissing, match="cannot be downloaded"):
        download_model(NAME, None, tmp_path)
    assert list(tmp_path.iterdir()) == []
    server.cut = 0
    assert download_model(NAME, None, tmp_path) == tmp_path / NAME


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/model-list.json", b"<html>maintenance</html>"),
        ("/model-list.json", b"{}"),
        ("/model-list.json", b"[{}]"),
        (f"/{NAME}.zip", b"not a zip"),
        (f"/{NAME}.zip", zipped("another-folder")),
        (f"/{NAME}.zip", zipped(NAME, without="final.mdl")),
    ],
)
def test_nonsense_from_the_server_is_an_error(server: Server, tmp_path: Path, path: str, body: bytes) -> None:
    server.files[path] = body
    with pytest.raises(ModelMissing):
        download_model(NAME, None, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_zip_is_an_error(server: Server, tmp_path: Path) -> None:
    del server.files[f"/{NAME}.zip"]
    with pytest.raises(ModelMissing, match="cannot be downloaded"):
        download_model(NAME, None, tmp_path)


def test_vosk_is_left_as_it_was(server: Server, tmp_path: Path) -> None:
    folders, timeout = vosk.MODEL_DIRS, socket.getdefaulttimeout()
    download_model(NAME, None, tmp_path)
    assert vosk.MODEL_DIRS is folders
    assert socket.getdefaulttimeout() == timeout
