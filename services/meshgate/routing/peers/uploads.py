"""Attempts that bring files: the caller's side of ProviderService.UploadExecute."""

from collections.abc import AsyncIterator
from typing import Any

from meshgate.routing.uploads.upload import Upload
from meshgate.v1 import provider_service_pb2 as pb


class Uploads:
    """Makes attempts as `Execute` and `StreamExecute` do, and sends the files after them.

    Args:
        stub: Of ProviderService.
    """

    def __init__(self, stub: Any) -> None:
        self._stub = stub

    async def execute(
        self, request: pb.ExecuteRequest, upload: Upload, timeout_seconds: float
    ) -> pb.ExecuteResponse:
        """A plain answer."""
        opening = pb.UploadExecuteRequest(plain=request)
        call = self._stub.UploadExecute(_messages(opening, upload), timeout=timeout_seconds)
        response = pb.ExecuteResponse()
        async for message in call:
            response = message.response
        return response

    def stream(
        self, request: pb.StreamExecuteRequest, upload: Upload, timeout_seconds: float
    ) -> "UploadCall":
        """A streamed answer."""
        opening = pb.UploadExecuteRequest(streamed=request)
        call = self._stub.UploadExecute(_messages(opening, upload), timeout=timeout_seconds)
        return UploadCall(call)


class UploadCall:
    """A call that gives the steps of its answer, as that of `StreamExecute` does."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def cancel(self) -> bool:
        """Give it up."""
        cancelled: bool = self._call.cancel()
        return cancelled

    async def __aiter__(self) -> AsyncIterator[pb.StreamExecuteResponse]:
        async for message in self._call:
            yield message.step


async def _messages(
    opening: pb.UploadExecuteRequest, upload: Upload
) -> AsyncIterator[pb.UploadExecuteRequest]:
    yield opening
    for piece in upload.pieces():
        yield pb.UploadExecuteRequest(chunk=piece)
