"""What a gateway keeps on this machine: secrets, data, logs, and the lock that makes it the only one."""

import contextlib
import fcntl
import os
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

DEFAULT = Path("~/.local/share/meshgate")
_SECRET_BYTES = 32
_SOCKET_PATH_BYTES = 107

data_directory_option = click.option(
    "--data-dir",
    "data_directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT,
    show_default=True,
    envvar="MESHGATE_DATA_DIR",
    help="Holds the admin key, all data and logs.",
    callback=lambda _context, _option, path: DataDirectory(path.expanduser().absolute()),
)


@dataclass(frozen=True)
class DataDirectory:
    """The directory that --data-dir names."""

    path: Path

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def admin_key_file(self) -> Path:
        return self.path / "admin.key"

    @property
    def redis(self) -> Path:
        """Where the embedded Redis-compatible server keeps what it holds."""
        return self.path / "redis"

    @property
    def cache_redis(self) -> Path:
        """Where the one of the cache has its configuration; it keeps nothing there."""
        return self.path / "cache_redis"

    @property
    def auth_database_url(self) -> str:
        """Where `auth` keeps its records unless it is told otherwise."""
        return f"sqlite:///{self.path / 'auth.sqlite'}"

    @property
    def ledger_database_url(self) -> str:
        """Where `quota` keeps the ledger unless it is told otherwise."""
        return f"sqlite:///{self.path / 'ledger.sqlite'}"

    @property
    def _key_pepper_file(self) -> Path:
        return self.path / "key.pepper"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Make the directory if need be, and be the only gateway in it for the block.

        Raises:
            click.ClickException: Another gateway runs in it, or it cannot be written.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = (self.path / "lock").open("a+")
        except OSError as error:
            raise click.ClickException(
                f"cannot write in {self.path} ({error.strerror}): choose another --data-dir"
            ) from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise click.ClickException(_taken(self.path)) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    @contextlib.contextmanager
    def socket(self, name: str) -> Iterator[Path]:
        """A path for a Unix socket, in the directory unless its path is too long for one."""
        path = self.path / name
        if len(os.fsencode(path)) <= _SOCKET_PATH_BYTES:
            try:
                yield path
            finally:
                path.unlink(missing_ok=True)
        else:
            with tempfile.TemporaryDirectory(prefix="meshgate-") as directory:
                yield Path(directory) / name

    def admin_key(self) -> str | None:
        """The admin key of the directory, if one was made.

        Raises:
            click.ClickException: It cannot be read.
        """
        return _secret(self.admin_key_file, "MESHGATE_ADMIN_KEY")

    def made_admin_key(self) -> str:
        """The admin key of the directory, made the first time."""
        return self.admin_key() or _made_secret(self.admin_key_file, "mg-admin-")

    def made_key_pepper(self) -> str:
        """What keys are hashed with, made the first time: without it no stored key is known."""
        pepper = _secret(self._key_pepper_file, "MESHGATE_KEY_PEPPER")
        return pepper or _made_secret(self._key_pepper_file)


def _secret(file: Path, variable: str) -> str | None:
    try:
        return file.read_text().strip() or None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise click.ClickException(
            f"cannot read {file} ({error.strerror}): set {variable}, or name another --data-dir"
        ) from None


def _made_secret(file: Path, prefix: str = "") -> str:
    secret = prefix + secrets.token_urlsafe(_SECRET_BYTES)
    write_private(file, secret + "\n")
    return secret


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone may read, all at once: no reader sees half of it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with open(draft, "w", opener=_private) as file:
        file.write(text)
    draft.replace(path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _taken(path: Path) -> str:
    with contextlib.suppress(OSError, ValueError):
        pid = int((path / "lock").read_text())
        return (
            f"a gateway already runs on {path} (process {pid}): stop it, or choose another "
            "--data-dir"
        )
    return f"a gateway already runs on {path}: stop it, or choose another --data-dir"
