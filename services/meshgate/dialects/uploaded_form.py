"""Forms with files, as services hand them on: the fields in JSON, and the files beside them.

A form is a JSON list in its order: `{"name", "value"}` for a field, and `{"name", "filename",
"content_type", "size"}` for a file, whose bytes go another way. `multipart` tells how it is written
for an upstream: the fields first, as nobody can choose a model who has not read its name.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from meshgate.dialects.answers import UNREADABLE, RequestHead
from meshgate.dialects.counting import CountableText, countable, unreadable
from meshgate.dialects.json_text import Found, JsonCut
from meshgate.dialects.openai_api.request_body import missing
from meshgate.dialects.segments import SegmentKind
from meshgate.runtime.errors import InvalidRequestError

_Name = Annotated[str, Meta(min_length=1, max_length=256)]
_LONGEST_MODEL = 512
# What a form says in words that may be looked at; the other fields are the API's own words.
TEXT_FIELDS = frozenset({"prompt"})
_OWN_WORDS = frozenset(
    {"model", "response_format", "temperature", "language", "stream", "include[]", "n", "size"}
    | {"timestamp_granularities[]", "chunking_strategy", "quality", "background", "output_format"}
    | {"output_compression", "partial_images", "input_fidelity", "user", "mask"}
)
# What is held for and paid by. (The model's name is written anew.)
_ONCE = frozenset({"n", "quality", "size", "stream", "partial_images", "response_format"})


class Part(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A field, or a file where `size` is given, in bytes."""

    name: _Name
    value: str | None = None
    filename: str = ""
    content_type: str = ""
    size: Annotated[int, Meta(ge=0)] | None = None


class Form:
    """A form, without the bytes of its files."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(parts)

    @property
    def files(self) -> list[Part]:
        return [part for part in self.parts if part.size is not None]

    @cached_property
    def values(self) -> Mapping[str, str]:
        """The fields; of those that stand twice, the last.

        Raises:
            InvalidRequestError: One stands twice of which an upstream might read the other.
        """
        values: dict[str, str] = {}
        for part in self.parts:
            if part.size is None:
                if part.name in values and part.name in _ONCE:
                    raise InvalidRequestError(
                        f"Duplicate parameter: '{part.name}'.", field=part.name
                    )
                values[part.name] = part.value or ""
        return values

    @property
    def files_bytes(self) -> int:
        """How large the files are together."""
        return sum(part.size or 0 for part in self.files)

    @property
    def model(self) -> str:
        """The model's name.

        Raises:
            InvalidRequestError: There is none.
        """
        model = self.values.get("model", "")
        if not model or any(part.name == "model" for part in self.files):
            raise missing("model")
        if len(model) > _LONGEST_MODEL:
            raise InvalidRequestError("Invalid value for 'model': it is too long.", field="model")
        return model


_FORM = msgspec.json.Decoder(list[Part])
_ENCODER = msgspec.json.Encoder()


def write(parts: Sequence[Part]) -> bytes:
    """A form as services hand it on."""
    return _ENCODER.encode(list(parts))


def read(body: bytes) -> Form:
    """Read one.

    Raises:
        InvalidRequestError: It is none.
    """
    try:
        return Form(_FORM.decode(body))
    except UNREADABLE as error:
        raise InvalidRequestError("the form cannot be read") from error


def retarget(body: bytes, model: str, head: RequestHead) -> bytes:
    """Send a form to `model`: no other name of one is left in it.

    Raises:
        InvalidRequestError: It is none.
    """
    del head
    others = [part for part in read(body).parts if part.name != "model" or part.size is not None]
    return write([Part("model", model), *others])


def flag(values: Mapping[str, str], name: str) -> bool:
    """A field that says yes or no, as forms write it; no where it is not given.

    Raises:
        InvalidRequestError: It says neither.
    """
    word = values.get(name, "").strip().lower()
    if word in {"true", "1"}:
        return True
    if word in {"", "false", "0"}:
        return False
    raise InvalidRequestError(
        f"Invalid type for '{name}': expected a boolean, but got a string instead.", field=name
    )


def whole_number(values: Mapping[str, str], name: str, *, most: int) -> int | None:
    """A field that is a number from 1 on; None where it is not given.

    Raises:
        InvalidRequestError: It is none, or more than `most`.
    """
    text = values.get(name, "").strip()
    if not text:
        return None
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(most)) else 0
    if not 1 <= number <= most:
        raise InvalidRequestError(
            f"Invalid value for '{name}': expected an integer from 1 to {most}.", field=name
        )
    return number


def countable_text(body: bytes) -> CountableText:
    """What a form says in words."""
    try:
        values = read(body).values
    except InvalidRequestError:
        return unreadable(body)
    return countable((values[name] for name in TEXT_FIELDS if name in values), 0)


def cut_request(body: bytes) -> JsonCut:
    """Take the texts out of a form: of every field that is not one of the API's own words.

    Raises:
        InvalidRequestError: It is none.
    """
    return JsonCut(body, _found(read(body).parts))


def _found(parts: Sequence[Part]) -> Iterator[Found]:
    for at, part in enumerate(parts):
        if part.value and part.name not in _OWN_WORDS:
            yield Found((at, "value"), SegmentKind.TEXT, part.value)


class Multipart(Struct, frozen=True):
    """A form as it goes to an upstream.

    Attributes:
        content_type: With the boundary.
        fields: What comes before the files: all fields.
        heads: What comes before each file.
        sizes: How large each file is.
        end: What comes after the last.
    """

    content_type: str
    fields: bytes
    heads: Sequence[bytes]
    sizes: Sequence[int]
    end: bytes

    @property
    def length(self) -> int:
        """How many bytes it is in all."""
        return len(self.fields) + sum(map(len, self.heads)) + sum(self.sizes) + len(self.end)


def multipart(body: bytes) -> Multipart:
    """Write a form for an upstream.

    Raises:
        InvalidRequestError: It is none.
    """
    form = read(body)
    boundary = f"meshgate-{secrets.token_hex(16)}"
    fields = "".join(
        f"--{boundary}\r\n{_disposition(part)}\r\n\r\n{part.value or ''}\r\n"
        for part in form.parts
        if part.size is None
    )
    heads = []
    for at, part in enumerate(form.files):
        line_end = "\r\n" if at else ""
        kind = f"\r\ncontent-type: {_plain(part.content_type)}" if part.content_type else ""
        heads.append(f"{line_end}--{boundary}\r\n{_disposition(part)}{kind}\r\n\r\n".encode())
    line_end = "\r\n" if form.files else ""
    return Multipart(
        content_type=f"multipart/form-data; boundary={boundary}",
        fields=fields.encode(),
        heads=heads,
        sizes=[part.size or 0 for part in form.files],
        end=f"{line_end}--{boundary}--\r\n".encode(),
    )


def _disposition(part: Part) -> str:
    text = f'Content-Disposition: form-data; name="{_quoted(part.name)}"'
    return text if part.size is None else f'{text}; filename="{_quoted(part.filename)}"'


def _quoted(text: str) -> str:
    """As browsers write it: https://html.spec.whatwg.org/#multipart-form-data."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _plain(text: str) -> str:
    return text if text.isprintable() else "application/octet-stream"
