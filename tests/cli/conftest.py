import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner

from meshgate.cli.main import main

ADMIN_KEY = "mg-admin-test"


@dataclass
class StubGateway:
    """Answers as it is told, and notes what it was asked."""

    answers: dict[str, tuple[int, str, bytes]] = field(default_factory=dict)
    requests: list[tuple[str, str | None, bytes]] = field(default_factory=list)
    url: str = ""

    def answer(self, path: str, body: object, status: int = 200) -> None:
        self.answers[path] = (status, "application/json", json.dumps(body).encode())

    def stream(self, path: str, body: str) -> None:
        self.answers[path] = (200, "text/event-stream", body.encode())


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self._answer()

    def do_POST(self):
        self._answer()

    def _answer(self):
        gateway = self.server.gateway
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        gateway.requests.append((self.path, self.headers.get("authorization"), body))
        status, content_type, content = gateway.answers[self.path]
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def gateway():
    gateway = StubGateway()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.gateway = gateway
    gateway.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield gateway
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def run(tmp_path, gateway, monkeypatch):
    """Runs `meshgate` with arguments, against the stub and a data directory of its own."""
    for name in ("MESHGATE_KEY", "MESHGATE_CONFIG", "OPENAI_API_KEY", "MESHGATE_ADMIN_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MESHGATE_URL", gateway.url)
    monkeypatch.setenv("MESHGATE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)

    def run(*arguments, standard_input=None):
        return CliRunner().invoke(main, arguments, input=standard_input, catch_exceptions=False)

    return run


@pytest.fixture
def admin_key(tmp_path):
    file = tmp_path / "data" / "admin.key"
    file.parent.mkdir()
    file.write_text(ADMIN_KEY + "\n")
    return ADMIN_KEY
