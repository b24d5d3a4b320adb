"""A UsageService in memory, for commands: it gives out pages that a test wrote, and notes what it is asked."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

NAMES = (
    "requests",
    "cache_hits",
    "input_tokens",
    "cached_input_tokens",
    "cache_creation_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_nanos",
    "unpriced_charges",
    "estimated_charges",
    "saved_cost_nanos",
    "saved_tokens",
)


def sums(**some):
    """As REST writes them: texts."""
    return {name: str(some.get(name, 0)) for name in NAMES}


def row(start_time=None, tags=None, **fields):
    names = dict.fromkeys(
        ("organization_id", "team_id", "user_id", "key_id", "model", "target"), ""
    )
    names |= {name: value for name, value in fields.items() if name in names}
    counts = {name: value for name, value in fields.items() if name in NAMES}
    when = {} if start_time is None else {"start_time": start_time}
    return {**when, **names, "tags": tags or {}, "sums": sums(**counts)}


class FakeUsageApi:
    def __init__(self):
        self.pages = {}
        self.requests = []
        self.url = ""

    def give(self, path, *pages):
        """The pages of a path; each but the last leads to the next."""
        last = len(pages) - 1
        self.pages[path] = [
            {**page, "next_page_token": str(number + 1) if number < last else ""}
            for number, page in enumerate(pages)
        ]

    def report(self, *rows, total=None, **more):
        page = {"rows": list(rows), "total": total or sums(), **more}
        self.give("/admin/v1/usage", {"ledger_time": "2026-11-29T00:00:00Z", **page})

    def answer(self, method, target, body):
        url = urlsplit(target)
        path, query = unquote(url.path), parse_qs(url.query)
        self.requests.append((method, path, query, body))
        token = query.pop("page_token", ["0"])[0]
        return self.pages[path][int(token)]


class _Handler(BaseHTTPRequestHandler):
    def _answer(self):
        text = self.rfile.read(int(self.headers.get("content-length", 0)))
        body = json.loads(text) if text else None
        content = json.dumps(self.server.api.answer(self.command, self.path, body)).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self):
        self._answer()

    def do_POST(self):
        self._answer()

    def log_message(self, *_):
        pass


@contextmanager
def running_usage_api():
    api = FakeUsageApi()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.api = api
    api.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
