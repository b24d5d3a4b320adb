"""An admin API in memory, for commands: it keeps what it is given and notes what it is asked."""

import itertools
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

PREFIX = "/admin/v1/"
EMPTY = {
    "keys": {
        "id": "",
        "name": "",
        "organization_id": "default",
        "team_id": "",
        "user_id": "",
        "roles": [],
        "allowed_models": ["*"],
        "allowed_networks": [],
        "tags": {},
        "limits": [],
        "state": "KEY_STATE_ACTIVE",
        "etag": "1",
    },
    "teams": {
        "id": "",
        "name": "",
        "organization_id": "default",
        "tags": {},
        "limits": [],
        "etag": "1",
    },
    "users": {
        "id": "",
        "name": "",
        "organization_id": "default",
        "email": "",
        "roles": [],
        "team_ids": [],
        "tags": {},
        "limits": [],
        "etag": "1",
    },
    "organizations": {
        "id": "",
        "name": "",
        "model_groups": [],
        "tags": {},
        "limits": [],
        "etag": "1",
    },
}
TIME = "2027-01-01T00:00:00Z"
IDS = {"keys": "key_", "teams": "team_", "users": "user_", "organizations": "org_"}


class RefusedError(Exception):
    def __init__(self, status, message):
        self.status, self.message = status, message


class FakeAdminApi:
    def __init__(self):
        self.records = {kind: {} for kind in EMPTY}
        self.balances = {}
        self.spent = "0"
        self.requests = []
        self.refusal = None
        self.url = ""
        self._numbers = itertools.count(1)

    def add(self, kind, **fields):
        """A record that is there already; returns its id."""
        record_id = f"{IDS[kind]}{next(self._numbers)}"
        self.records[kind][record_id] = EMPTY[kind] | {"id": record_id} | fields
        return record_id

    def answer(self, method, target, body):
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.requests.append((method, unquote(url.path), query, body))
        if self.refusal:
            raise RefusedError(*self.refusal)
        kind, _, rest = unquote(url.path).removeprefix(PREFIX).partition("/")
        if kind == "usage":
            if self.spent is None:
                raise RefusedError(412, "there is no ledger")
            return {"rows": [], "total": {"cost_nanos": self.spent}}
        if kind == "balances":
            return self._balances(method, rest, query, body)
        record_id, _, verb = rest.partition(":")
        if rest:
            return self._one(method, kind, record_id, verb, query, body)
        if method == "GET":
            return self._page(kind, query)
        made = self.records[kind][self.add(kind, **body)]
        return {kind[:-1]: made, "secret": "mg-secret"} if kind == "keys" else {kind[:-1]: made}

    def _one(self, method, kind, record_id, verb, query, body):
        noun, records = kind[:-1], self.records[kind]
        if record_id not in records:
            raise RefusedError(404, f"there is no {noun} '{record_id}'")
        if method == "DELETE":
            del records[record_id]
            return {}
        record = records[record_id]
        if method == "PATCH":
            for name in query["update_mask"].split(","):
                record[name] = body[name]
        if verb == "revoke":
            record["state"] = "KEY_STATE_REVOKED"
        return {noun: record, "secret": "mg-rotated"} if verb == "rotate" else {noun: record}

    def _balances(self, method, rest, query, body):
        """The top-ups of each are kept, and the balance is their sum."""
        subject, _, verb = rest.partition(":")
        if not subject:
            return _two([self._balance(subject) for subject in self.balances], "balances", query)
        if method == "POST":
            top_ups = self.balances.setdefault(subject, [])
            top_ups.insert(0, {"id": body["top_up_id"], "creator_id": "admin", **body})
            total = self._balance(subject)["amount_nanos"]
            top_ups[0] |= {"create_time": TIME, "balance_nanos": total}
            return {"balance": self._balance(subject), "top_up": top_ups[0]}
        if verb == "topUps":
            return _two(self.balances[subject], "top_ups", query)
        return {"balance": self._balance(subject)}

    def _balance(self, subject):
        total = sum(int(top_up["amount_nanos"]) for top_up in self.balances[subject])
        return {
            "subject": subject,
            "organization_id": "default",
            "amount_nanos": str(total),
            "enforcement": "ENFORCEMENT_NORMAL",
            "create_time": TIME,
            "update_time": TIME,
        }

    def _page(self, kind, query):
        fitting = [
            record
            for record in self.records[kind].values()
            if record["name"].startswith(query.get("name_prefix", ""))
            and (record.get("state") != "KEY_STATE_REVOKED" or "show_revoked" in query)
            and all(
                record.get(name, value) == value
                for name, value in query.items()
                if name in ("organization_id", "team_id", "user_id")
            )
        ]
        return _two(fitting, kind, query)


def _two(fitting, member, query):
    """A page of at most two, whatever is asked for, so that there are pages to follow."""
    start = int(query.get("page_token") or 0)
    token = str(start + 2) if len(fitting) > start + 2 else ""
    return {member: fitting[start : start + 2], "next_page_token": token}


class _Handler(BaseHTTPRequestHandler):
    def _answer(self):
        text = self.rfile.read(int(self.headers.get("content-length", 0)))
        try:
            answer = self.server.api.answer(
                self.command, self.path, json.loads(text) if text else None
            )
            status = 200
        except RefusedError as refused:
            status, answer = refused.status, {"code": 3, "message": refused.message, "details": []}
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - the library's names

    def log_message(self, *_):
        pass


@contextmanager
def running_admin_api():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.api = api = FakeAdminApi()
    api.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
