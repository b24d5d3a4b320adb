"""What is asked, once its head is read."""

from msgspec import Struct

from meshgate.dialects.answers import RequestHead
from meshgate.routing.arrival import Arrival
from meshgate.routing.principal import Principal
from meshgate.routing.uploads.upload import Upload
from meshgate.v1 import provider_service_pb2 as pb

DIALECT_NAMES = {
    number: name.removeprefix("DIALECT_").lower() for name, number in pb.Dialect.items()
}


class Question(Struct, frozen=True):
    """A request that may be answered.

    Attributes:
        arrival: The call that it came with.
        principal: Who asks.
        head: What routing knows of the body.
        dialect: The format of the body, and of the answer.
        body: The request as it came.
        revision: The configuration that it is answered by.
        output_cap: What the upstream is told to write at most, each choice; None for no such bound.
        upload: The files that the body announces, where it is a form.
    """

    arrival: Arrival
    principal: Principal
    head: RequestHead
    dialect: pb.Dialect.ValueType
    body: bytes
    revision: str
    output_cap: int | None = None
    upload: Upload | None = None
