import textwrap
from pathlib import Path

import pytest

from meshgate.config.secrets import SecretUnresolvedError


class Directory:
    """Configuration files of one test."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.main = path / "meshgate.yaml"

    def write(self, text: str, name: str = "meshgate.yaml") -> Path:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        return file


class Secrets:
    """Secrets that a test knows."""

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values

    def resolve(self, reference):
        if reference.name not in self._values:
            raise SecretUnresolvedError(f"{reference.name} is not there")
        return self._values[reference.name]


@pytest.fixture
def directory(tmp_path):
    return Directory(tmp_path)


@pytest.fixture
def secrets_of():
    return Secrets
