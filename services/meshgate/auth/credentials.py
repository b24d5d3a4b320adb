"""Keys as clients send them: how they are made, told apart and proved.

A key is `mg-<public id>-<secret>`. The public id finds its record; its last characters are a
checksum that only those who know the pepper can make, so that made-up ids are told without asking
the database. The secret is 256 random bits, so that one HMAC is hash enough.
"""

import hmac
import re
import secrets as randomness
from collections.abc import Callable
from dataclasses import dataclass, field

PREFIX = "mg-"
KEY_ID_PREFIX = "key_"
LEAST_PEPPER_CHARACTERS = 16
SHOWN_CHARACTERS = 4

# No letter or digit that looks like another one.
_ID_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_ID_CHARACTERS = 16
_CHECK_CHARACTERS = 4
_SECRET_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"  # noqa: S105
_SECRET_CHARACTERS = 43  # 43 of 62 hold 256 bits
_FORM = re.compile(
    rf"mg-([{_ID_ALPHABET}]{{{_ID_CHARACTERS + _CHECK_CHARACTERS}}})"
    rf"-([0-9A-Za-z]{{{_SECRET_CHARACTERS}}})"
)


def random_id(prefix: str) -> str:
    """An id that nobody can guess: 79 random bits after the prefix."""
    return prefix + "".join(randomness.choice(_ID_ALPHABET) for _ in range(_ID_CHARACTERS))


@dataclass(frozen=True, slots=True)
class Credential:
    """A key as a client sends it.

    Attributes:
        key_id: The id of its record.
        secret: What proves it. Never logged.
    """

    key_id: str
    secret: str = field(repr=False)

    @property
    def text(self) -> str:
        """What clients send. Never logged."""
        return f"{PREFIX}{self.key_id.removeprefix(KEY_ID_PREFIX)}-{self.secret}"

    @property
    def last_characters(self) -> str:
        """What may be shown of the secret."""
        return self.secret[-SHOWN_CHARACTERS:]


class Peppers:
    """What secrets are hashed with: nobody who only reads the database can make or test keys.

    The first pepper hashes new secrets. The others are good for those that were hashed with them,
    and for the ids of keys that were made with them: a rotated key keeps its id.

    Args:
        texts: At least one, each of at least LEAST_PEPPER_CHARACTERS.
    """

    def __init__(self, *texts: str) -> None:
        if not texts or any(len(text) < LEAST_PEPPER_CHARACTERS for text in texts):
            raise ValueError(f"each pepper must have at least {LEAST_PEPPER_CHARACTERS} characters")
        self._peppers = tuple(text.encode() for text in texts)

    @classmethod
    def parse(cls, text: str) -> "Peppers":
        """Peppers that are parted by commas.

        Raises:
            ValueError: One is too short to be any use. The message does not repeat it.
        """
        return cls(*(part for part in (part.strip() for part in text.split(",")) if part))

    def new_credential(self, random_id: Callable[[str], str] = random_id) -> Credential:
        """A new key."""
        stem = random_id("")
        return self.new_secret(KEY_ID_PREFIX + stem + _checksum(self._peppers[0], stem))

    def new_secret(self, key_id: str) -> Credential:
        """A new secret for a key."""
        letters = (randomness.choice(_SECRET_ALPHABET) for _ in range(_SECRET_CHARACTERS))
        return Credential(key_id, "".join(letters))

    def read(self, text: str) -> Credential | None:
        """The key that the text is, or None if no such key was ever made with these peppers."""
        match = _FORM.fullmatch(text)
        if match is None:
            return None
        public_id, secret = match.groups()
        stem, check = public_id[:_ID_CHARACTERS], public_id[_ID_CHARACTERS:]
        if not any(hmac.compare_digest(check, _checksum(pepper, stem)) for pepper in self._peppers):
            return None
        return Credential(KEY_ID_PREFIX + public_id, secret)

    def hash(self, credential: Credential) -> bytes:
        """What is kept of a secret: 32 bytes."""
        return _hash(self._peppers[0], credential)

    def prove(self, credential: Credential, kept: bytes) -> bool:
        """Whether the secret is the one of which this was kept."""
        return any(hmac.compare_digest(_hash(pepper, credential), kept) for pepper in self._peppers)

    def sign(self, content: bytes) -> bytes:
        """A mark of 16 bytes that nobody else can make."""
        return _sign(self._peppers[0], content)

    def is_signed(self, content: bytes, mark: bytes) -> bool:
        """Whether the mark was made for this content."""
        return any(hmac.compare_digest(_sign(pepper, content), mark) for pepper in self._peppers)


# What is made for one purpose is of no use for another.


def _hash(pepper: bytes, credential: Credential) -> bytes:
    content = f"key\0{credential.key_id}\0{credential.secret}"
    return hmac.digest(pepper, content.encode(), "sha256")


def _checksum(pepper: bytes, stem: str) -> str:
    digest = hmac.digest(pepper, b"id\0" + stem.encode(), "sha256")
    return "".join(_ID_ALPHABET[byte % len(_ID_ALPHABET)] for byte in digest[:_CHECK_CHARACTERS])


def _sign(pepper: bytes, content: bytes) -> bytes:
    return hmac.digest(pepper, b"page\0" + content, "sha256")[:16]
