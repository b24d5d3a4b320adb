"""The kinds of field that several parts of the schema have."""

import ipaddress
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from meshgate.config import duration
from meshgate.config.secrets import PATTERN as SECRET_PATTERN
from meshgate.config.secrets import SecretReference
from meshgate.config.snapshot import Network
from meshgate.pricing.money import PATTERN as MONEY_PATTERN
from meshgate.pricing.money import nanos_of_usd


class Section(BaseModel):
    """A part of the file: nothing but its own fields, and immutable."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        validate_default=True,
        allow_inf_nan=False,
        # With the first document, as one: each by itself is built again as part of those that hold it.
        defer_build=True,
    )


def lasting(default: str, description: str) -> Any:
    """A field that is a duration, whose default is written as people write it."""
    return Field(default, description=description)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")  # noqa: TRY004 - pydantic reports ValueErrors only
    return value


def _longer_than_nothing(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("must be longer than 0s")
    return seconds


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", text):
        raise ValueError(
            "must be at most 100 letters, digits, `.`, `_` and `-`, the first a letter or digit"
        )
    return text


def _label(text: str) -> str:
    if not re.fullmatch(r"[^\s*\x00-\x1f\x7f]{1,200}", text):
        raise ValueError("must be at most 200 characters, without spaces and `*`")
    return text


def _model_pattern(text: str) -> str:
    if not re.fullmatch(r"[^\s\x00-\x1f\x7f]{1,200}", text):
        raise ValueError("must be the name of a model, or a pattern with `*`")
    return text


def _address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or re.search(r"\s", text):
        raise ValueError("must be an address that begins with http:// or https://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user or password: values are never kept in the file")
    return text


def _upstream_address(text: str) -> str:
    address = _address(text)
    if urlsplit(address).query or urlsplit(address).fragment:
        raise ValueError("must end with its path: leave out what follows `?` or `#`")
    return address.rstrip("/")


def _secret(value: object) -> SecretReference:
    return SecretReference.parse(_text(value))


def _text_or_secret(value: object) -> str | SecretReference:
    text = _text(value)
    return SecretReference.parse(text) if "${" in text else text


def _proxy(value: object) -> str | SecretReference:
    proxy = _text_or_secret(value)
    return _address(proxy) if isinstance(proxy, str) else proxy


def _header_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", text):
        raise ValueError("is not the name of a header: use letters, digits and `-`")
    return text


def _header_value(value: object) -> str | SecretReference:
    text = _text_or_secret(value)
    if isinstance(text, str) and not re.fullmatch(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?", text):
        raise ValueError("must be plain ASCII text without line breaks")
    return text


def _absolute_path(text: str) -> str:
    if not text.startswith("/") or "\0" in text:
        raise ValueError("must be an absolute path, for instance /etc/ssl/upstream.pem")
    return text


def _network(value: object) -> Network:
    try:
        return ipaddress.ip_network(_text(value))
    except ValueError as error:
        raise ValueError(f"must be a network such as 10.0.0.0/8 or fd00::/8: {error}") from error


def _moment(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(_text(value))
    except ValueError as error:
        raise ValueError("must be a time such as 2027-01-31T00:00:00Z") from error
    if moment.tzinfo is None:
        raise ValueError("must say its time zone, for instance 2027-01-31T00:00:00Z")
    return moment.astimezone(UTC)


def usd_nanos(value: object) -> int:
    """Nano-dollars of an amount in USD that is a number or text.

    Raises:
        ValueError: It is neither, or there can be no such amount.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(  # noqa: TRY004 - pydantic reports ValueErrors only
            "must be an amount in USD, for instance 12.50"
        )
    # The shortest text of a float is what was written: `document` refuses longer numbers.
    return nanos_of_usd(value if isinstance(value, str) else format(Decimal(repr(value)), "f"))


def _tag_pair(text: str) -> str:
    if not re.fullmatch(r"[^\s*=\x00-\x1f\x7f]{1,200}=[^\x00-\x1f\x7f]{0,200}", text):
        raise ValueError("must be a tag as name=value, for instance env=prod")
    return text


@dataclass(frozen=True, slots=True)
class _OneOrMore:
    """A list that may also be written as its only entry, which holds fields."""

    sentence: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._listed, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        listed = handler(schema)
        return {"anyOf": [listed["items"], listed]}

    def _listed(self, value: object) -> tuple[object, ...]:
        if isinstance(value, dict):
            return (value,)
        if isinstance(value, list | tuple):
            return tuple(value)
        raise ValueError(self.sentence)


def one_or_more(sentence: str) -> Any:
    """Mark a field that is a list, or its only entry; the sentence tells what else is wrong."""
    return _OneOrMore(sentence)


def _written(kind: str, **schema: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "title": kind, **schema})


Duration = Annotated[
    float, BeforeValidator(duration.seconds_of), _written("duration", pattern=duration.PATTERN)
]
PositiveDuration = Annotated[
    float,
    BeforeValidator(duration.seconds_of),
    AfterValidator(_longer_than_nothing),
    _written("duration", pattern=duration.PATTERN),
]
MONEY_SCHEMA = WithJsonSchema(
    {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": MONEY_PATTERN}]}
)
Usd = Annotated[int, PlainValidator(usd_nanos), MONEY_SCHEMA]
WholeNumber = Annotated[int, WithJsonSchema({"type": "integer", "minimum": 0})]
TagPair = Annotated[str, AfterValidator(_tag_pair), _written("tag")]
Name = Annotated[str, AfterValidator(_name), _written("name")]
Label = Annotated[str, AfterValidator(_label), _written("name")]
ModelPattern = Annotated[str, AfterValidator(_model_pattern), _written("model or pattern")]
UpstreamAddress = Annotated[str, AfterValidator(_upstream_address), _written("address")]
Secret = Annotated[
    SecretReference, PlainValidator(_secret), _written("secret", pattern=SECRET_PATTERN)
]
Proxy = Annotated[str | SecretReference, PlainValidator(_proxy), _written("address or secret")]
HeaderName = Annotated[str, AfterValidator(_header_name), _written("header")]
HeaderValue = Annotated[
    str | SecretReference, PlainValidator(_header_value), _written("text or secret")
]
AbsolutePath = Annotated[str, AfterValidator(_absolute_path), _written("path")]
CidrNetwork = Annotated[Network, PlainValidator(_network), _written("network")]
Moment = Annotated[datetime, PlainValidator(_moment), _written("time", format="date-time")]
