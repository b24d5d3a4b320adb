"""Which fields the JSON of a REST client names, compared with the contract.

Envoy's transcoder passes over fields that it does not know; envoy/fields.lua tells which there are.
"""

from collections.abc import Iterable, Mapping

from google.api import annotations_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

from meshgate.runtime.errors import InvalidRequestError

FIELDS_KEY = "x-meshgate-internal-fields"

_SHOWN_CHARACTERS = 100


class JsonFields:
    """The fields that the body of an RPC may have, as REST."""

    def __init__(self, method: MethodDescriptor) -> None:
        body: str = method.GetOptions().Extensions[annotations_pb2.http].body
        part = None if body in ("", "*") else method.input_type.fields_by_name[body].message_type
        self._message = part or method.input_type
        self._prefix = f"{body}." if part else ""

    def check(self, metadata: Mapping[str, str]) -> None:
        """Check the fields that a call says its JSON has, if it came as JSON.

        Raises:
            InvalidRequestError: The contract does not have one of them.
        """
        for path in filter(None, metadata.get(FIELDS_KEY, "").split(",")):
            if not _exists(self._message, path.split(".")):
                shown = self._prefix + path[:_SHOWN_CHARACTERS]
                raise InvalidRequestError(f"there is no field {shown}", field=shown)


def _exists(message: Descriptor, path: Iterable[str]) -> bool:
    """Whether a path leads to a field; what lies inside of maps and simple values may be anything.

    What it may not be, the transcoder knows.
    """
    for name in path:
        field = _field(message, name)
        if field is None:
            return False
        if field.message_type is None or _is_one_value(field.message_type):
            return True
        message = field.message_type
    return True


def _field(message: Descriptor, name: str) -> FieldDescriptor | None:
    return message.fields_by_name.get(name) or message.fields_by_camelcase_name.get(name)


def _is_one_value(message: Descriptor) -> bool:
    """Whether it is a map, or is written in JSON like a simple value: a time, a duration, ..."""
    is_map: bool = message.GetOptions().map_entry
    return is_map or message.file.package == "google.protobuf"
