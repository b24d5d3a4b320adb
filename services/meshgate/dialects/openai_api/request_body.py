"""Decoding of request bodies, with errors in the words that OpenAI's own API uses."""

import re
from typing import TypeVar

import msgspec

from meshgate.runtime.errors import InvalidRequestError, UnsupportedError

T = TypeVar("T")

_NAMES = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "a boolean",
    "array": "an array",
    "object": "an object",
    "null": "null",
}
_PATH = re.compile(r" - at `\$\.?(?P<path>.*?)`$")
_MISSING = re.compile(r"^Object missing required field `(?P<name>.+)`$")
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<name>.+)`$", re.DOTALL)
_TYPE = re.compile(r"^Expected `(?P<expected>[^`]+)`, got `(?P<got>[^`]+)`$")


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Decode a request's body.

    Raises:
        InvalidRequestError: It is not UTF-8, not JSON, or not of the decoder's type.
        UnsupportedError: It holds a field that the decoder's type forbids.
    """
    try:
        # The decoder does not look into the strings that it skips.
        if not body.isascii():
            body.decode()
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _explained(str(error)) from error
    except msgspec.DecodeError as error:
        raise InvalidRequestError(
            f"We could not parse the JSON body of your request: {error}.", problem=str(error)
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidRequestError("The body of your request is not valid UTF-8.") from error
    except RecursionError as error:
        raise InvalidRequestError("The body of your request is nested too deeply.") from error


def missing(field: str) -> InvalidRequestError:
    """Return the error for a field that must be given and is not."""
    if field == "model":
        return InvalidRequestError("you must provide a model parameter", field=field)
    return InvalidRequestError(f"Missing required parameter: '{field}'.", field=field)


def unsupported(field: str, hint: str = "") -> UnsupportedError:
    """Return the error for a field that no target of another dialect can express.

    `hint` is a sentence that says what to ask for in its place.
    """
    problem = f"Unsupported parameter: '{field}' cannot be expressed for this model."
    return UnsupportedError(f"{problem} {hint}".rstrip(), field=field)


def unsupported_without_schema(field: str) -> UnsupportedError:
    """Return the error for JSON of any form, where an upstream writes by a schema only."""
    return unsupported(field, "It answers in JSON by a schema only: ask with a JSON schema.")


def _explained(problem: str) -> InvalidRequestError:
    path = ""
    if found := _PATH.search(problem):
        path = found["path"]
        problem = problem[: found.start()]
    if found := _MISSING.match(problem):
        return missing(_joined(path, found["name"]))
    if found := _UNKNOWN.match(problem):
        return unsupported(_joined(path, found["name"][:200]))
    return _wrong_value(path, problem)


def _wrong_value(path: str, problem: str) -> InvalidRequestError:
    found = _TYPE.match(problem)
    if not path:
        return InvalidRequestError("The body of your request must be a JSON object.")
    if found is None:
        sentence = problem.replace("`", "")
        return InvalidRequestError(
            f"Invalid value for '{path}': {sentence}.", field=path, problem=sentence
        )
    expected = " or ".join(_NAMES.get(name, name) for name in found["expected"].split(" | "))
    got = _NAMES.get(found["got"], found["got"])
    return InvalidRequestError(
        f"Invalid type for '{path}': expected {expected}, but got {got} instead.",
        field=path,
        expected=expected,
        got=got,
    )


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
