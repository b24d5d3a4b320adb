"""OpenAI's HTTP API for pictures, sounds and judgements, and Cohere's for rankings."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from google.api.httpbody_pb2 import HttpBody

from meshgate.dialects.media import MEDIA
from meshgate.dialects.openai_api.errors import write_error_event
from meshgate.routing.arrival import Arrival
from meshgate.routing.edges.answering import Endpoint, answer
from meshgate.routing.pipeline import Pipeline
from meshgate.routing.question import DIALECT_NAMES
from meshgate.routing.uploads.upload import AT_MOST_SECONDS, received
from meshgate.runtime.errors import ServiceUnavailableError
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

Bodies = AsyncIterator[HttpBody]

MOST_UPLOADS = 128
"""At once in this process: each may take 25 MiB of disk."""


class MediaServicer(rpc.MediaServiceServicer):
    """MediaService, by way of the pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._uploads = 0

    async def GenerateImages(self, request: HttpBody, context: Any) -> Bodies:
        async with aclosing(self._answer(_GENERATE_IMAGES, request, context)) as bodies:
            async for body in bodies:
                yield body

    async def EditImages(self, request: Any, context: Any) -> Bodies:
        async with aclosing(self._uploaded(_EDIT_IMAGES, request, context)) as bodies:
            async for body in bodies:
                yield body

    async def Transcribe(self, request: Any, context: Any) -> Bodies:
        async with aclosing(self._uploaded(_TRANSCRIBE, request, context)) as bodies:
            async for body in bodies:
                yield body

    async def Translate(self, request: Any, context: Any) -> Bodies:
        async with aclosing(self._uploaded(_TRANSLATE, request, context)) as bodies:
            async for body in bodies:
                yield body

    async def Speak(self, request: HttpBody, context: Any) -> Bodies:
        async with aclosing(self._answer(_SPEAK, request, context)) as bodies:
            async for body in bodies:
                yield body

    async def Moderate(self, request: HttpBody, context: Any) -> Bodies:
        async with aclosing(self._answer(_MODERATE, request, context)) as bodies:
            async for body in bodies:
                yield body

    async def Rerank(self, request: HttpBody, context: Any) -> Bodies:
        async with aclosing(self._answer(_RERANK, request, context)) as bodies:
            async for body in bodies:
                yield body

    async def _answer(
        self, endpoint: Endpoint, request: HttpBody, context: Any
    ) -> AsyncGenerator[HttpBody, None]:
        async with aclosing(
            await answer(self._pipeline, endpoint, request.data, context)
        ) as bodies:
            async for body in bodies:
                yield body

    async def _uploaded(
        self, endpoint: Endpoint, requests: Any, context: Any
    ) -> AsyncGenerator[HttpBody, None]:
        arrival = Arrival.from_context(context, endpoint.method)
        # Before anything is read: strangers fill no disk.
        await self._pipeline.authenticate(arrival)
        if self._uploads >= MOST_UPLOADS:
            raise ServiceUnavailableError("too many uploads are under way", retry_after_seconds=1)
        self._uploads += 1
        try:
            async with (
                received(aiter(requests), _at_most(arrival)) as upload,
                aclosing(
                    await answer(self._pipeline, endpoint, upload.form, context, upload)
                ) as bodies,
            ):
                async for body in bodies:
                    yield body
        finally:
            self._uploads -= 1


def _at_most(arrival: Arrival) -> float:
    """How long an upload may take: as long as the client waits, if that is shorter than the usual."""
    return min(AT_MOST_SECONDS, arrival.deadline.seconds_left())
