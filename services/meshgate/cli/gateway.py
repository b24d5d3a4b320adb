"""The gateway that commands talk to: where it is, with which key, and what its refusals mean."""

import ipaddress
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import click
import httpx

from meshgate.cli.data_directory import DataDirectory

DEFAULT_URL = "http://127.0.0.1:8080"
_TIMEOUT = httpx.Timeout(10.0, read=120.0)
_MESSAGE_CHARACTERS = 1000


@dataclass(frozen=True)
class Gateway:
    """A gateway, as its clients see it.

    Attributes:
        url: Its base URL.
        key: What to authenticate with, if anything is known.
        key_hint: What to do when the gateway refuses the key.
    """

    url: str
    key: str | None = field(repr=False)
    key_hint: str

    @classmethod
    def for_admin(cls, data: DataDirectory) -> "Gateway":
        """With the admin key."""
        key = os.environ.get("MESHGATE_ADMIN_KEY") or data.admin_key()
        hint = "set MESHGATE_ADMIN_KEY, or name the gateway's --data-dir"
        return cls(_url(), key, hint)

    @classmethod
    def for_models(cls, data: DataDirectory) -> "Gateway":
        """With the key in MESHGATE_KEY, or else the admin key."""
        key = os.environ.get("MESHGATE_KEY")
        admin = cls.for_admin(data)
        return cls(admin.url, key or admin.key, f"set MESHGATE_KEY; or {admin.key_hint}")

    def client(self) -> httpx.Client:
        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        return httpx.Client(
            base_url=self.url, headers=headers, timeout=_TIMEOUT, trust_env=not _is_local(self.url)
        )

    def get(self, path: str, *members: str) -> dict[str, Any]:
        """The JSON object that a path answers with, with at least these members.

        Raises:
            click.ClickException: The gateway cannot be reached, or refuses.
        """
        with self.reached(), self.client() as client:
            answer = client.get(path)
            self.check(answer)
        return self.object_with(answer.content, *members)

    def object_with(self, content: bytes, *members: str) -> dict[str, Any]:
        """What the gateway sent, as a JSON object with at least these members.

        Raises:
            click.ClickException: It is none, so this is no gateway.
        """
        body = self.parsed(content)
        if not body.keys() >= set(members):
            raise self._stranger(content)
        return body

    @contextmanager
    def reached(self) -> Iterator[None]:
        """Say in one sentence what went wrong on the way.

        Raises:
            click.ClickException: For every error of the HTTP client.
        """
        try:
            yield
        except httpx.ConnectError:
            raise click.ClickException(
                f"no gateway answers at {self.url}: start one with `meshgate up`, or set "
                "MESHGATE_URL"
            ) from None
        except httpx.TimeoutException:
            raise click.ClickException(f"{self.url} does not answer in time: try again") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise click.ClickException(
                f"{self.url} broke off ({error}): try again, or look at `meshgate status`"
            ) from None

    def check(self, answer: httpx.Response) -> None:
        """Refuse an answer that is an error; its body must have been read.

        Raises:
            click.ClickException: With what the gateway says about it.
        """
        if answer.is_success:
            return
        message = message_of(answer)
        if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            raise click.ClickException(f"{message.rstrip('.')}: {self.key_hint}")
        raise click.ClickException(f"{message} (HTTP {answer.status_code})")

    def parsed(self, content: bytes) -> dict[str, Any]:
        """What the gateway sent, as a JSON object.

        Raises:
            click.ClickException: It is none, so this is no gateway.
        """
        try:
            body = json.loads(content)
        except ValueError:
            raise self._stranger(content) from None
        if not isinstance(body, dict):
            raise self._stranger(content)
        return body

    def _stranger(self, content: bytes) -> click.ClickException:
        start = content[:40].decode(errors="replace")
        return click.ClickException(
            f"{self.url} answers what no gateway does ({start!r}): check MESHGATE_URL"
        )


def message_of(answer: httpx.Response) -> str:
    """What an error answer says, in whichever dialect."""
    try:
        body = answer.json()
    except ValueError:
        body = None
    return error_message(body) or answer.reason_phrase or "the gateway refuses"


def error_message(body: object) -> str:
    """The message in an error of OpenAI's form or in a google.rpc.Status; empty if it is neither."""
    if not isinstance(body, dict):
        return ""
    error = body.get("error", body)
    message = error.get("message") if isinstance(error, dict) else error
    return message[:_MESSAGE_CHARACTERS] if isinstance(message, str) else ""


def _url() -> str:
    url = os.environ.get("MESHGATE_URL") or DEFAULT_URL
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise click.ClickException(
            f"MESHGATE_URL is {url!r}; it must be an address such as {DEFAULT_URL}"
        )
    return url.rstrip("/")


def _is_local(url: str) -> bool:
    """No proxy leads to this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
