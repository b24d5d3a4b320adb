"""Secrets: the configuration refers to them, and the service that needs one looks it up."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

SCHEMES = ("env", "file")
PATTERN = r"^\$\{(env:[A-Za-z_][A-Za-z0-9_]*|file:/[^}]+)\}$"
MAXIMUM_BYTES = 65_536

_WRITTEN = re.compile(r"\$\{(?:(env):([A-Za-z_][A-Za-z0-9_]*)|(file):(/[^}\0]+))\}")


class SecretUnresolvedError(Exception):
    """A reference leads to nothing. The text says why, without the path of the field."""


@dataclass(frozen=True, slots=True)
class SecretReference:
    """Where a secret lies: an environment variable or a file."""

    scheme: Literal["env", "file"]
    name: str

    @classmethod
    def parse(cls, text: str) -> "SecretReference":
        """The reference that the text is.

        Raises:
            ValueError: The text is something else. It is not repeated in the message, for it may
                be the secret itself.
        """
        match = _WRITTEN.fullmatch(text)
        if match is None:
            raise ValueError(
                "must refer to the secret, as ${env:NAME} or ${file:/path}; "
                "values are never kept in the file"
            )
        if match[1]:
            return cls("env", match[2])
        return cls("file", match[4])

    def __str__(self) -> str:
        return f"${{{self.scheme}:{self.name}}}"


class SecretSource(Protocol):
    """Finds the values of secrets."""

    def resolve(self, reference: SecretReference) -> str:
        """The secret, never empty. May read a file.

        Raises:
            SecretUnresolvedError: There is none.
        """
        ...


class LocalSecrets:
    """Secrets of this process: its environment variables and the files of its machine."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def resolve(self, reference: SecretReference) -> str:
        if reference.scheme == "env":
            return self._variable(reference.name)
        return _content(Path(reference.name))

    def _variable(self, name: str) -> str:
        value = self._environment.get(name, "").strip()
        if not value:
            raise SecretUnresolvedError(f"the environment variable {name} is not set: set it")
        return value


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAXIMUM_BYTES + 1)
    except OSError as error:
        raise SecretUnresolvedError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > MAXIMUM_BYTES:
        raise SecretUnresolvedError(f"{path} is larger than {MAXIMUM_BYTES} bytes")
    try:
        value = content.decode().strip()
    except UnicodeDecodeError as error:
        raise SecretUnresolvedError(f"{path} is not UTF-8 text") from error
    if not value:
        raise SecretUnresolvedError(f"{path} is empty: write the secret into it")
    return value
