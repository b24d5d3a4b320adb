"""OpenAI's HTTP API for pictures, sounds and judgements, and Cohere's for rankings."""

from collections.abc import Callable
from contextlib import aclosing
from typing import Any

from meshgate.dialects.media import MEDIA
from meshgate.dialects.openai_api.errors import write_error_event
from meshgate.routing.arrival import Arrival
from meshgate.routing.edges.answering import Bodies, Endpoint, answer, answered
from meshgate.routing.pipeline import Pipeline
from meshgate.routing.question import DIALECT_NAMES
from meshgate.routing.uploads.places import UploadPlaces
from meshgate.routing.uploads.upload import AT_MOST_SECONDS, received
from meshgate.v1 import media_service_pb2 as pb
from meshgate.v1 import media_service_pb2_grpc as rpc
from meshgate.v1 import provider_service_pb2 as provider_pb

SERVICE = pb.DESCRIPTOR.services_by_name["MediaService"]


def _endpoint(method: str, dialect: "provider_pb.Dialect.ValueType") -> Endpoint:
    read_head = MEDIA[DIALECT_NAMES[dialect]].read_head
    return Endpoint(f"MediaService.{method}", dialect, read_head, write_error_event)


_GENERATE_IMAGES = _endpoint("GenerateImages", provider_pb.DIALECT_OPENAI_IMAGES)
_EDIT_IMAGES = _endpoint("EditImages", provider_pb.DIALECT_OPENAI_IMAGE_EDITS)
_TRANSCRIBE = _endpoint("Transcribe", provider_pb.DIALECT_OPENAI_TRANSCRIPTIONS)
_TRANSLATE = _endpoint("Translate", provider_pb.DIALECT_OPENAI_TRANSLATIONS)
_SPEAK = _endpoint("Speak", provider_pb.DIALECT_OPENAI_SPEECH)
_MODERATE = _endpoint("Moderate", provider_pb.DIALECT_OPENAI_MODERATIONS)
_RERANK = _endpoint("Rerank", provider_pb.DIALECT_RERANK)


def _uploaded(endpoint: Endpoint) -> Callable[..., Bodies]:
    """The method for an RPC whose request is a form with files, in pieces."""

    async def method(self: "MediaServicer", requests: Any, context: Any) -> Bodies:
        arrival = Arrival.from_context(context, endpoint.method)
        # Before anything is read: strangers fill no disk.
        caller = await self.pipeline.authenticate(arrival)
        with self.uploads.one(caller.principal_id):
            async with (
                received(aiter(requests), _at_most(arrival)) as upload,
                aclosing(
                    await answer(self.pipeline, endpoint, upload.form, context, upload)
                ) as bodies,
            ):
                async for body in bodies:
                    yield body

    return method


class MediaServicer(rpc.MediaServiceServicer):
    """MediaService, by way of the pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.uploads = UploadPlaces()

    GenerateImages = answered(_GENERATE_IMAGES)
    EditImages = _uploaded(_EDIT_IMAGES)
    Transcribe = _uploaded(_TRANSCRIBE)
    Translate = _uploaded(_TRANSLATE)
    Speak = answered(_SPEAK)
    Moderate = answered(_MODERATE)
    Rerank = answered(_RERANK)


def _at_most(arrival: Arrival) -> float:
    """How long an upload may take: as long as the client waits, if that is shorter than the usual."""
    return min(AT_MOST_SECONDS, arrival.deadline.seconds_left())
